//! Signed tokens: JWTs with EdDSA as the only algorithm. Every claim is verified.

use super::{Signer, Verifier};
use crate::{Error, Result, UserId, time};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, Header, Validation, decode, decode_header, encode, errors::ErrorKind};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Lifetime of an access token, in seconds.
pub const ACCESS_SECONDS: i64 = 15 * 60;

const ISSUER: &str = "confab";
const LEEWAY_SECONDS: u64 = 30;

/// What a token gives access to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// The whole API and event streams.
    Api,
    /// Event streams only; the audience of the stream cookie.
    Stream,
    /// The MCP server only; the audience of the tokens of programs (`oauth`).
    Mcp,
    /// Nothing: it proves that the user has signed in on a device. The audience of the
    /// device cookie.
    Device,
}

impl Audience {
    fn name(self) -> &'static str {
        match self {
            Self::Api => "confab:api",
            Self::Stream => "confab:stream",
            Self::Mcp => "confab:mcp",
            Self::Device => "confab:device",
        }
    }
}

/// The identity that a token proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claims {
    /// The user.
    pub user_id: UserId,
    /// The session of the user's device.
    pub session_id: Uuid,
}

#[derive(Serialize, Deserialize)]
struct JwtPayload {
    iss: String,
    aud: String,
    sub: String,
    sid: Uuid,
    iat: i64,
    nbf: i64,
    exp: i64,
}

impl Signer {
    /// Signs a token that is valid for `seconds` from `now`.
    pub fn sign(&self, claims: Claims, audience: Audience, now: DateTime<Utc>, seconds: i64) -> Result<String> {
        let payload = JwtPayload {
            iss: ISSUER.into(),
            aud: audience.name().into(),
            sub: claims.user_id.to_string(),
            sid: claims.session_id,
            iat: now.timestamp(),
            nbf: now.timestamp(),
            exp: now.timestamp() + seconds,
        };
        let header = Header { kid: Some(self.key_id.clone()), ..Header::new(Algorithm::EdDSA) };
        encode(&header, &payload, &self.key).map_err(Error::internal)
    }
}

impl Verifier {
    /// Returns the claims of a token if its signature, its lifetime and its audience are
    /// valid.
    pub fn verify(&self, token: &str, audience: Audience) -> Result<Claims> {
        if let Some(claims) = self.token_cache.get(token, audience, time::now()) {
            return Ok(claims);
        }
        let header = decode_header(token).map_err(|_| INVALID)?;
        let key = header.kid.as_deref().filter(|_| header.alg == Algorithm::EdDSA).and_then(|id| self.key(id));
        let key = key.filter(|_| !has_critical_extension(token)).ok_or(INVALID)?;
        let mut rules = Validation::new(Algorithm::EdDSA);
        rules.set_issuer(&[ISSUER]);
        rules.set_audience(&[audience.name()]);
        rules.set_required_spec_claims(&["iss", "aud", "sub", "exp", "nbf"]);
        rules.validate_nbf = true;
        rules.leeway = LEEWAY_SECONDS;
        let payload = decode::<JwtPayload>(token, key, &rules)
            .map_err(|error| match error.kind() {
                ErrorKind::ExpiredSignature => EXPIRED,
                _ => INVALID,
            })?
            .claims;
        let claims = Claims { user_id: payload.sub.parse().map_err(|_| INVALID)?, session_id: payload.sid };
        self.token_cache.insert(token, audience, claims, payload.exp);
        Ok(claims)
    }
}

/// Whether the header of a token names extensions that a verifier must understand. There
/// are none that this one understands.
fn has_critical_extension(token: &str) -> bool {
    let header = token.split('.').next().and_then(|part| BASE64_URL_SAFE_NO_PAD.decode(part).ok());
    let header = header.and_then(|bytes| serde_json::from_slice::<serde_json::Map<_, _>>(&bytes).ok());
    header.is_none_or(|header| header.contains_key("crit"))
}

/// The token is not valid.
pub(super) const INVALID: Error =
    Error::Unauthorized { code: "token_invalid", detail: "this token is not valid for this request" };
const EXPIRED: Error = Error::Unauthorized { code: "token_expired", detail: "this token has expired; refresh it" };

/// The request has no token.
pub const MISSING: Error = Error::Unauthorized {
    code: "token_missing",
    detail: "sign in first, and send the token as `Authorization: Bearer …`",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_critical_extension_is_recognized() {
        let token = |header: &str| format!("{}.e30.AA", BASE64_URL_SAFE_NO_PAD.encode(header));
        assert!(has_critical_extension(&token(r#"{"alg":"EdDSA","crit":["b64"]}"#)));
        assert!(has_critical_extension(&token(r#"{"alg":"EdDSA","crit":[]}"#)));
        assert!(!has_critical_extension(&token(r#"{"alg":"EdDSA","kid":"x"}"#)));
        assert!(has_critical_extension("no header"));
    }
}
