//! Builds mail: the same blocks as plain text and as HTML. Nothing is loaded from elsewhere when it is read.

use super::{
    local_mailbox::StoredMail,
    texts::{Text, Texts, fill, texts},
};
use chat_core::{
    mail::{contents::Content, digests::UnreadMessage, queue::DueMail},
    time::now,
    values::is_bidi_control,
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

/// Maximum length of a name in a mail, in characters.
const MAX_NAME_CHARS: usize = 60;

/// The path at which mail programs unsubscribe (RFC 8058).
const ONE_CLICK_PATH: &str = "/api/mail/unsubscribe";

/// Parts of a `User-Agent` and the browsers that send them. Later ones are also sent by earlier ones.
const BROWSERS: [(&str, &str); 5] =
    [("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari")];

/// The same for systems.
const SYSTEMS: [(&str, &str); 6] = [
    ("Windows", "Windows"),
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
];

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
struct Letter {
    subject: String,
    blocks: Vec<Block>,
    /// The token with which the reader gets no more of this mail.
    unsubscribe_token: Option<String>,
}

/// An address is not one, or a header is too long.
#[derive(Debug, thiserror::Error)]
pub(super) enum BuildError {
    #[error("the address is not valid: {0}")]
    Address(#[from] lettre::address::AddressError),
    #[error("the mail cannot be built: {0}")]
    Message(#[from] lettre::error::Error),
}

impl MessageBuilder {
    pub(super) fn build(&self, due: &DueMail, content: &Content) -> Result<BuiltMessage, BuildError> {
        let texts = texts(due.language);
        let Letter { subject, blocks, unsubscribe_token } = self.compose(texts, due, content);
        let (text, html) = (to_text(&blocks), to_html(due.language.code(), &subject, &blocks));
        // The same in all attempts, so that a mail that arrives twice can be recognized.
        let id = format!("<{}.{}@{}>", due.id, due.created_at.0.timestamp_micros(), self.from.email.domain());
        let mut message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, due.address.parse()?))
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
        let stored = StoredMail { address: due.address.clone(), subject, text, at: now() };
        Ok(BuiltMessage { message, stored })
    }

    fn compose(&self, texts: &Texts, due: &DueMail, content: &Content) -> Letter {
        let at = due.created_at.0.format("%Y-%m-%d %H:%M UTC").to_string();
        let letter =
            |username: &str, text: &Text, path: &str| self.letter(texts, text, path, &[("username", username)]);
        match content {
            Content::ConfirmSignUp { username, token } => {
                letter(username, &texts.confirm_sign_up, &format!("/finish-sign-up#token={token}&username={username}"))
            }
            Content::AccountExists { username } => letter(username, &texts.account_exists, "/"),
            Content::ResetPassword { username, token } => {
                letter(username, &texts.reset_password, &format!("/reset-password#token={token}"))
            }
            Content::ConfirmEmail { username, token } => {
                letter(username, &texts.confirm_email, &format!("/confirm-email#token={token}"))
            }
            Content::PasswordChanged { username } => letter(username, &texts.password_changed, "/"),
            Content::EmailChanged { username } => letter(username, &texts.email_changed, "/"),
            Content::AccountApproved { username } => letter(username, &texts.account_approved, "/"),
            Content::NewSignIn { username, device, address } => {
                let known = |text: String| if text.is_empty() { texts.unknown.clone() } else { text };
                let (device, address) = (known(describe_device(device)), known(to_line(address)));
                let values = [("username", username.as_str()), ("at", &at), ("device", &device), ("address", &address)];
                self.letter(texts, &texts.new_sign_in, "/", &values)
            }
            Content::Invitation { inviter, chat, code, token } => {
                let (inviter, chat) = (to_name(inviter), to_name(chat));
                let mut letter = self.letter_without_greeting(
                    &texts.invitation,
                    &format!("/invite/{code}"),
                    &[("inviter", &inviter), ("chat", &chat)],
                );
                self.add_unsubscribe(&mut letter, &texts.unsubscribe_invitations, token);
                letter
            }
            Content::Digest { digest, token } => {
                let count = digest.count.to_string();
                let values = [("username", digest.username.as_str()), ("count", &count)];
                let mut letter = self.letter(texts, &texts.digest, "/", &values);
                let quotes = digest.messages.iter().map(|message| self.quote(message));
                // Before the link.
                letter.blocks.splice(2..2, quotes);
                self.add_unsubscribe(&mut letter, &texts.unsubscribe_digests, token);
                letter
            }
        }
    }

    fn letter(&self, texts: &Texts, text: &Text, path: &str, values: &[(&str, &str)]) -> Letter {
        let mut letter = self.letter_without_greeting(text, path, values);
        letter.blocks.insert(0, Block::Paragraph(fill(&texts.greeting, values)));
        letter
    }

    fn letter_without_greeting(&self, text: &Text, path: &str, values: &[(&str, &str)]) -> Letter {
        let mut blocks: Vec<Block> = text.text.iter().map(|text| Block::Paragraph(fill(text, values))).collect();
        blocks.push(Block::Link { label: text.button.clone(), url: self.url(path) });
        if !text.note.is_empty() {
            blocks.push(Block::Paragraph(fill(&text.note, values)));
        }
        Letter { subject: fill(&text.subject, values), blocks, unsubscribe_token: None }
    }

    fn quote(&self, message: &UnreadMessage) -> Block {
        let (sender, chat) = (to_name(&message.sender), to_name(&message.chat));
        let title = if chat.is_empty() { sender } else { format!("{sender} · {chat}") };
        let text = to_line(&message.text);
        Block::Quote { title, text, url: self.url(&format!("/chats/{}/{}", message.chat_id, message.message_id)) }
    }

    fn add_unsubscribe(&self, letter: &mut Letter, label: &str, token: &str) {
        let url = self.url(&format!("/unsubscribe#token={token}"));
        letter.blocks.push(Block::SmallLink { label: label.to_owned(), url });
        letter.unsubscribe_token = Some(token.to_owned());
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.public_url.as_str())
    }
}

fn header(name: &'static str, value: String) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value)
}

/// Shortens a `User-Agent` to a browser or a program, and a system. Nothing else of it is shown, because whoever
/// signs in chooses it.
fn describe_device(user_agent: &str) -> String {
    let first = |names: &[(&'static str, &'static str)]| {
        names.iter().find(|(part, _)| user_agent.contains(part)).map(|(_, name)| (*name).to_owned())
    };
    let is_of_name = |c: &char| c.is_ascii_alphanumeric() || *c == '-' || *c == '_';
    let program = || user_agent.chars().take_while(is_of_name).take(MAX_NAME_CHARS).collect::<String>();
    let browser = first(&BROWSERS).unwrap_or_else(program);
    [Some(browser), first(&SYSTEMS)]
        .into_iter()
        .flatten()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(", ")
}

/// A text as one line, without control characters.
fn to_line(text: &str) -> String {
    let visible = text.chars().map(|c| if c.is_control() { ' ' } else { c }).filter(|c| !is_bidi_control(*c));
    visible.collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A name that others chose, which mail programs do not turn into a link: a blank follows each dot and colon.
fn to_name(text: &str) -> String {
    let mut name: String = to_line(text).chars().take(MAX_NAME_CHARS).collect();
    for mark in ['.', ':'] {
        name = name.replace(mark, &format!("{mark} "));
    }
    to_line(&name)
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
            Block::Paragraph(text) => write!(body, "<p>{}</p>", escape(text)),
            Block::Link { label, url } => write!(
                body,
                "<p><a href=\"{}\" style=\"display:inline-block;padding:10px 18px;border-radius:6px;background:#4752c4;\
                 color:#fff;text-decoration:none\">{}</a></p>",
                escape(url),
                escape(label)
            ),
            Block::Quote { title, text, url } => write!(
                body,
                "<p style=\"margin:16px 0;padding-left:12px;border-left:3px solid #4752c4\"><a href=\"{}\">{}</a><br>{}</p>",
                escape(url),
                escape(title),
                escape(text)
            ),
            Block::SmallLink { label, url } => {
                write!(body, "<p style=\"font-size:13px\"><a href=\"{}\">{}</a></p>", escape(url), escape(label))
            }
        };
    }
    format!(
        "<!doctype html><html lang=\"{language}\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><meta name=\"color-scheme\" content=\"light dark\">\
         <title>{}</title></head><body style=\"font:16px/1.5 system-ui,sans-serif\">\
         <div style=\"max-width:560px;margin:0 auto;padding:24px\">{body}</div></body></html>",
        escape(subject)
    )
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_line_and_no_links() {
        for (name, expected) in [
            ("Alice", "Alice"),
            ("Win at evil.example/x", "Win at evil. example/x"),
            ("https://evil.example", "https: //evil. example"),
            ("a\r\nBcc: x@evil.example", "a Bcc: x@evil. example"),
            ("\u{202e}txt", "txt"),
        ] {
            assert_eq!(to_name(name), expected);
        }
        assert_eq!(to_name(&"x".repeat(200)).len(), MAX_NAME_CHARS);
    }

    #[test]
    fn a_device_is_described_by_known_words() {
        for (user_agent, expected) in [
            ("Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0", "Firefox, Linux"),
            ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/150.0 Safari/537.36 Edg/150.0", "Edge, Windows"),
            ("Mozilla/5.0 (Linux; Android 16) AppleWebKit/537.36 Chrome/150.0 Mobile Safari/537.36", "Chrome, Android"),
            ("curl/8.5.0", "curl"),
            ("visit.evil.example now", "visit"),
            ("", ""),
        ] {
            assert_eq!(describe_device(user_agent), expected);
        }
    }

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
