//! The mailbox of `confab dev`: a page with the mail that would be sent. It shows links that open accounts, so it
//! exists only if no other machine can reach the server.

use axum::{
    Router,
    extract::State,
    http::{HeaderValue, header},
    response::{Html, IntoResponse},
    routing::get,
};
use integration_server::mail::{LocalMailbox, StoredMail};
use std::fmt::Write;

/// The path of the page.
pub(crate) const MAILBOX_PATH: &str = "/mailbox";

/// What the page may load: its own styles.
const POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'");

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:720px;margin:24px auto;padding:0 16px;\
    color-scheme:light dark}article{border:1px solid #8888;border-radius:8px;padding:8px 16px;margin:16px 0}\
    pre{white-space:pre-wrap;overflow-wrap:anywhere;font:inherit}h2{font-size:1.1rem;margin:8px 0}small{opacity:.75}";

/// Serves the page.
pub(crate) fn router(mailbox: LocalMailbox) -> Router {
    Router::new().route(MAILBOX_PATH, get(show)).with_state(mailbox)
}

async fn show(State(mailbox): State<LocalMailbox>) -> impl IntoResponse {
    let headers =
        [(header::CONTENT_SECURITY_POLICY, POLICY), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (headers, Html(render(&mailbox.list())))
}

fn render(mails: &[StoredMail]) -> String {
    let mut body = String::new();
    for mail in mails {
        let _ = write!(
            body,
            "<article><h2>{}</h2><small>to {}, {}</small><pre>{}</pre></article>",
            escape(&mail.subject),
            escape(&mail.address),
            mail.at.format("%Y-%m-%d %H:%M:%S UTC"),
            with_links(&mail.text)
        );
    }
    if mails.is_empty() {
        body.push_str("<p>No mail yet.</p>");
    }
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <meta http-equiv=\"refresh\" content=\"5\"><title>Mailbox · Confab</title><style>{STYLE}</style></head>\
         <body><h1>Mailbox</h1><p>Without SMTP_URL, <code>confab dev</code> keeps its mail here, until it stops.</p>\
         {body}</body></html>"
    )
}

/// Text as HTML, in which each line that is a URL is a link.
fn with_links(text: &str) -> String {
    let lines = text.lines().map(|line| match line.starts_with("http://") || line.starts_with("https://") {
        true => format!("<a href=\"{0}\">{0}</a>", escape(line)),
        false => escape(line),
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_can_be_followed_and_text_is_no_html() {
        let text = "<b>\nhttp://127.0.0.1/x#token=\"a\"&b";
        let expected = "&lt;b&gt;\n<a href=\"http://127.0.0.1/x#token=&quot;a&quot;&amp;b\">http://127.0.0.1/x#token=&quot;a&quot;&amp;b</a>";
        assert_eq!(with_links(text), expected);
    }
}
