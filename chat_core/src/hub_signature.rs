//! Signatures in `X-Hub-Signature-256`: `sha256=` and the HMAC-SHA-256 of the bytes that arrived, in
//! hexadecimal. GitHub and Meta sign so.

use aws_lc_rs::hmac;

/// Whether a signature is that of a body, made with a secret. The time does not depend on how much of
/// it is right.
pub(crate) fn is_valid(secret: &[u8], signature: &str, body: &[u8]) -> bool {
    let Some(tag) = signature.strip_prefix("sha256=").and_then(|text| hex::decode(text).ok()) else { return false };
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, secret), body, &tag).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_githubs_documentation_verifies() {
        let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let secret = b"It's a Secret to Everybody";
        assert!(is_valid(secret, signature, b"Hello, World!"));
        for (secret, signature, body) in [
            (&secret[..], signature, &b"Hello, World"[..]),
            (b"another", signature, b"Hello, World!"),
            (secret, &signature[7..], b"Hello, World!"),
            (secret, "sha256=75", b"Hello, World!"),
            (secret, "", b"Hello, World!"),
        ] {
            assert!(!is_valid(secret, signature, body));
        }
    }
}
