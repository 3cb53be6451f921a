//! Sends mail: `chat_core::mail` says what, `texts` how it is said, `message` builds it, and an SMTP server or the
//! mailbox of `confab dev` gets it.

mod local_mailbox;
mod message;
mod texts;

pub use local_mailbox::{LocalMailbox, StoredMail};

use crate::loader::Load;
use anyhow::{Context, bail};
use chat_core::{
    Result,
    mail::{
        contents::{self, Composed, Content},
        digests,
        queue::{self, DueMail, Outcome},
    },
};
use chat_http::settings::{PublicUrl, SmtpSettings};
use lettre::{
    AsyncSmtpTransport, AsyncTransport, Tokio1Executor, message::Mailbox, transport::smtp::Error as SmtpError,
};
use message::MessageBuilder;
use sqlx::PgPool;
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use url::Url;

/// Time limit of each command to the mail server.
const SMTP_TIMEOUT: Duration = Duration::from_secs(30);

/// How often users with unread mentions are looked for.
const DIGEST_INTERVAL: Duration = Duration::from_secs(60);

/// Responses that concern this server and not the mail: authentication is missing, has failed or is too weak.
const AUTHENTICATION_CODES: [u16; 4] = [530, 534, 535, 538];

/// How mail is sent.
#[derive(Debug, Clone)]
pub struct MailConfig {
    from: Mailbox,
    transport: Transport,
    public_url: PublicUrl,
}

/// Who gets the mail.
#[derive(Debug, Clone)]
enum Transport {
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
    Local(LocalMailbox),
}

impl MailConfig {
    /// Mail that an SMTP server gets; `None` without a sender.
    pub fn smtp(
        from: Option<&str>,
        settings: &SmtpSettings,
        public_url: Option<&PublicUrl>,
    ) -> anyhow::Result<Option<Self>> {
        let Some(from) = from else { return Ok(None) };
        let Some(url) = &settings.smtp_url else { bail!("MAIL_FROM needs SMTP_URL, the URL of a mail server") };
        let Some(public_url) = public_url else { bail!("MAIL_FROM needs PUBLIC_URL, with which links in mail begin") };
        require_safe(url)?;
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url).context("SMTP_URL")?;
        let transport = transport.timeout(Some(SMTP_TIMEOUT)).build();
        Ok(Some(Self {
            from: from.parse().context("MAIL_FROM")?,
            transport: Transport::Smtp(transport),
            public_url: public_url.clone(),
        }))
    }

    /// Mail that a page shows.
    pub fn local(from: &str, mailbox: LocalMailbox, public_url: PublicUrl) -> anyhow::Result<Self> {
        Ok(Self { from: from.parse().context("MAIL_FROM")?, transport: Transport::Local(mailbox), public_url })
    }
}

/// Rejects a URL with which a password would cross a network without TLS.
fn require_safe(url: &str) -> anyhow::Result<()> {
    let url: Url = url.parse().context("SMTP_URL")?;
    let is_local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    let has_tls = url.scheme() == "smtps" || url.query_pairs().any(|(key, value)| key == "tls" && value == "required");
    if url.password().is_some() && !has_tls && !is_local {
        bail!("SMTP_URL has a password but no TLS; use smtps://, or smtp:// with ?tls=required");
    }
    Ok(())
}

/// Sends the mail that is due.
pub(crate) struct Mailer {
    db: PgPool,
    transport: Transport,
    builder: MessageBuilder,
}

impl Mailer {
    pub(crate) fn new(db: PgPool, MailConfig { from, transport, public_url }: MailConfig) -> Self {
        Self { db, transport, builder: MessageBuilder { from, public_url } }
    }

    async fn send(&self, due: &DueMail, content: &Content) -> Outcome {
        let message = match self.builder.build(due, content) {
            Ok(message) => message,
            Err(error) => return Outcome::Refused(error.to_string()),
        };
        let last_item = match content {
            Content::Digest { digest, .. } => Some(digest.last_item_id),
            _ => None,
        };
        match &self.transport {
            Transport::Local(mailbox) => {
                mailbox.add(message.stored);
                Outcome::Sent(last_item)
            }
            Transport::Smtp(smtp) => match smtp.send(message.message).await {
                Ok(_) => Outcome::Sent(last_item),
                Err(error) => failed(&error),
            },
        }
    }
}

/// The outcome of an attempt that failed.
fn failed(error: &SmtpError) -> Outcome {
    let text =
        std::error::Error::source(error).map_or_else(|| error.to_string(), |source| format!("{error}: {source}"));
    let is_our_fault = error.status().is_some_and(|code| AUTHENTICATION_CODES.contains(&code.into()));
    if error.is_permanent() && !is_our_fault { Outcome::Refused(text) } else { Outcome::Failed(text) }
}

impl Load for Mailer {
    type Item = DueMail;

    async fn claim(&self) -> Result<Option<DueMail>> {
        queue::claim(&self.db).await
    }

    async fn load(&self, due: DueMail) -> Result<()> {
        let outcome = match contents::compose(&self.db, &due).await {
            Ok(Composed::Ready(content)) => self.send(&due, &content).await,
            Ok(Composed::Nothing) => Outcome::Dropped,
            Ok(Composed::Later(seconds)) => Outcome::Postponed(seconds),
            Err(error) => Outcome::Failed(error.to_string()),
        };
        // The log names no address.
        match &outcome {
            Outcome::Refused(error) => tracing::warn!(mail = due.id, error, "the mail server refuses a mail"),
            Outcome::Failed(error) => tracing::warn!(mail = due.id, error, "cannot send a mail; trying again"),
            _ => {}
        }
        queue::finish(&self.db, &due, outcome).await
    }
}

/// Stores digests for users with unread mentions until `shutdown`.
pub(crate) async fn run_digests(db: PgPool, shutdown: CancellationToken) {
    let run = async {
        loop {
            match digests::enqueue(&db).await {
                Ok(true) => {}
                Ok(false) => sleep(DIGEST_INTERVAL).await,
                Err(error) => {
                    tracing::warn!(%error, cause = error.source_text(), "cannot look for unread mentions; trying again");
                    sleep(DIGEST_INTERVAL).await;
                }
            }
        }
    };
    shutdown.run_until_cancelled(run).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_needs_tls_or_this_machine() {
        for (url, is_safe) in [
            ("smtps://user:secret@mail.example", true),
            ("smtp://user:secret@mail.example:587?tls=required", true),
            ("smtp://user:secret@mail.example:587", false),
            ("smtp://user:secret@mail.example:587?tls=opportunistic", false),
            ("smtp://mail.internal:25", true),
            ("smtp://user:secret@127.0.0.1:2525", true),
        ] {
            assert_eq!(require_safe(url).is_ok(), is_safe, "{url}");
        }
    }
}
