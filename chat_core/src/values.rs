//! User input, parsed at the boundary into types that are always valid.
//! No value contains a NUL, which Postgres cannot store.

use crate::search::words;
use chrono::NaiveTime;
use chrono_tz::Tz;
use icu_normalizer::ComposingNormalizer;
use icu_properties::{CodePointSetData, CodePointSetDataBorrowed, props::DefaultIgnorableCodePoint};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};
use std::{borrow::Cow, fmt};

macro_rules! text_types {
    ($($(#[doc = $doc:literal])* $name:ident $schema:tt = $check:expr;)*) => {$(
        $(#[doc = $doc])*
        #[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Returns the text.
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
            /// Writes only the type, so that user text never reaches a log.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    )*};
}

text_types! {
    /// 2 to 32 characters of `A–Z a–z 0–9 _ . -`, starting and ending with a letter or
    /// digit: a sign after a name belongs to the sentence.
    Username { "minLength": 2, "maxLength": 32, "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]{0,30}[A-Za-z0-9]$" } = |text| {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        let has_valid_ends = [text.chars().next(), text.chars().last()].iter().flatten().all(char::is_ascii_alphanumeric);
        let shape = username_shape(&text);
        if RESERVED_USERNAMES.iter().any(|name| username_shape(name) == shape) || is_shape_of_deleted(&shape) || text.to_ascii_lowercase().starts_with("deleted-") {
            return Err("this name is reserved".into());
        }
        if (2..=32).contains(&text.len()) && has_valid_ends && text.chars().all(is_allowed) {
            Ok(text)
        } else {
            Err("a username must have 2 to 32 letters, digits, dots, dashes or underscores, and start and end with a letter or digit".into())
        }
    };
    /// 1 to 64 characters.
    DisplayName { "minLength": 1, "maxLength": 64 } = |text| single_line(text, "a display name", 1, 64);
    /// An email of a new account or a new one of an account: text before and after one `@`, at most 254 characters.
    Email { "format": "email", "minLength": 3, "maxLength": 254 } = |text| {
        // Keyboards differ in how they compose a character.
        let text = ComposingNormalizer::new_nfc().normalize(text.trim()).into_owned();
        let is_well_formed = text.split_once('@').is_some_and(|(local, domain)| {
            let has_parts = |text: &str, max| text.split('.').all(|part| (1..=max).contains(&part.len()));
            let is_of_domain = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || c == '-' || c == '.';
            local.len() <= 64 && has_parts(local, 64) && has_parts(domain, 63) && domain.chars().all(is_of_domain)
        });
        if is_well_formed && text.chars().all(is_email_char) && text.chars().count() <= 254 {
            Ok(text)
        } else {
            Err("an email must look like name@example.com and have at most 254 characters".into())
        }
    };
    /// An email that names an account, also one that nobody could choose any more: at most 254 characters.
    EmailText { "format": "email", "minLength": 3, "maxLength": 254 } = |text| {
        let text = ComposingNormalizer::new_nfc().normalize(text.trim()).into_owned();
        let is_well_formed = text.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
        if is_well_formed && text.chars().count() <= 254 && !text.contains('\0') {
            Ok(text)
        } else {
            Err("an email must look like name@example.com and have at most 254 characters".into())
        }
    };
    /// 8 to 128 characters.
    Password { "format": "password", "minLength": 8, "maxLength": 128 } = |text| match text.chars().count() {
        // Keyboards differ in how they compose a character.
        8..=128 if !text.contains('\0') => Ok(ComposingNormalizer::new_nfc().normalize(&text).into_owned()),
        _ => Err("a password must have 8 to 128 characters".into()),
    };
    /// A password to verify, not one to set: 1 to 1,024 characters.
    PasswordText { "format": "password", "minLength": 1, "maxLength": 1024 } = |text| match text.chars().count() {
        1..=1024 if !text.contains('\0') => Ok(ComposingNormalizer::new_nfc().normalize(&text).into_owned()),
        _ => Err("a password to verify must have 1 to 1,024 characters".into()),
    };
    /// 1 to 100 characters.
    ChatName { "minLength": 1, "maxLength": 100 } = |text| single_line(text, "a chat's name", 1, 100);
    /// The current topic of a chat: at most 250 characters.
    Topic { "maxLength": 250 } = |text| single_line(text, "a topic", 0, 250);
    /// A short text about a user: at most 500 characters.
    Bio { "maxLength": 500 } = |text| match text.contains(is_bidi_control) {
        true => Err("a bio cannot contain characters that change the direction of text".into()),
        false => check_length(text, "a bio", 0, 500),
    };
    /// The text of a custom status: 1 to 100 characters.
    StatusText { "minLength": 1, "maxLength": 100 } = |text| single_line(text, "a status", 1, 100);
    /// The reason for a ban: at most 250 characters.
    Reason { "maxLength": 250 } = |text| single_line(text, "a reason", 0, 250);
    /// One emoji. Each spelling is accepted; the one that Unicode recommends is stored.
    Emoji { "minLength": 1, "maxLength": 32, "examples": ["🎉"] } = |text| match emojis::get(&text) {
        Some(emoji) => Ok(emoji.as_str().to_owned()),
        None => Err("must be one emoji".into()),
    };
    /// The name of an API token: 1 to 64 characters.
    TokenName { "minLength": 1, "maxLength": 64 } = |text| single_line(text, "the name of a token", 1, 64);
    /// A word or a phrase of which a user is notified: 1 to 50 characters, of which one is a letter, a digit or an
    /// emoji.
    Keyword { "minLength": 1, "maxLength": 50 } = |text| {
        let text = single_line(text, "a keyword", 1, 50)?;
        if words(&text).is_empty() { Err("a keyword must contain a letter, a digit or an emoji".into()) } else { Ok(text) }
    };
    /// A time of the day: hours and minutes, such as `22:30`.
    TimeOfDay { "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$", "examples": ["22:30"] } = |text| {
        match (text.len(), NaiveTime::parse_from_str(&text, "%H:%M")) {
            (5, Ok(_)) if !text.contains(|c: char| c != ':' && !c.is_ascii_digit()) => Ok(text),
            _ => Err("a time of the day must have hours and minutes, such as 22:30".into()),
        }
    };
    /// The name of a time zone of the IANA database.
    TimeZone { "maxLength": 64, "examples": ["Europe/Berlin"] } = |text| match text.parse::<Tz>() {
        Ok(_) => Ok(text),
        Err(_) => Err("must be the name of a time zone, such as Europe/Berlin".into()),
    };
    /// What an endpoint of webhooks is for: at most 200 characters.
    EndpointDescription { "maxLength": 200 } = |text| single_line(text, "a description", 0, 200);
    /// The name of a bridge: 1 to 64 characters.
    BridgeName { "minLength": 1, "maxLength": 64 } = |text| single_line(text, "the name of a bridge", 1, 64);
    /// The id of an account on another network: 1 to 64 letters or digits.
    RemoteAccountId { "pattern": "^[A-Za-z0-9]{1,64}$" } = |text| match (1..=64).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric()) {
        true => Ok(text),
        false => Err("an id of an account must have 1 to 64 letters or digits".into()),
    };
    /// A secret that another network issued: 1 to 1,000 visible ASCII characters.
    CredentialText { "pattern": "^[!-~]{1,1000}$" } = |text| match (1..=1000).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(text),
        false => Err("a secret must have 1 to 1000 visible ASCII characters".into()),
    };
    /// The number of a project at Google Cloud: 6 to 20 digits.
    ProjectNumber { "pattern": "^[0-9]{6,20}$" } = |text| match (6..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => Ok(text),
        false => Err("a project number must have 6 to 20 digits; it is not the id of the project".into()),
    };
    /// The key file of a service account at Google, in JSON: at most 8,000 bytes.
    ServiceAccountKeyText { "minLength": 2, "maxLength": 8000 } = |text| match text.len() {
        2..=8000 => Ok(text),
        _ => Err("must be the JSON key file of a service account".into()),
    };
    /// The name of a space of Google Chat: `spaces/` and 1 to 64 letters, digits, `-` and `_`.
    SpaceName { "pattern": "^spaces/[A-Za-z0-9_-]{1,64}$" } = |text| {
        let id = text.strip_prefix("spaces/").unwrap_or_default();
        match (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
            true => Ok(text),
            false => Err("must be the name of a space, such as spaces/AAAABBBB".into()),
        }
    };
    /// A secret that was entered at GitHub: 1 to 1,000 bytes without control characters.
    GithubSecret { "minLength": 1, "maxLength": 1000 } = |text| match (1..=1000).contains(&text.len()) && !text.contains(char::is_control) {
        true => Ok(text),
        false => Err("a secret must have 1 to 1000 bytes and no control characters".into()),
    };
    /// A phone number with the code of the country: 7 to 15 digits. Spaces, dashes and parentheses
    /// between them are ignored.
    PhoneNumber { "pattern": "^\\+?[1-9][0-9]{6,14}$" } = |text| {
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        let is_plain = text.strip_prefix('+').unwrap_or(&text).chars().all(|c| c.is_ascii_digit() || " ()-".contains(c));
        match (7..=15).contains(&digits.len()) && is_plain && !digits.starts_with('0') {
            true => Ok(digits),
            false => Err("must be a phone number with the code of the country, such as +49 151 12345678".into()),
        }
    };
    /// The secret part of the URL of a webhook: 32 to 64 letters, digits, dashes or underscores.
    WebhookToken { "pattern": "^[A-Za-z0-9_-]{32,64}$" } = |text| match (32..=64).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)) {
        true => Ok(text),
        false => Err("the token of a webhook must have 32 to 64 letters, digits, dashes or underscores".into()),
    };
    /// The secret part of an invite link: 8 to 64 letters, digits, dashes or underscores.
    InviteCode { "pattern": "^[A-Za-z0-9_-]{8,64}$" } = |text| match (8..=64).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)) {
        true => Ok(text),
        false => Err("an invite code must have 8 to 64 letters, digits, dashes or underscores".into()),
    };
    /// The registration token of an app at Firebase Cloud Messaging: 20 to 1,000 letters, digits, dashes, underscores or colons.
    DeviceToken { "pattern": "^[A-Za-z0-9_:-]{20,1000}$" } = |text| match (20..=1000).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_:".contains(c)) {
        true => Ok(text),
        false => Err("a registration token must have 20 to 1,000 letters, digits, dashes, underscores or colons".into()),
    };
    /// The token of a link in a mail: 32 to 64 letters, digits, dashes or underscores.
    LinkToken { "pattern": "^[A-Za-z0-9_-]{32,64}$" } = |text| match (32..=64).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)) {
        true => Ok(text),
        false => Err("the token of a link must have 32 to 64 letters, digits, dashes or underscores".into()),
    };
    /// At most 1,000 characters.
    Description { "maxLength": 1000 } = |text| check_length(text, "a description", 0, 1000);
    /// A message's text, at most 64 KiB of UTF-8.
    Content { "maxLength": 65536 } = |text| {
        if text.len() > MAX_CONTENT_BYTES {
            Err(format!("a message must have at most {MAX_CONTENT_BYTES} bytes"))
        } else {
            reject_nul(text, "a message")
        }
    };
    /// A client-chosen key that makes one send idempotent: 1 to 64 characters.
    Nonce { "minLength": 1, "maxLength": 64 } = |text| check_length(text, "a nonce", 1, 64);
    /// A client-chosen key that makes one refresh idempotent: 16 to 64 random characters.
    RefreshNonce { "minLength": 16, "maxLength": 64 } = |text| check_length(text, "a nonce", 16, 64);
    /// A search text: 1 to 100 characters.
    SearchText { "minLength": 1, "maxLength": 100 } = |text| check_length(text.trim().to_owned(), "a query", 1, 100);
}

/// Deserializes an enum from its name as a string only: serde's derived
/// implementation also accepts `{"name": null}`.
pub(crate) fn deserialize_variant<'de, T, D>(from: D, variants: &'static [(&'static str, T)]) -> Result<T, D::Error>
where
    T: Copy,
    D: serde::Deserializer<'de>,
{
    let word = String::deserialize(from)?;
    variants.iter().find(|(name, _)| *name == word).map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = variants.iter().map(|(name, _)| *name).collect();
        serde::de::Error::custom(format!("expected one of {}", names.join(", ")))
    })
}

/// Deserializes a field of a patch, where null differs from an absent field.
pub(crate) fn deserialize_nullable<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(from).map(Some)
}

/// Maximum size of a message text, in bytes of UTF-8.
pub const MAX_CONTENT_BYTES: usize = 64 * 1024;

/// The shape of a username: names that look the same have one shape. The database has the
/// same function (0002).
fn username_shape(username: &str) -> String {
    let letters = username.chars().filter(|c| !"._-".contains(*c)).map(|c| match c.to_ascii_lowercase() {
        'i' | '1' => 'l',
        '0' => 'o',
        other => other,
    });
    letters.collect::<String>().replace("rn", "m").replace("vv", "w")
}

/// Whether a username of this shape looks like `deleted-1`, the name of a deleted account.
fn is_shape_of_deleted(shape: &str) -> bool {
    let number = shape.strip_prefix(&username_shape("deleted"));
    number.is_some_and(|number| number.chars().all(|c| c.is_ascii_digit() || matches!(c, 'l' | 'o')))
}

/// Usernames that nobody can have, nor one that looks the same: others would take their
/// user for the server or its staff, or expect that a mention calls many.
const RESERVED_USERNAMES: [&str; 16] = [
    EVERYONE,
    "here",
    "channel",
    "all",
    "admin",
    "administrator",
    "moderator",
    "operator",
    "mod",
    "root",
    "staff",
    "help",
    "security",
    "support",
    "system",
    "confab",
];

/// The name that mentions all members of a chat.
const EVERYONE: &str = "everyone";

impl Content {
    /// Whether the text has no visible character.
    pub fn is_blank(&self) -> bool {
        !self.0.chars().any(is_visible)
    }
}

fn reject_nul(text: String, what: &str) -> Result<String, String> {
    if text.contains('\0') { Err(format!("{what} cannot contain a NUL character")) } else { Ok(text) }
}

fn check_length(text: String, what: &str, min: usize, max: usize) -> Result<String, String> {
    match text.chars().count() {
        n if n < min => Err(format!("{what} must have at least {min} character{}", if min == 1 { "" } else { "s" })),
        n if n > max => Err(format!("{what} must have at most {max} characters")),
        _ => reject_nul(text, what),
    }
}

/// Checks a single line of text: trims it and rejects control characters and the
/// invisible characters that change the direction of the text around them.
fn single_line(text: String, what: &str, min: usize, max: usize) -> Result<String, String> {
    if text.chars().any(|c| c.is_control() || is_bidi_control(c)) {
        return Err(format!("{what} cannot contain control characters"));
    }
    let text = text.trim();
    if has_stray_invisible(text) {
        return Err(format!("{what} cannot contain invisible characters"));
    }
    check_length(text.to_owned(), what, min, max)
}

/// Whether a text contains an invisible character, except one that joins or varies the
/// visible character before it, as in emoji and in Persian and Indic words.
fn has_stray_invisible(text: &str) -> bool {
    let mut before = None;
    text.chars().any(|c| {
        let is_joiner = matches!(c, '\u{200C}' | '\u{200D}' | '\u{FE0E}' | '\u{FE0F}');
        let follows_visible =
            before.is_some_and(|before| is_visible(before) || (before == '\u{FE0F}' && c == '\u{200D}'));
        before = Some(c);
        let is_allowed = is_visible(c) || c.is_whitespace() || (is_joiner && follows_visible);
        !is_allowed
    })
}

/// Whether a character shows something: neither space nor a character that fonts ignore,
/// such as a zero-width space, a soft hyphen or a Hangul filler, nor an empty braille cell.
fn is_visible(c: char) -> bool {
    const IGNORABLE: CodePointSetDataBorrowed<'static> = CodePointSetData::new::<DefaultIgnorableCodePoint>();
    !c.is_whitespace() && !c.is_control() && c != '\u{2800}' && !IGNORABLE.contains(c)
}

/// Whether an email can contain a character. A letter whose lower case is an ASCII letter, such as `İ`, would make two
/// addresses equal that different people have; other dots than `.` are dots for mail servers too.
fn is_email_char(c: char) -> bool {
    let is_plain = is_visible(c) && !is_bidi_control(c) && !"\"(),:;<>[\\]。．｡".contains(c);
    is_plain && (c.is_ascii() || !c.to_lowercase().any(|lower| lower.is_ascii()))
}

/// Whether a character is invisible and changes the direction of the text around it.
pub fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{200E}' | '\u{200F}' | '\u{061C}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_visible_line() {
        assert_eq!(DisplayName::try_from("  Zoë 🦊 ".to_owned()).expect("a name").as_str(), "Zoë 🦊");
        for good in ["👨‍👩‍👧‍👦 Family", "❤️", "می\u{200C}خواهم", "क्\u{200D}ष"] {
            assert_eq!(DisplayName::try_from(good.to_owned()).expect(good).as_str(), good);
        }
        for bad in ["", "   ", "a\nb", "a\0b", "\u{202E}evil", &"x".repeat(65)] {
            assert!(DisplayName::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
        for invisible in
            ['\u{200B}', '\u{3164}', '\u{2800}', '\u{00AD}', '\u{E0041}', '\u{FEFF}', '\u{115F}', '\u{200D}']
        {
            for name in [format!("{invisible}"), format!("{invisible}Alice"), format!(" {invisible} ")] {
                assert!(DisplayName::try_from(name.clone()).is_err(), "{name:?}");
            }
            let content = Content::try_from(format!(" {invisible}\n")).expect("short");
            assert!(content.is_blank(), "{invisible:?}");
        }
        assert!(DisplayName::try_from("Al\u{200B}ice".to_owned()).is_err());
        assert!(Bio::try_from("\u{202E}evil".to_owned()).is_err());
    }

    #[test]
    fn an_address_has_something_on_both_sides_of_one_at_sign() {
        assert!(Email::try_from("a@b".to_owned()).is_ok());
        for good in ["first.last+tag@example.com", "o'neil_x@sub.example", "zoë@bücher.example", "用户@例子.example"]
        {
            assert!(Email::try_from(good.to_owned()).is_ok(), "{good:?}");
        }
        let long_label = format!("a@{}.example", "x".repeat(64));
        for bad in [
            "",
            "@",
            "a@",
            "@b",
            "a b@c.d",
            "a@b@c",
            "a@.b",
            "a\0@b.c",
            "a.@b",
            ".a@b",
            "a..b@c",
            "a,b@c",
            "<a@b>",
            "a;b@c",
            "a@b,c",
            "a@b>c",
            "a@[127.0.0.1]",
            "\"a\"@b",
            "a@b\u{3002}c",
            "a\u{200b}@b",
            &long_label,
            // Their lower case is an ASCII letter.
            "al\u{130}ce@example.com",
            "alice@examp\u{130}e.com",
            "\u{212a}im@example.com\u{130}",
        ] {
            assert!(Email::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_reaction_is_one_emoji_in_one_spelling() {
        let emoji = |text: &str| Emoji::try_from(text.to_owned()).map(String::from);
        assert_eq!(emoji("👍").as_deref(), Ok("👍"));
        assert_eq!(emoji("👍🏽").as_deref(), Ok("👍🏽"));
        assert_eq!(emoji("👨‍👩‍👧‍👦").as_deref(), Ok("👨‍👩‍👧‍👦"));
        assert_eq!(emoji("\u{2764}"), emoji("\u{2764}\u{fe0f}"), "both spellings of a heart give the same emoji");
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
