//! Says to push services who sends (VAPID, RFC 8292).

use aws_lc_rs::{
    error::{KeyRejected, Unspecified},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chat_core::push::subscriptions::PushKey;
use serde_json::json;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// How long a token is valid, in seconds: at most a day.
const TOKEN_SECONDS: i64 = 12 * 3600;

/// How long before its end a token is replaced, in seconds.
const RENEW_SECONDS: i64 = 3600;

/// Maximum number of push services whose tokens are kept.
const MAX_TOKENS: usize = 1_000;

/// Signs requests to push services.
pub(crate) struct Vapid {
    pair: EcdsaKeyPair,
    public_key: String,
    /// A URL or a mail address at which the operators of a push service reach those of this server.
    contact: String,
    /// The header by origin of the push service, and until when it is valid, in seconds since 1970.
    tokens: Mutex<HashMap<String, (String, i64)>>,
}

impl Vapid {
    pub(crate) fn new(key: &PushKey, contact: String) -> Result<Self, KeyRejected> {
        let pair = EcdsaKeyPair::from_private_key_and_public_key(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            &key.private_key,
            &key.public_key,
        )?;
        let public_key = BASE64_URL_SAFE_NO_PAD.encode(&key.public_key);
        Ok(Self { pair, public_key, contact, tokens: Mutex::default() })
    }

    /// Returns the value of the header `Authorization` for a push service.
    pub(crate) fn authorization(&self, origin: &str, now: i64) -> Result<String, Unspecified> {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((header, expires_at)) = tokens.get(origin)
            && *expires_at - now > RENEW_SECONDS
        {
            return Ok(header.clone());
        }
        let expires_at = now + TOKEN_SECONDS;
        let claims = json!({ "aud": origin, "exp": expires_at, "sub": self.contact }).to_string();
        let header = json!({ "typ": "JWT", "alg": "ES256" }).to_string();
        let signed = format!("{}.{}", BASE64_URL_SAFE_NO_PAD.encode(header), BASE64_URL_SAFE_NO_PAD.encode(claims));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes())?;
        // Some libraries reject a space after the comma.
        let header = format!("vapid t={signed}.{},k={}", BASE64_URL_SAFE_NO_PAD.encode(signature), self.public_key);
        if tokens.len() >= MAX_TOKENS {
            tokens.clear();
        }
        tokens.insert(origin.to_owned(), (header.clone(), expires_at));
        Ok(header)
    }
}
