//! How texts that others chose are shown in mail.

use chat_core::values::is_bidi_control;

/// Maximum length of a name in a mail, in characters.
const MAX_NAME_CHARS: usize = 60;

/// Parts of a `User-Agent` and the browsers that send them. Browsers also send the parts of those below them.
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

/// Shortens a `User-Agent` to a browser or a program, and a system. Nothing else of it is shown, because whoever
/// signs in chooses it.
pub(super) fn describe_device(user_agent: &str) -> String {
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
pub(super) fn to_line(text: &str) -> String {
    let visible = text.chars().map(|c| if c.is_control() { ' ' } else { c }).filter(|c| !is_bidi_control(*c));
    visible.collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A name that others chose, which mail programs do not turn into a link: a blank follows each dot and colon, and each
/// character that browsers take for a dot.
pub(super) fn to_name(text: &str) -> String {
    let mut name: String = to_line(text).chars().take(MAX_NAME_CHARS).collect();
    for mark in ['.', ':', '。', '．', '｡'] {
        name = name.replace(mark, &format!("{mark} "));
    }
    to_line(&name)
}

/// Text as a part of HTML.
pub fn escape_html(text: &str) -> String {
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
            ("evil。com", "evil。 com"),
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
}
