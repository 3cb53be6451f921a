//! Signs deliveries by the specification Standard Webhooks 1.0.0: HMAC-SHA256 over the id, the
//! time and the body.

use aws_lc_rs::hmac;
use base64::{Engine, prelude::BASE64_STANDARD};

/// Returns the value of the header `webhook-signature`: one signature for each key.
pub(crate) fn sign(keys: &[Vec<u8>], id: &str, timestamp: i64, body: &[u8]) -> String {
    let signatures = keys.iter().map(|key| {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
        context.update(format!("{id}.{timestamp}.").as_bytes());
        context.update(body);
        format!("v1,{}", BASE64_STANDARD.encode(context.sign()))
    });
    signatures.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's reference libraries.
    #[test]
    fn the_example_of_the_specification_has_its_signature() {
        let key = BASE64_STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a key");
        let signature =
            sign(std::slice::from_ref(&key), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        let rotated =
            sign(&[b"new".to_vec(), key], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert!(rotated.starts_with("v1,") && rotated.ends_with(&format!(" {signature}")));
    }
}
