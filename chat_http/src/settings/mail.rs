//! The settings of mail.

use clap::{
    Args,
    builder::{BoolishValueParser, NonEmptyStringValueParser},
};

/// Mail, for the servers that cause it.
#[derive(Debug, Clone, Args)]
pub struct MailSettings {
    /// Sender of mail, such as `Confab <confab@chat.example>`. With it, and with `SMTP_URL` and
    /// `PUBLIC_URL`, users can replace lost passwords, and get notices, invitations and digests by
    /// mail. `confab dev` shows its mail at `/mailbox` without them.
    #[arg(long, value_name = "ADDRESS", env = "MAIL_FROM", value_parser = NonEmptyStringValueParser::new())]
    pub mail_from: Option<String>,
    /// Whether a new account needs an address at which its user receives mail: on or off. Default: on with
    /// mail; off in `confab dev` without `SMTP_URL`.
    #[arg(long, value_name = "ON|OFF", env = "VERIFY_EMAIL", value_parser = BoolishValueParser::new(), num_args = 1)]
    pub verify_email: Option<bool>,
}

/// The mail server.
#[derive(Debug, Clone, Args)]
pub struct SmtpSettings {
    /// URL of the mail server: smtps://user:password@mail.example, or with STARTTLS
    /// smtp://user:password@mail.example:587?tls=required; smtp:// without TLS only without a password.
    #[arg(long, value_name = "URL", env = "SMTP_URL", hide_env_values = true)]
    pub smtp_url: Option<String>,
}

/// How a server uses mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailPolicy {
    /// Whether a new account needs an address at which its user receives mail.
    pub is_verification_required: bool,
}

impl MailSettings {
    /// How the server uses mail; `None` if it sends none.
    pub fn policy(&self) -> Option<MailPolicy> {
        let is_verification_required = self.verify_email.unwrap_or(true);
        self.mail_from.as_ref().map(|_| MailPolicy { is_verification_required })
    }
}
