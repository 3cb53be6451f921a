//! Access tokens: a service account proves with its key who it is, and gets a token for an hour.

use super::api::GoogleError;
use crate::client::{OutgoingClient, ResponseLimits};
use chat_core::{bridges::ServiceAccountKey, time::now};
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use reqwest::{Method, StatusCode, header::CONTENT_TYPE};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use url::{Url, form_urlencoded};

/// Where Google issues tokens. Signed, so that nobody else can use the proof.
const AUDIENCE: &str = "https://oauth2.googleapis.com/token";

/// How long a proof is valid.
const PROOF_LIFETIME: TimeDelta = TimeDelta::minutes(10);

/// How long before its end a token is replaced.
const MARGIN: TimeDelta = TimeDelta::minutes(5);

/// How much of a response is read.
const LIMITS: ResponseLimits = ResponseLimits { bytes: 16 * 1024, time: Duration::from_secs(10) };

/// The errors of a scope that is not approved.
const APPROVAL_ERRORS: [&str; 3] = ["unauthorized_client", "access_denied", "invalid_scope"];

/// What a token permits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Scope {
    /// What an app can do by itself: send, change and delete its messages, and load files.
    App,
    /// To read all messages of a space, which an administrator must approve.
    ReadMessages,
    /// To push to the devices of a native app.
    Push,
}

impl Scope {
    fn name(self) -> &'static str {
        match self {
            Self::App => "https://www.googleapis.com/auth/chat.bot",
            Self::ReadMessages => "https://www.googleapis.com/auth/chat.app.messages.readonly",
            Self::Push => "https://www.googleapis.com/auth/firebase.messaging",
        }
    }
}

#[derive(Debug, Clone)]
struct AccessToken {
    text: String,
    expires_at: DateTime<Utc>,
}

#[derive(Deserialize)]
struct TokenResponse {
    access_token: String,
    expires_in: i64,
}

/// A service account and what the token permits. With a hash of the private key: the address and the id of
/// the key are only what the owner of a bridge claims.
type TokenKey = (String, [u8; 32], Scope);

/// Gets access tokens, and keeps them until they expire.
#[derive(Debug)]
pub(crate) struct AccessTokens {
    client: OutgoingClient,
    url: Url,
    known: Mutex<HashMap<TokenKey, AccessToken>>,
}

impl AccessTokens {
    pub(crate) fn new(client: OutgoingClient, url: Url) -> Self {
        Self { client, url, known: Mutex::default() }
    }

    /// Returns a token of a service account.
    pub(crate) async fn get(&self, key: &ServiceAccountKey, scope: Scope) -> Result<String, GoogleError> {
        let known_as = token_key(key, scope);
        if let Some(token) = self.find(&known_as) {
            return Ok(token);
        }
        let token = self.request(key, scope).await?;
        let text = token.text.clone();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, token| token.expires_at > now());
        known.insert(known_as, token);
        Ok(text)
    }

    /// Forgets a token that was refused.
    pub(crate) fn forget(&self, key: &ServiceAccountKey, scope: Scope) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(&token_key(key, scope));
    }

    fn find(&self, key: &TokenKey) -> Option<String> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(key).filter(|token| token.expires_at - MARGIN > now()).map(|token| token.text.clone())
    }

    async fn request(&self, key: &ServiceAccountKey, scope: Scope) -> Result<AccessToken, GoogleError> {
        let refused = |why: String| GoogleError::Account(format!("Google refuses the service account: {why}"));
        let issued_at = now();
        let claims = json!({ "iss": key.client_email, "scope": scope.name(), "aud": AUDIENCE,
                             "iat": issued_at.timestamp(), "exp": (issued_at + PROOF_LIFETIME).timestamp() });
        let header = Header { kid: Some(key.private_key_id.clone()), ..Header::new(Algorithm::RS256) };
        let signed =
            EncodingKey::from_rsa_pem(key.private_key.as_bytes()).and_then(|key| encode(&header, &claims, &key));
        let proof = signed.map_err(|error| refused(error.to_string()))?;
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")
            .append_pair("assertion", &proof)
            .finish();
        let call = self.client.call(Method::POST, self.url.as_str(), LIMITS, |request| {
            request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form)
        });
        let response = call.await?;
        match response.status {
            StatusCode::OK => {
                let token: TokenResponse = serde_json::from_str(&response.body).map_err(|_| {
                    GoogleError::Temporary { pause: Duration::ZERO, why: "the token of Google is incomplete".into() }
                })?;
                let expires_at = issued_at + TimeDelta::seconds(token.expires_in.clamp(0, 24 * 3600));
                Ok(AccessToken { text: token.access_token, expires_at })
            }
            StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let (code, why) = describe_refusal(&response.body);
                // Without the approval of an administrator, the account works all the same.
                let is_approval = APPROVAL_ERRORS.contains(&code.as_str());
                match is_approval && scope == Scope::ReadMessages {
                    true => Err(GoogleError::Refused { status: StatusCode::FORBIDDEN.as_u16(), why }),
                    false => Err(refused(why)),
                }
            }
            status => Err(GoogleError::Temporary {
                pause: response.retry_after.unwrap_or_default(),
                why: format!("Google issues no token: {status}"),
            }),
        }
    }
}

fn token_key(key: &ServiceAccountKey, scope: Scope) -> TokenKey {
    (key.client_email.clone(), Sha256::digest(key.private_key.as_bytes()).into(), scope)
}

/// The code and the reason in the response to a proof that was refused.
fn describe_refusal(body: &str) -> (String, String) {
    let body: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    let code = body["error"].as_str().unwrap_or_default().to_owned();
    let text = body["error_description"].as_str().unwrap_or(if code.is_empty() { "no reason given" } else { &code });
    let why = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect();
    (code, why)
}
