//! Links with which people on other networks can load one file, for a while.
//!
//! A link contains a sealed expiry time and the message with which the file was sent, so nothing about it is
//! stored, and nobody else can make one. It ends with that message.

use crate::{
    FileId, MessageId, Result,
    sealing::{Sealer, SecretLocation},
    time::now,
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::TimeDelta;

/// How long a link works.
pub const LIFETIME: TimeDelta = TimeDelta::days(30);

/// The longest token, in characters.
const MAX_TOKEN_CHARS: usize = 200;

fn location(file: FileId) -> SecretLocation {
    SecretLocation { table: "file_links", row: file.get() }
}

/// Returns the path and the query of a link to a file of a message.
pub fn create(sealer: &Sealer, file: FileId, message: MessageId) -> Result<String> {
    let token = seal(sealer, file, message, (now() + LIFETIME).timestamp())?;
    Ok(format!("/api/files/{file}/shared?token={token}"))
}

fn seal(sealer: &Sealer, file: FileId, message: MessageId, expires_at: i64) -> Result<String> {
    let content = [expires_at.to_be_bytes(), message.get().to_be_bytes()].concat();
    Ok(BASE64_URL_SAFE_NO_PAD.encode(sealer.seal(location(file), &content)?))
}

/// Opens the token of a link to a file: returns the message with which it was sent. `None` if the token is
/// wrong or has expired.
pub fn open(sealer: &Sealer, file: FileId, token: &str) -> Option<MessageId> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(Some(token).filter(|token| token.len() <= MAX_TOKEN_CHARS)?).ok()?;
    let content = sealer.open(location(file), &bytes).ok()?;
    let (expires_at, message) = content.split_at_checked(size_of::<i64>())?;
    let number = |bytes: &[u8]| Some(i64::from_be_bytes(bytes.try_into().ok()?));
    (now().timestamp() < number(expires_at)?).then_some(())?;
    MessageId::try_from(number(message)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_opens_one_file_until_it_expires() {
        let folder = tempfile::tempdir().expect("a folder");
        let sealer = Sealer::create_file(&folder.path().join("key")).expect("a key");
        let (file, other): (FileId, FileId) = ("7".parse().expect("an id"), "8".parse().expect("an id"));
        let message: MessageId = "9".parse().expect("an id");
        let link = create(&sealer, file, message).expect("a link");
        let token = link.strip_prefix("/api/files/7/shared?token=").expect("a path");
        assert_eq!(open(&sealer, file, token), Some(message));
        assert_eq!(open(&sealer, other, token), None, "of another file");
        assert_eq!(open(&sealer, file, &token.replace(token.get(..4).expect("letters"), "AAAA")), None, "changed");
        let ended = seal(&sealer, file, message, (now() - TimeDelta::seconds(1)).timestamp()).expect("sealed");
        assert_eq!(open(&sealer, file, &ended), None, "expired");
        for bad in ["", "x", &"A".repeat(1_000), "AQAAAAA"] {
            assert_eq!(open(&sealer, file, bad), None, "{bad}");
        }
    }
}
