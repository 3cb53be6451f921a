//! Builds mail: the same blocks as plain text and as HTML. Nothing is loaded from elsewhere when it is read.

use super::{
    local_mailbox::StoredMail,
    texts::{Text, Texts, fill, texts},
    wording::{describe_device, escape_html, to_line, to_name},
};
use chat_core::{
    mail::{
        contents::{Content, Outgoing},
        digests::UnreadMessage,
        queue::DueMail,
    },
    time::now,
};
use chat_http::settings::PublicUrl;
use lettre::{
    Message,
    message::{
        Mailbox, MultiPart,
        header::{HeaderName, HeaderValue},
    },
};
use std::fmt::Write;

/// The path at which mail programs unsubscribe (RFC 8058).
const ONE_CLICK_PATH: &str = "/api/mail/unsubscribe";

/// Builds mail.
#[derive(Debug)]
pub(super) struct MessageBuilder {
    pub(super) from: Mailbox,
    pub(super) public_url: PublicUrl,
}

/// A mail in both forms.
pub(super) struct BuiltMessage {
    pub(super) message: Message,
    pub(super) stored: StoredMail,
}

/// A part of the body.
enum Block {
    Paragraph(String),
    Link { label: String, url: String },
    Quote { title: String, text: String, url: String },
    SmallLink { label: String, url: String },
}

/// What a mail says, in a language.
struct MessageParts {
    subject: String,
    blocks: Vec<Block>,
    /// The token with which the reader gets no more of this mail.
    unsubscribe_token: Option<String>,
}

/// The address or a header cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum BuildError {
    #[error("the address is not valid: {0}")]
    Address(#[from] lettre::address::AddressError),
    #[error("the mail cannot be built: {0}")]
    Message(#[from] lettre::error::Error),
}

impl MessageBuilder {
    pub(super) fn build(&self, due: &DueMail, outgoing: &Outgoing) -> Result<BuiltMessage, BuildError> {
        let Outgoing { address, language, content } = outgoing;
        let texts = texts(*language);
        let MessageParts { subject, blocks, unsubscribe_token } = self.compose(texts, due, content);
        let (text, html) = (to_text(&blocks), to_html(language.code(), &subject, &blocks));
        // The same in all attempts, so that a mail that arrives twice can be recognized.
        let id = format!("<{}.{}@{}>", due.id, due.created_at.0.timestamp_micros(), self.from.email.domain());
        let mut message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, address.parse()?))
            .subject(subject.clone())
            .message_id(Some(id))
            .raw_header(header("Auto-Submitted", "auto-generated".to_owned()));
        if let Some(token) = unsubscribe_token {
            let url = format!("<{}{ONE_CLICK_PATH}?token={token}>", self.public_url.as_str());
            message = message
                .raw_header(header("List-Unsubscribe", url))
                .raw_header(header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".to_owned()));
        }
        let message = message.multipart(MultiPart::alternative_plain_html(text.clone(), html))?;
        let stored = StoredMail { address: address.clone(), subject, text, at: now() };
        Ok(BuiltMessage { message, stored })
    }

    fn compose(&self, texts: &Texts, due: &DueMail, content: &Content) -> MessageParts {
        let at = due.created_at.0.format("%Y-%m-%d %H:%M UTC").to_string();
        let to_user = |username: &str, text: &Text, path: &str| {
            self.with_greeting(texts, text, path, &[("username", &to_name(username))])
        };
        match content {
            Content::ConfirmSignUp { username, invite, token } => {
                let mut path = format!("/finish-sign-up#token={token}&username={username}");
                if let Some(invite) = invite {
                    let _ = write!(path, "&invite={invite}");
                }
                to_user(username, &texts.confirm_sign_up, &path)
            }
            Content::AccountExists { username } => to_user(username, &texts.account_exists, "/"),
            Content::ResetPassword { username, token } => {
                to_user(username, &texts.reset_password, &format!("/reset-password#token={token}"))
            }
            Content::ConfirmEmail { username, token } => {
                to_user(username, &texts.confirm_email, &format!("/confirm-email#token={token}"))
            }
            Content::PasswordChanged { username } => to_user(username, &texts.password_changed, "/"),
            Content::EmailChanged { username } => to_user(username, &texts.email_changed, "/"),
            Content::AccountApproved { username } => to_user(username, &texts.account_approved, "/"),
            Content::NewSignIn { username, device, address } => {
                let known = |text: String| if text.is_empty() { texts.unknown.clone() } else { text };
                let (username, device, address) =
                    (to_name(username), known(describe_device(device)), known(to_line(address)));
                let values = [("username", username.as_str()), ("at", &at), ("device", &device), ("address", &address)];
                self.with_greeting(texts, &texts.new_sign_in, "/", &values)
            }
            Content::Invitation { inviter, chat, code, token } => {
                let (inviter, chat) = (to_name(inviter), to_name(chat));
                let values = [("inviter", inviter.as_str()), ("chat", &chat)];
                self.without_greeting(&texts.invitation, &format!("/invite/{code}"), &values).with_unsubscribe(
                    &texts.unsubscribe_invitations,
                    self.url(&format!("/unsubscribe#token={token}&of=invitations")),
                    token,
                )
            }
            Content::Digest { digest, token } => {
                let (username, count) = (to_name(&digest.username), digest.count.to_string());
                let values = [("username", username.as_str()), ("count", &count)];
                let mut parts = self.with_greeting(texts, &texts.digest, "/", &values);
                let quotes = digest.messages.iter().map(|message| self.quote(message));
                // Before the link.
                parts.blocks.splice(2..2, quotes);
                parts.with_unsubscribe(
                    &texts.unsubscribe_digests,
                    self.url(&format!("/unsubscribe#token={token}&of=digests")),
                    token,
                )
            }
        }
    }

    fn with_greeting(&self, texts: &Texts, text: &Text, path: &str, values: &[(&str, &str)]) -> MessageParts {
        let mut parts = self.without_greeting(text, path, values);
        parts.blocks.insert(0, Block::Paragraph(fill(&texts.greeting, values)));
        parts
    }

    fn without_greeting(&self, text: &Text, path: &str, values: &[(&str, &str)]) -> MessageParts {
        let mut blocks: Vec<Block> = text.text.iter().map(|text| Block::Paragraph(fill(text, values))).collect();
        blocks.push(Block::Link { label: text.button.clone(), url: self.url(path) });
        if !text.note.is_empty() {
            blocks.push(Block::Paragraph(fill(&text.note, values)));
        }
        MessageParts { subject: fill(&text.subject, values), blocks, unsubscribe_token: None }
    }

    fn quote(&self, message: &UnreadMessage) -> Block {
        let (sender, chat) = (to_name(&message.sender), to_name(&message.chat));
        let title = if chat.is_empty() { sender } else { format!("{sender} · {chat}") };
        let text = to_line(&message.text);
        Block::Quote { title, text, url: self.url(&format!("/chats/{}/{}", message.chat_id, message.message_id)) }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.public_url.as_str())
    }
}

impl MessageParts {
    /// Adds a link with which the reader gets no more of this mail.
    fn with_unsubscribe(mut self, label: &str, url: String, token: &str) -> Self {
        self.blocks.push(Block::SmallLink { label: label.to_owned(), url });
        self.unsubscribe_token = Some(token.to_owned());
        self
    }
}

fn header(name: &'static str, value: String) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value)
}

fn to_text(blocks: &[Block]) -> String {
    let mut text = String::new();
    for block in blocks {
        let _ = match block {
            Block::Paragraph(paragraph) => writeln!(text, "{paragraph}\n"),
            Block::Link { label, url } | Block::SmallLink { label, url } => writeln!(text, "{label}:\n{url}\n"),
            Block::Quote { title, text: quoted, url } => writeln!(text, "{title}\n> {quoted}\n{url}\n"),
        };
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

fn to_html(language: &str, subject: &str, blocks: &[Block]) -> String {
    let mut body = String::new();
    for block in blocks {
        let _ = match block {
            Block::Paragraph(text) => write!(body, "<p>{}</p>", escape_html(text)),
            Block::Link { label, url } => write!(
                body,
                "<p><a href=\"{}\" style=\"display:inline-block;padding:10px 18px;border-radius:6px;background:#4752c4;\
                 color:#fff;text-decoration:none\">{}</a></p>",
                escape_html(url),
                escape_html(label)
            ),
            Block::Quote { title, text, url } => write!(
                body,
                "<p style=\"margin:16px 0;padding-left:12px;border-left:3px solid #4752c4\"><a href=\"{}\">{}</a><br>{}</p>",
                escape_html(url),
                escape_html(title),
                escape_html(text)
            ),
            Block::SmallLink { label, url } => {
                write!(
                    body,
                    "<p style=\"font-size:13px\"><a href=\"{}\">{}</a></p>",
                    escape_html(url),
                    escape_html(label)
                )
            }
        };
    }
    format!(
        "<!doctype html><html lang=\"{language}\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><meta name=\"color-scheme\" content=\"light dark\">\
         <title>{}</title></head><body style=\"font:16px/1.5 system-ui,sans-serif\">\
         <div style=\"max-width:560px;margin:0 auto;padding:24px\">{body}</div></body></html>",
        escape_html(subject)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_shows_text_as_it_is() {
        let blocks = [
            Block::Paragraph("<script>".into()),
            Block::Quote { title: "a & b".into(), text: "\"quoted\"".into(), url: "https://chat.example/'x".into() },
        ];
        let html = to_html("en", "<subject>", &blocks);
        assert!(
            !html.contains("<script>") && html.contains("&lt;script&gt;") && html.contains("<title>&lt;subject&gt;")
        );
        assert!(html.contains("a &amp; b") && html.contains("&quot;quoted&quot;") && html.contains("/&#39;x"));
        assert_eq!(to_text(&blocks), "<script>\n\na & b\n> \"quoted\"\nhttps://chat.example/'x\n");
    }
}
