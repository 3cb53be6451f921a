//! Text that people type, parsed at the door into types that cannot be wrong.
//! Nothing here holds a NUL, which Postgres cannot store.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};
use std::{borrow::Cow, fmt};

macro_rules! texts {
    ($($(#[doc = $doc:literal])* $name:ident $schema:tt = $check:expr;)*) => {$(
        $(#[doc = $doc])*
        #[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let mut schema = json_schema!($schema);
                schema.insert("type".into(), "string".into());
                schema.insert("description".into(), concat!($($doc),*).trim().into());
                schema
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                let check: fn(String) -> Result<String, String> = $check;
                check(text).map(Self)
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> String {
                text.0
            }
        }

        impl fmt::Debug for $name {
            /// Only the type: what people write never reaches a log.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    )*};
}

texts! {
    /// 2 to 32 of `A–Z a–z 0–9 _ . -`, starting with a letter or digit.
    Username { "minLength": 2, "maxLength": 32, "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]{1,31}$" } = |text| {
        let alphabet = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        let starts_well = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        if text.eq_ignore_ascii_case(EVERYONE) || text.to_ascii_lowercase().starts_with(CLOSED) {
            return Err("this name means something already".into());
        }
        if (2..=32).contains(&text.len()) && starts_well && text.chars().all(alphabet) {
            Ok(text)
        } else {
            Err("a username has 2 to 32 letters, digits, dots, dashes or underscores, and starts with a letter or digit".into())
        }
    };
    /// 1 to 64 characters.
    DisplayName { "minLength": 1, "maxLength": 64 } = |text| label(text, "a display name", 1, 64);
    /// Something before and after one `@`, at most 254 characters.
    Email { "format": "email", "minLength": 3, "maxLength": 254 } = |text| {
        let text = text.trim().to_owned();
        let well_formed = text.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty() && local.len() <= 64 && !domain.is_empty() && !domain.contains('@')
                && !domain.starts_with('.') && !domain.ends_with('.')
        });
        let plain = text.chars().all(|c| !c.is_whitespace() && !c.is_control() && !is_bidi_control(c));
        if well_formed && plain && text.chars().count() <= 254 {
            Ok(text)
        } else {
            Err("this is not an e-mail address".into())
        }
    };
    /// 8 to 128 characters.
    Password { "format": "password", "minLength": 8, "maxLength": 128 } = |text| match text.chars().count() {
        8..=128 if !text.contains('\0') => Ok(text),
        _ => Err("a password has 8 to 128 characters".into()),
    };
    /// 1 to 100 characters.
    ChatName { "minLength": 1, "maxLength": 100 } = |text| label(text, "a chat's name", 1, 100);
    /// What a chat is about at the moment: at most 250 characters.
    Topic { "maxLength": 250 } = |text| label(text, "a topic", 0, 250);
    /// What a person says of themselves: at most 500 characters.
    Bio { "maxLength": 500 } = |text| bounded(text, "a bio", 0, 500);
    /// Why somebody is kept out: at most 250 characters.
    Reason { "maxLength": 250 } = |text| label(text, "a reason", 0, 250);
    /// An emoji, in the one spelling that Unicode recommends for it.
    Emoji { "minLength": 1, "maxLength": 32, "examples": ["🎉"] } = |text| match emojis::get(&text) {
        Some(emoji) => Ok(emoji.as_str().to_owned()),
        None => Err("a reaction is one emoji".into()),
    };
    /// The secret part of an invite link: letters and digits.
    InviteCode { "pattern": "^[A-Za-z0-9_-]{8,64}$" } = |text| match (8..=64).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)) {
        true => Ok(text),
        false => Err("this is not an invite code".into()),
    };
    /// At most 1,000 characters.
    Description { "maxLength": 1000 } = |text| bounded(text, "a description", 0, 1000);
    /// A message's text, at most 64 KiB of UTF-8.
    Content { "maxLength": 65536 } = |text| {
        if text.len() > MAX_CONTENT_BYTES {
            Err(format!("a message has at most {MAX_CONTENT_BYTES} bytes"))
        } else {
            no_nul(text, "a message")
        }
    };
    /// The sender's own name for one send: 1 to 64 characters.
    Nonce { "minLength": 1, "maxLength": 64 } = |text| bounded(text, "a nonce", 1, 64);
    /// What a device calls one refresh of its tokens: 16 to 64 characters that nobody can guess.
    RefreshNonce { "minLength": 16, "maxLength": 64 } = |text| bounded(text, "a nonce", 16, 64);
    /// What someone is looking for: 1 to 100 characters.
    SearchText { "minLength": 1, "maxLength": 100 } = |text| bounded(text.trim().to_owned(), "a search", 1, 100);
}

/// Reads an enum from its word and from nothing else: serde's own reading would
/// also take `{"word": null}`.
pub(crate) fn from_word<'de, T, D>(from: D, words: &'static [(&'static str, T)]) -> Result<T, D::Error>
where
    T: Copy,
    D: serde::Deserializer<'de>,
{
    let word = String::deserialize(from)?;
    words.iter().find(|(name, _)| *name == word).map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
        serde::de::Error::custom(format!("expected one of {}", names.join(", ")))
    })
}

/// A LIKE pattern for "has this somewhere", whatever characters it has.
pub(crate) fn containing(text: &str) -> String {
    format!("%{}%", like_literal(text))
}

/// A LIKE pattern for "starts with this", whatever characters it has.
pub(crate) fn starting_with(text: &str) -> String {
    format!("{}%", like_literal(text))
}

fn like_literal(text: &str) -> String {
    text.replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_")
}

/// Reads a field of a patch, where a null is not the same as nothing.
pub(crate) fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(from).map(Some)
}

/// The largest message text, in bytes of UTF-8.
pub const MAX_CONTENT_BYTES: usize = 64 * 1024;

/// What the names of closed accounts start with.
const CLOSED: &str = "deleted-";

/// What calls all members of a chat.
const EVERYONE: &str = "everyone";

/// The most names that one message calls; more are only text.
const MAX_CALLS: usize = 50;

impl Content {
    /// The names after an `@`, in lower case, each once. Who is meant, if anybody,
    /// the database knows. A dot or dash at the end may be the sentence's, so
    /// the name is given with it and without it.
    pub fn calls(&self) -> Vec<String> {
        let is_of_name = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        let mut calls = Vec::new();
        for (at, _) in self.0.match_indices('@') {
            let (before, after) = self.0.split_at(at);
            // As in an e-mail address.
            if before.ends_with(|c: char| c.is_alphanumeric()) {
                continue;
            }
            let after = after.get(1..).unwrap_or_default();
            let end = after.find(|c: char| !is_of_name(c)).unwrap_or(after.len());
            let name = after.get(..end).unwrap_or_default();
            for name in [name, name.trim_end_matches(['.', '-'])] {
                let name = name.to_ascii_lowercase();
                if (2..=32).contains(&name.len()) && !calls.contains(&name) && calls.len() < MAX_CALLS {
                    calls.push(name);
                }
            }
        }
        calls
    }

    /// Whether there is nothing to read in it.
    pub fn is_blank(&self) -> bool {
        self.0.trim().is_empty()
    }
}

fn no_nul(text: String, what: &str) -> Result<String, String> {
    if text.contains('\0') { Err(format!("{what} cannot contain a NUL character")) } else { Ok(text) }
}

fn bounded(text: String, what: &str, min: usize, max: usize) -> Result<String, String> {
    match text.chars().count() {
        n if n < min => Err(format!("{what} needs at least {min} character{}", if min == 1 { "" } else { "s" })),
        n if n > max => Err(format!("{what} has at most {max} characters")),
        _ => no_nul(text, what),
    }
}

/// One line that others read: trimmed, without control characters or the
/// invisible ones that turn the direction of text around it.
fn label(text: String, what: &str, min: usize, max: usize) -> Result<String, String> {
    if text.chars().any(|c| c.is_control() || is_bidi_control(c)) {
        return Err(format!("{what} cannot contain control characters"));
    }
    bounded(text.trim().to_owned(), what, min, max)
}

/// Whether a character is invisible and turns the direction of text around it.
pub fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{200E}' | '\u{200F}' | '\u{061C}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_visible_line() {
        assert_eq!(DisplayName::try_from("  Zoë 🦊 ".to_owned()).expect("a name").as_str(), "Zoë 🦊");
        for bad in ["", "   ", "a\nb", "a\0b", "\u{202E}evil", &"x".repeat(65)] {
            assert!(DisplayName::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_address_has_something_on_both_sides_of_one_at_sign() {
        assert!(Email::try_from("a@b".to_owned()).is_ok());
        for bad in ["", "@", "a@", "@b", "a b@c.d", "a@b@c", "a@.b", "a\0@b.c"] {
            assert!(Email::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_name_is_called_with_an_at_sign_that_is_not_an_address() {
        let calls = |text: &str| Content::try_from(text.to_owned()).expect("content").calls();
        assert_eq!(calls("Hey @Bob, ask (@carol_2) or @bob"), ["bob", "carol_2"]);
        assert_eq!(calls("It was @bob."), ["bob.", "bob"]);
        assert_eq!(calls("@everyone!"), ["everyone"]);
        assert!(calls("mail a@bob.example, é@bob, @ bob, @x, @@").is_empty());
        assert_eq!(calls("@bob@carol"), ["bob"]);
        assert_eq!(calls(&(0..99).map(|n| format!("@user{n} ")).collect::<String>()).len(), MAX_CALLS);
    }

    #[test]
    fn a_reaction_is_one_emoji_in_one_spelling() {
        let emoji = |text: &str| Emoji::try_from(text.to_owned()).map(String::from);
        assert_eq!(emoji("👍").as_deref(), Ok("👍"));
        assert_eq!(emoji("👍🏽").as_deref(), Ok("👍🏽"));
        assert_eq!(emoji("👨‍👩‍👧‍👦").as_deref(), Ok("👨‍👩‍👧‍👦"));
        assert_eq!(emoji("\u{2764}"), emoji("\u{2764}\u{fe0f}"), "a heart is a heart");
        for bad in ["", "a", "👍👍", "👍 ", ":+1:", "\u{fe0f}", &"👍".repeat(100)] {
            assert!(emoji(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn content_is_measured_in_bytes() {
        assert!(Content::try_from("é".repeat(MAX_CONTENT_BYTES / 2)).is_ok());
        assert!(Content::try_from("é".repeat(MAX_CONTENT_BYTES / 2 + 1)).is_err());
    }
}
