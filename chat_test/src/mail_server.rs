//! A real SMTP server, `aiosmtpd`, whose answers depend on the recipient (`mail_server.py`).

use crate::DEADLINE;
use serde_json::Value;
use std::{collections::VecDeque, path::Path, process::Stdio};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

/// A mail that the server got.
#[derive(Debug, Clone)]
pub struct ReceivedMail(Value);

impl ReceivedMail {
    /// The recipient.
    pub fn to(&self) -> &str {
        self.0["to"].as_str().unwrap_or_default()
    }

    /// A header, by its name in lower case.
    pub fn header(&self, name: &str) -> &str {
        self.0["headers"][name].as_str().unwrap_or_default()
    }

    /// The subject.
    pub fn subject(&self) -> &str {
        self.header("subject")
    }

    /// The plain text.
    pub fn text(&self) -> &str {
        self.0["text"].as_str().unwrap_or_default()
    }

    /// The HTML.
    pub fn html(&self) -> &str {
        self.0["html"].as_str().unwrap_or_default()
    }

    /// As whom the client authenticated.
    pub fn user(&self) -> Option<&str> {
        self.0["user"].as_str()
    }

    /// The first URL in the plain text that contains a part.
    pub fn url(&self, part: &str) -> &str {
        let url = self.text().lines().find(|line| line.starts_with("http") && line.contains(part));
        url.unwrap_or_else(|| panic!("no {part} in {}", self.text()))
    }

    /// The token of the link to a page.
    pub fn token(&self, page: &str) -> &str {
        let token = self.url(page).split_once("#token=").expect("a token").1;
        token.split('&').next().unwrap_or(token)
    }
}

/// The server. It ends with this value.
#[derive(Debug)]
pub struct MailServer {
    url: String,
    lines: Lines<BufReader<ChildStdout>>,
    skipped: VecDeque<ReceivedMail>,
    _child: Child,
}

impl MailServer {
    /// Starts a server without authentication.
    pub async fn start() -> Self {
        Self::start_with(None).await
    }

    /// Starts a server that wants these credentials, `user:password`.
    pub async fn with_credentials(credentials: &str) -> Self {
        Self::start_with(Some(credentials)).await
    }

    async fn start_with(credentials: Option<&str>) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut child = Command::new(folder.join("../target/python/bin/python"))
            .arg(folder.join("src/mail_server.py"))
            .args(credentials)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("Python; run `scripts/setup test`");
        let mut lines = BufReader::new(child.stdout.take().expect("an output")).lines();
        let port = lines.next_line().await.expect("an output").expect("a port");
        let url = match credentials {
            Some(credentials) => format!("smtp://{credentials}@127.0.0.1:{port}"),
            None => format!("smtp://127.0.0.1:{port}"),
        };
        Self { url, lines, skipped: VecDeque::new(), _child: child }
    }

    /// The URL for `SMTP_URL`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the next mail to an address whose subject contains a text. Keeps others that come before.
    pub async fn expect(&mut self, address: &str, subject: &str) -> ReceivedMail {
        let matches = |mail: &ReceivedMail| mail.to() == address && mail.subject().contains(subject);
        if let Some(found) = self.skipped.iter().position(matches) {
            return self.skipped.remove(found).expect("found");
        }
        loop {
            let mail = self.next(&format!("{subject} to {address}")).await;
            if matches(&mail) {
                return mail;
            }
            self.skipped.push_back(mail);
        }
    }

    /// Returns how many mails to an address, whose subject contains a text, came and were not expected. A mail that
    /// was caused later must have come before.
    pub fn unexpected(&self, address: &str, subject: &str) -> usize {
        self.skipped.iter().filter(|mail| mail.to() == address && mail.subject().contains(subject)).count()
    }

    async fn next(&mut self, what: &str) -> ReceivedMail {
        let line =
            timeout(DEADLINE, self.lines.next_line()).await.unwrap_or_else(|_| panic!("no mail in time: {what}"));
        let line = line.expect("an output").expect("the server runs");
        ReceivedMail(serde_json::from_str(&line).expect("JSON"))
    }
}
