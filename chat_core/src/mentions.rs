//! Finds the usernames that a text mentions. The frontend shows the same mentions
//! (`web/app/src/conversation/mentions.ts`); both are tested with `fixtures/mentions.json`.

use crate::values::Content;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// Maximum number of mentions in one message; further ones are plain text.
const MAX_MENTIONS: usize = 50;

/// The characters that may end a name, or belong to the sentence after it.
const NAME_END: [char; 3] = ['.', '-', '_'];

/// Maximum number of characters after a name that may belong to it.
const MAX_NAME_ENDS: usize = 3;

impl Content {
    /// Returns the names after an `@`, in lower case, without duplicates. The database
    /// resolves them to members. A dot, dash or underscore at the end may belong to the
    /// sentence, so such a name is returned both with it and without it. Code, links and
    /// addresses mention nobody.
    pub fn mentions(&self) -> Vec<String> {
        let text = self.as_str();
        let mut names = Vec::new();
        if !text.contains('@') {
            return names;
        }
        let mut count = 0;
        for part in plain_parts(text) {
            for name in names_in(&part) {
                if count == MAX_MENTIONS {
                    return names;
                }
                count += 1;
                for name in candidates(name) {
                    if !names.contains(&name) {
                        names.push(name);
                    }
                }
            }
        }
        names
    }
}

/// The parts of a Markdown text that are neither code nor links. An escaped character ends
/// a part.
fn plain_parts(text: &str) -> Vec<String> {
    let (mut parts, mut part, mut links) = (Vec::new(), String::new(), 0usize);
    let options = Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TABLES | Options::ENABLE_TASKLISTS;
    let mut is_code = false;
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

/// The names after an `@` in plain text.
fn names_in(text: &str) -> impl Iterator<Item = &str> {
    let is_name_char = |c: char| c.is_ascii_alphanumeric() || NAME_END.contains(&c);
    text.match_indices('@').filter_map(move |(at, _)| {
        let (before, after) = text.split_at(at);
        let word = before.rsplit(char::is_whitespace).next().unwrap_or_default();
        // An `@` after an ASCII letter or digit is part of an email address.
        let is_address = before.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '/' || c == '@');
        if is_address || word.contains("://") || word.starts_with("www.") {
            return None;
        }
        let after = after.get(1..).unwrap_or_default();
        let end = after.find(|c: char| !is_name_char(c)).unwrap_or(after.len());
        after.get(..end).filter(|name| name.starts_with(|c: char| c.is_ascii_alphanumeric()))
    })
}

/// The usernames that may be meant, in lower case.
fn candidates(name: &str) -> impl Iterator<Item = String> {
    let trimmed = name.trim_end_matches(NAME_END);
    let ends = (name.len() - trimmed.len()).min(MAX_NAME_ENDS);
    let names = (0..=ends).filter_map(move |end| name.get(..trimmed.len() + end));
    names.filter(|name| (2..=32).contains(&name.len())).map(str::to_ascii_lowercase)
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
            let called: BTreeSet<String> = mentions(text).into_iter().filter(|name| users.contains(name)).collect();
            assert_eq!(called, texts(&vector["calls"]), "{text:?}");
        }
    }

    #[test]
    fn a_text_has_a_limited_number_of_mentions() {
        assert_eq!(mentions(&(0..99).map(|n| format!("@user{n} ")).collect::<String>()).len(), MAX_MENTIONS);
        assert!(mentions(&format!("@bob{}", "_".repeat(20))).len() <= MAX_NAME_ENDS + 1);
    }
}
