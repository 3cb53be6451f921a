//! Links with which people on other networks can load one file, for a while.
//!
//! A link contains a sealed expiry time, so nothing about it is stored, and nobody else can make one. The
//! file must still be attached to a message.

use crate::{
    FileId, Result,
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

/// Returns the path and the query of a link to a file.
pub fn create(sealer: &Sealer, file: FileId) -> Result<String> {
    let expires_at = (now() + LIFETIME).timestamp();
    let token = BASE64_URL_SAFE_NO_PAD.encode(sealer.seal(location(file), &expires_at.to_be_bytes())?);
    Ok(format!("/api/files/{file}/shared?token={token}"))
}

/// Whether a token is one of a link to this file that has not expired.
pub fn is_valid(sealer: &Sealer, file: FileId, token: &str) -> bool {
    let bytes = Some(token).filter(|token| token.len() <= MAX_TOKEN_CHARS);
    let bytes = bytes.and_then(|token| BASE64_URL_SAFE_NO_PAD.decode(token).ok());
    let opened = bytes.and_then(|bytes| sealer.open(location(file), &bytes).ok());
    let expires_at = opened.and_then(|bytes| Some(i64::from_be_bytes(bytes.try_into().ok()?)));
    expires_at.is_some_and(|at| now().timestamp() < at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_opens_one_file_until_it_expires() {
        let folder = tempfile::tempdir().expect("a folder");
        let sealer = Sealer::create_file(&folder.path().join("key")).expect("a key");
        let (file, other): (FileId, FileId) = ("7".parse().expect("an id"), "8".parse().expect("an id"));
        let link = create(&sealer, file).expect("a link");
        let token = link.strip_prefix("/api/files/7/shared?token=").expect("a path");
        assert!(is_valid(&sealer, file, token));
        assert!(!is_valid(&sealer, other, token), "of another file");
        assert!(!is_valid(&sealer, file, &token.replace(token.get(..4).expect("letters"), "AAAA")), "changed");
        let ended = (now() - TimeDelta::seconds(1)).timestamp();
        let sealed = sealer.seal(location(file), &ended.to_be_bytes()).expect("sealed");
        assert!(!is_valid(&sealer, file, &BASE64_URL_SAFE_NO_PAD.encode(sealed)), "expired");
        for bad in ["", "x", &"A".repeat(1_000), "AQAAAAA"] {
            assert!(!is_valid(&sealer, file, bad), "{bad}");
        }
    }
}
