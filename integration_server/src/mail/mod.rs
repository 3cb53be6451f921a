//! Sends mail: `chat_core::mail` says what, `texts` how it is said, `message` builds it, and an SMTP server or the
//! mailbox of `confab dev` gets it.

mod local_mailbox;
mod message;
mod texts;
mod wording;

pub use local_mailbox::{LocalMailbox, StoredMail};
pub use wording::escape_html;

use crate::loader::Load;
use anyhow::{Context, bail};
use chat_core::{
    Result,
    mail::{
        contents::{self, ComposeOutcome, Content, Outgoing},
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
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use url::Url;

/// Time limit of an attempt; shorter than the lease, so that no other process sends the mail meanwhile. Each attempt has
/// its own connection, because one that is given up in the middle cannot be used again.
const SEND_TIMEOUT: Duration = Duration::from_secs(60);

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
        let transport = transport.build();
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

    async fn send(&self, due: &DueMail, outgoing: &Outgoing) -> Outcome {
        let message = match self.builder.build(due, outgoing) {
            Ok(message) => message,
            Err(error) => return Outcome::Refused(error.to_string()),
        };
        let last_item = match &outgoing.content {
            Content::Digest { digest, .. } => Some(digest.last_item_id),
            _ => None,
        };
        match &self.transport {
            Transport::Local(mailbox) => {
                mailbox.add(message.stored);
                Outcome::Sent(last_item)
            }
            Transport::Smtp(smtp) => match timeout(SEND_TIMEOUT, smtp.send(message.message)).await {
                Ok(Ok(_)) => Outcome::Sent(last_item),
                Ok(Err(error)) => evaluate_error(due, &error),
                Err(_) => {
                    tracing::warn!(mail = due.id, "the mail server does not answer; trying again");
                    Outcome::Failed("the mail server did not answer in time".to_owned())
                }
            },
        }
    }
}

/// The outcome of an attempt that failed. The log does not show the text of the mail server, which names the address.
fn evaluate_error(due: &DueMail, error: &SmtpError) -> Outcome {
    let text =
        std::error::Error::source(error).map_or_else(|| error.to_string(), |source| format!("{error}: {source}"));
    let status: Option<u16> = error.status().map(Into::into);
    let is_about_server = status.is_some_and(|status| AUTHENTICATION_CODES.contains(&status));
    if error.is_permanent() && !is_about_server {
        tracing::warn!(mail = due.id, status, "the mail server refuses a mail");
        Outcome::Refused(text)
    } else {
        tracing::warn!(mail = due.id, status, "cannot send a mail; trying again");
        Outcome::Failed(text)
    }
}

impl Load for Mailer {
    type Item = DueMail;

    async fn claim(&self) -> Result<Option<DueMail>> {
        queue::claim(&self.db).await
    }

    async fn load(&self, due: DueMail) -> Result<()> {
        let outcome = if due.is_too_old {
            tracing::warn!(mail = due.id, "a mail has waited for too long; giving it up");
            Outcome::Expired
        } else {
            match contents::compose(&self.db, &due).await {
                Ok(ComposeOutcome::Send(outgoing)) => self.send(&due, &outgoing).await,
                Ok(ComposeOutcome::Drop) => Outcome::Dropped,
                Ok(ComposeOutcome::Postpone(seconds)) => Outcome::Postponed(seconds),
                Err(error) => {
                    tracing::warn!(mail = due.id, %error, cause = error.source_text(), "cannot compose a mail; trying again");
                    Outcome::Failed(error.to_string())
                }
            }
        };
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
