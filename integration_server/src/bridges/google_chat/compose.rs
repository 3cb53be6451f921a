//! The messages of Google Chat that one message of Confab becomes.

use crate::bridges::text::{from_markdown, replace_outside_code, sender_prefix, split};
use chat_core::{Result, bridges::relay::RelayedMessage, file_links, sealing::Sealer};
use chat_http::settings::PublicUrl;

/// Maximum number of characters of a text: Google allows 32,000 bytes.
const MAX_TEXT_CHARS: usize = 7_900;

/// Maximum number of links of one text that are searched for their end. It bounds the work.
const MAX_OPEN_LINKS: usize = 64;

/// Maximum number of characters of the text and of the URL of a link.
const MAX_LINK_CHARS: usize = 1_000;

/// Stands between the sign and the name of what would be a reference, so that it is none.
const WORD_JOINER: char = '\u{2060}';

/// Splits a message into texts. The same message always becomes the same texts, except for the links to
/// its files.
pub(crate) fn compose(
    message: &RelayedMessage,
    shows_name: bool,
    sealer: &Sealer,
    public_url: Option<&PublicUrl>,
) -> Result<Vec<String>> {
    let name = if shows_name { sender_prefix(&message.sender_name) } else { String::new() };
    let text = format!("{name}{}", to_google(message.content.trim()));
    let mut files = Vec::new();
    for file in &message.files {
        let filename: String = file.filename.chars().filter(|c| !c.is_control() && !"<>|".contains(*c)).collect();
        files.push(match public_url {
            Some(url) => {
                format!("📎 <{}{}|{filename}>", url.as_str(), file_links::create(sealer, file.id, message.id)?)
            }
            None => format!("📎 {filename}"),
        });
    }
    let files = files.join("\n");
    if message.content.trim().is_empty() {
        let text = format!("{name}{files}");
        return Ok(if files.is_empty() { Vec::new() } else { vec![text] });
    }
    let mut texts: Vec<String> = split(&text, MAX_TEXT_CHARS).into_iter().map(str::to_owned).collect();
    texts.retain(|text| !text.trim().is_empty());
    match texts.last_mut() {
        // Links are not cut.
        Some(last) if !files.is_empty() && last.chars().count() + files.chars().count() < MAX_TEXT_CHARS => {
            *last = format!("{}\n{files}", last.trim_end());
        }
        _ if !files.is_empty() => texts.push(files),
        _ => {}
    }
    Ok(texts)
}

/// Replaces the marks and the links of Markdown by those of Google Chat. What only Google Chat would read as a
/// mention or a link stays text: a member here must not be able to call everybody in a space.
pub(crate) fn to_google(text: &str) -> String {
    let mut text = text.to_owned();
    for reference in ["<users/", "<http", "<mailto:", "<customEmojis/"] {
        text = text.replace(reference, &format!("<{WORD_JOINER}{}", &reference[1..]));
    }
    let mut open_links = 0;
    let linked = replace_outside_code(&text, |part, output| replace_links(part, &mut open_links, output));
    from_markdown(&linked)
}

fn replace_links(text: &str, open_links: &mut usize, output: &mut String) {
    let mut rest = text;
    while let Some(start) = rest.find('[') {
        output.push_str(&rest[..start]);
        rest = &rest[start..];
        let link = if *open_links < MAX_OPEN_LINKS { parse_link(rest) } else { None };
        match link {
            Some((title, url, length)) => {
                output.push_str(&format!("<{url}|{title}>"));
                rest = &rest[length..];
            }
            None => {
                *open_links += 1;
                output.push('[');
                rest = &rest[1..];
            }
        }
    }
    output.push_str(rest);
}

/// Reads a link at the start of a text: its title, its URL, and its length in bytes.
fn parse_link(text: &str) -> Option<(&str, &str, usize)> {
    let end = text.char_indices().nth(MAX_LINK_CHARS * 2).map_or(text.len(), |(at, _)| at);
    let (title, after) = text[1..end].split_once("](")?;
    let (url, _) = after.split_once(')')?;
    let is_title = !title.is_empty() && !title.contains(['[', ']', '<', '>', '|', '\n']);
    let is_url = (url.starts_with("https://") || url.starts_with("http://"))
        && !url.contains(|c: char| c.is_whitespace() || "<>|".contains(c));
    (is_title && is_url).then(|| (title, url, 1 + title.len() + 2 + url.len() + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn links_and_marks_are_those_of_google_chat() {
        for (markdown, expected) in [
            ("see [the plan](https://a.example/x?y=1) **now**", "see <https://a.example/x?y=1|the plan> *now*"),
            ("[a](javascript:x) [b](http://b.example)", "[a](javascript:x) <http://b.example|b>"),
            ("`[a](https://a.example)`", "`[a](https://a.example)`"),
            ("[open", "[open"),
            ("[a|b](https://a.example)", "[a|b](https://a.example)"),
        ] {
            assert_eq!(to_google(markdown), expected, "{markdown}");
        }
    }

    #[test]
    fn nobody_in_a_space_is_mentioned() {
        assert!(!to_google("<users/all> hello").contains("<users/"));
        assert!(!to_google("`<users/all>`").contains("<users/"));
        assert!(!to_google("<https://evil.example|good>").contains("<https"));
    }

    #[test]
    fn a_text_of_any_shape_is_converted_in_linear_time() {
        for shape in ["[", "[a](", "[a](https://x", "[](", "<users/"] {
            let text = shape.repeat(65_536 / shape.len());
            assert!(to_google(&text).len() >= text.len());
        }
    }

    proptest! {
        #[test]
        fn no_letter_is_lost(text in "[a-c \\[\\]()*_`:/.|<>]{0,60}|\\PC{0,60}|\\[[a-c ]{1,5}\\]\\(https://[a-c./]{1,9}\\)") {
            let letters = |text: &str| {
                let mut letters: Vec<char> = text.chars().filter(|c| c.is_alphanumeric()).collect();
                letters.sort_unstable();
                letters
            };
            prop_assert_eq!(letters(&to_google(&text)), letters(&text));
        }
    }
}
