//! The mailbox of `confab dev`: a page with the mail that would be sent. It shows links that open accounts, so it
//! exists only if no other machine can reach the server.

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use integration_server::mail::{LocalMailbox, StoredMail, escape_html};
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

/// Headers of requests that came through a proxy, which may make the page reachable for others.
const PROXY_HEADERS: [&str; 5] = ["x-forwarded-for", "x-forwarded-host", "x-real-ip", "forwarded", "via"];

/// Whether a browser on this machine opened the page: not through a proxy, and not by a script of another page.
fn is_opened_here(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").map_or("none", |site| site.to_str().unwrap_or_default());
    let is_direct = !PROXY_HEADERS.iter().any(|name| headers.contains_key(*name));
    is_direct && !headers.contains_key(header::ORIGIN) && matches!(site, "none" | "same-origin")
}

async fn show(State(mailbox): State<LocalMailbox>, request: HeaderMap) -> Response {
    if !is_opened_here(&request) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let headers =
        [(header::CONTENT_SECURITY_POLICY, POLICY), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (headers, Html(render(&mailbox.list()))).into_response()
}

fn render(mails: &[StoredMail]) -> String {
    let mut body = String::new();
    for mail in mails {
        let _ = write!(
            body,
            "<article><h2>{}</h2><small>to {}, {}</small><pre>{}</pre></article>",
            escape_html(&mail.subject),
            escape_html(&mail.address),
            mail.at.format("%Y-%m-%d %H:%M:%S UTC"),
            link_urls(&mail.text)
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
fn link_urls(text: &str) -> String {
    let lines = text.lines().map(|line| match line.starts_with("http://") || line.starts_with("https://") {
        true => format!("<a href=\"{0}\">{0}</a>", escape_html(line)),
        false => escape_html(line),
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_for_browsers_on_this_machine() {
        let headers = |pairs: &[(&'static str, &'static str)]| {
            pairs
                .iter()
                .map(|(name, value)| ((*name).parse().expect("a name"), HeaderValue::from_static(value)))
                .collect()
        };
        assert!(is_opened_here(&headers(&[])));
        assert!(is_opened_here(&headers(&[("sec-fetch-site", "same-origin")])));
        for bad in [
            ("x-forwarded-for", "192.0.2.1"),
            ("via", "1.1 proxy"),
            ("origin", "https://app.example"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            assert!(!is_opened_here(&headers(&[bad])), "{bad:?}");
        }
    }

    #[test]
    fn links_can_be_followed_and_text_is_no_html() {
        let text = "<b>\nhttp://127.0.0.1/x#token=\"a\"&b";
        let expected = "&lt;b&gt;\n<a href=\"http://127.0.0.1/x#token=&quot;a&quot;&amp;b\">http://127.0.0.1/x#token=&quot;a&quot;&amp;b</a>";
        assert_eq!(link_urls(text), expected);
    }
}
