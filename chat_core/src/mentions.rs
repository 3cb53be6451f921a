//! Finds the usernames that a text mentions. The frontend shows the same mentions
//! (`web/app/src/conversation/mentions.ts`), except that it shows a very long text, and one
//! with very many markers, without them; both are tested with `fixtures/mentions.json`.

use crate::values::Content;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// Maximum number of mentions in one message; further ones are plain text.
pub const MAX_MENTIONS: usize = 50;

/// The characters of a name besides letters and digits. At its end they belong to the
/// sentence.
const NAME_SIGNS: [char; 3] = ['.', '-', '_'];

impl Content {
    /// Returns the names after an `@`, in lower case, without duplicates. The database
    /// resolves them to members. Code, links and addresses mention nobody.
    pub fn mentions(&self) -> Vec<String> {
        let text = self.as_str();
        let mut names = Vec::new();
        if !text.contains('@') {
            return names;
        }
        let mut count = 0;
        for part in collect_plain_text(text) {
            for name in find_names(&part) {
                if count == MAX_MENTIONS {
                    return names;
                }
                count += 1;
                let name = name.to_ascii_lowercase();
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        names
    }
}

/// Collects the parts of a Markdown text that are neither code nor links. An escaped `@` is
/// replaced, because it mentions nobody.
fn collect_plain_text(text: &str) -> Vec<String> {
    let (mut parts, mut part, mut links) = (Vec::new(), String::new(), 0usize);
    let options = Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TABLES | Options::ENABLE_TASKLISTS;
    let mut is_code = false;
    // Without link definitions, which would hide lines such as `[10:23]: yes`.
    let text = &end_quotes(text).replace("]:", "]\u{fffc}:");
    for (event, range) in Parser::new_ext(text, options).into_offset_iter() {
        match event {
            Event::Text(piece) if links == 0 && !is_code => {
                let is_escaped = text.get(..range.start).is_some_and(|before| before.ends_with('\\'));
                match (is_escaped, piece.strip_prefix('@')) {
                    (true, Some(rest)) => part = std::mem::take(&mut part) + "\u{fffc}" + rest,
                    _ => part.push_str(&piece),
                }
                continue;
            }
            Event::Start(Tag::Link { .. } | Tag::Image { .. }) => links += 1,
            Event::End(TagEnd::Link | TagEnd::Image) => links = links.saturating_sub(1),
            Event::Start(Tag::CodeBlock(_)) => is_code = true,
            Event::End(TagEnd::CodeBlock) => is_code = false,
            _ => {}
        }
        parts.push(std::mem::take(&mut part));
    }
    parts.push(part);
    parts
}

/// Ends each quote where a line without `>` follows, as the frontend does.
fn end_quotes(text: &str) -> String {
    let (mut lines, mut fence, mut was_quote) = (Vec::new(), None::<&str>, false);
    for line in text.split('\n') {
        let indented = line.trim_start_matches(' ');
        let is_block = line.len() - indented.len() <= 3;
        let marker = ["`", "~"].iter().find_map(|sign| {
            let length = indented.len() - indented.trim_start_matches(sign).len();
            indented.get(..length).filter(|_| is_block && length >= 3)
        });
        let is_code = fence.is_some() || marker.is_some();
        fence = match (fence, marker) {
            (None, marker) => marker,
            (Some(open), Some(marker)) if marker.starts_with(open) => None,
            (open, _) => open,
        };
        let is_quote = !is_code && is_block && indented.starts_with('>');
        if was_quote && !is_quote && !line.trim().is_empty() {
            lines.push("");
        }
        lines.push(line);
        was_quote = is_quote;
    }
    lines.join("\n")
}

/// Whether a character is full-width punctuation, which ends an address.
fn is_wide_punctuation(c: char) -> bool {
    matches!(c, '\u{3000}'..='\u{303f}' | '\u{ff00}'..='\u{ff0f}' | '\u{ff1a}'..='\u{ff20}'
        | '\u{ff3b}'..='\u{ff40}' | '\u{ff5b}'..='\u{ff65}')
}

/// Whether a character is a Chinese, Japanese or Korean letter, which ends the name of a host.
fn is_cjk_letter(c: char) -> bool {
    matches!(c, '\u{1100}'..='\u{11ff}' | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}')
}

/// Finds the names after an `@` in plain text, in one pass, at most `MAX_MENTIONS`.
fn find_names(text: &str) -> Vec<&str> {
    let is_name_char = |c: char| c.is_ascii_alphanumeric() || NAME_SIGNS.contains(&c);
    let (mut names, mut before, mut word, mut is_url) = (Vec::new(), ' ', 0, false);
    // Whether the word may still be the name of a host, and the slashes that follow its protocol.
    let (mut is_host, mut slashes) = (true, 0);
    for (at, c) in text.char_indices() {
        let (previous, after) = (before, text.get(at + c.len_utf8()..).unwrap_or_default());
        before = c;
        if c.is_whitespace() || is_wide_punctuation(c) {
            (word, is_url, is_host, slashes) = (at + c.len_utf8(), false, true, 0);
        } else if is_host && is_cjk_letter(c) {
            (word, is_url) = (at + c.len_utf8(), false);
        } else if c == ':' && after.starts_with("//") {
            (is_url, slashes) = (true, 2);
        } else if c == '/' && slashes > 0 {
            slashes -= 1;
        } else if matches!(c, '/' | '?' | '#') {
            is_host = false;
        }
        // An `@` after an ASCII letter or digit is part of an email address.
        if c != '@' || is_url || previous.is_ascii_alphanumeric() || matches!(previous, '/' | '@') {
            continue;
        }
        let end = after.find(|c: char| !is_name_char(c)).unwrap_or(after.len());
        let name = after.get(..end).unwrap_or_default().trim_end_matches(NAME_SIGNS);
        let is_name = (2..=32).contains(&name.len()) && name.starts_with(|c: char| c.is_ascii_alphanumeric());
        let is_www = text.get(word..).is_some_and(|word| word.starts_with("www."));
        names.extend(Some(name).filter(|_| is_name && !is_www));
        if names.len() == MAX_MENTIONS {
            break;
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn mentions(text: &str) -> Vec<String> {
        Content::try_from(text.to_owned()).expect("content").mentions()
    }

    #[test]
    fn the_names_after_an_at_sign_are_mentions_outside_code_and_links() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../fixtures/mentions.json")).expect("vectors");
        let texts = |value: &serde_json::Value| -> BTreeSet<String> {
            let values = value.as_array().expect("a list").iter();
            values.map(|name| name.as_str().expect("a name").to_owned()).collect()
        };
        let users = texts(&vectors["users"]);
        for vector in vectors["texts"].as_array().expect("texts") {
            let text = vector["text"].as_str().expect("a text");
            let mentioned: BTreeSet<String> = mentions(text).into_iter().filter(|name| users.contains(name)).collect();
            assert_eq!(mentioned, texts(&vector["mentions"]), "{text:?}");
        }
    }

    #[test]
    fn a_hostile_text_takes_little_time() {
        for part in ["@", ".@", "@bb", " @", "*", "[", "`", "![", "<", "> ", "_@", "\\@", "://@bb", "|", "~~", "&"] {
            let started_at = std::time::Instant::now();
            mentions(&part.repeat(60_000 / part.len()));
            // A quadratic pass takes minutes in an unoptimised build.
            assert!(started_at.elapsed() < std::time::Duration::from_secs(5), "{part:?}: {:?}", started_at.elapsed());
        }
    }

    #[test]
    fn a_text_has_a_limited_number_of_mentions() {
        assert_eq!(mentions(&(0..99).map(|n| format!("@user{n} ")).collect::<String>()).len(), MAX_MENTIONS);
        assert_eq!(mentions(&format!("@bob{}", "_".repeat(40))), ["bob"]);
    }
}
