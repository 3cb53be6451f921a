//! The API of Google Chat: requests, and what its errors mean. Each request can be repeated: what creates a
//! message has an id that Confab chose.

use super::tokens::{AccessTokens, Scope};
use crate::bridges::{BUSY_PAUSE, Halt, jobs::CheckError, receiving::Problem};
use crate::client::{CallError, EndpointResponse, OutgoingClient, PendingResponse, ResponseLimits};
use chat_core::bridges::{ServiceAccountKey, google_keys};
use chat_http::settings::NetworkUrls;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use std::{sync::Arc, time::Duration};

/// How much of a response is read: lists of events are long.
const LIMITS: ResponseLimits = ResponseLimits { bytes: 4 * 1024 * 1024, time: Duration::from_secs(12) };

/// How much of a list of keys is read.
const KEY_LIMITS: ResponseLimits = ResponseLimits { bytes: 64 * 1024, time: Duration::from_secs(5) };

/// Time limit of the download of a file.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(25);

/// The pause after a request that Google refused for now, if it names none.
const QUOTA_PAUSE: Duration = Duration::from_secs(2);

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum GoogleError {
    /// The account cannot be used.
    Account(String),
    /// The request was refused with this status and will always be.
    Refused { status: u16, why: String },
    /// The request did not succeed for now. `pause` is the shortest time until the next.
    Temporary { pause: Duration, why: String },
    /// The response is incomplete: it may be too long.
    Incomplete,
    /// Nothing was sent, because too many requests are in progress.
    Busy,
}

impl GoogleError {
    /// Describes the error for the owner of the bridge.
    pub(crate) fn why(&self) -> &str {
        match self {
            Self::Account(why) | Self::Refused { why, .. } | Self::Temporary { why, .. } => why,
            Self::Incomplete => "the response is incomplete",
            Self::Busy => "too many requests are in progress",
        }
    }

    /// Whether what the request is about does not exist, or not for this app.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Refused { status: 403 | 404, .. })
    }
}

impl From<CallError> for GoogleError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Busy => Self::Busy,
            CallError::NotAllowed(why) => Self::Temporary { pause: Duration::ZERO, why: why.into() },
            CallError::NotConnected(why) | CallError::Failed(why) => Self::Temporary { pause: Duration::ZERO, why },
        }
    }
}

impl From<GoogleError> for Halt {
    fn from(error: GoogleError) -> Self {
        match error {
            GoogleError::Account(why) => Self::Account(why),
            GoogleError::Refused { why, .. } => Self::Dead(why),
            GoogleError::Temporary { pause, why } => Self::Retry { pause, why },
            GoogleError::Incomplete => Self::Retry { pause: Duration::ZERO, why: error.why().to_owned() },
            GoogleError::Busy => Self::Pause { pause: BUSY_PAUSE, why: None },
        }
    }
}

impl From<GoogleError> for Problem {
    fn from(error: GoogleError) -> Self {
        match error {
            GoogleError::Account(why) => Self::Account(why),
            GoogleError::Refused { why, .. } => Self::Final(why),
            GoogleError::Temporary { .. } | GoogleError::Incomplete | GoogleError::Busy => {
                Self::Temporary(error.why().to_owned())
            }
        }
    }
}

impl From<GoogleError> for CheckError {
    fn from(error: GoogleError) -> Self {
        match error {
            GoogleError::Account(why) | GoogleError::Refused { why, .. } => Self::Refused(why),
            GoogleError::Temporary { .. } | GoogleError::Incomplete | GoogleError::Busy => {
                Self::Failed(error.why().to_owned())
            }
        }
    }
}

/// Calls the API of Google Chat.
#[derive(Debug, Clone)]
pub(crate) struct GoogleApi {
    client: OutgoingClient,
    urls: Arc<NetworkUrls>,
    tokens: Arc<AccessTokens>,
}

impl GoogleApi {
    pub(crate) fn new(client: OutgoingClient, urls: NetworkUrls) -> Self {
        let tokens = AccessTokens::new(client.clone(), urls.google_token_url.clone());
        Self { client, urls: Arc::new(urls), tokens: Arc::new(tokens) }
    }

    fn url(&self, path: &str) -> String {
        format!("{}/v1/{path}", self.urls.google_chat_url.as_str().trim_end_matches('/'))
    }

    /// Sends a request with a query and, if there is one, a JSON body.
    pub(crate) async fn request(
        &self,
        key: &ServiceAccountKey,
        scope: Scope,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Value, GoogleError> {
        let url = self.url(path);
        let mut is_repeated = false;
        loop {
            let token = self.tokens.get(key, scope).await?;
            let call = self.client.call(method.clone(), &url, LIMITS, |request| {
                let request = request.bearer_auth(&token).query(query);
                match body {
                    Some(body) => request.json(body),
                    None => request,
                }
            });
            let response = call.await?;
            // A token can be revoked before it expires.
            if response.status == StatusCode::UNAUTHORIZED && !is_repeated {
                self.tokens.forget(key, scope);
                is_repeated = true;
                continue;
            }
            return evaluate(&response, scope);
        }
    }

    /// Gets something with the scope of an app.
    pub(crate) async fn get(
        &self,
        key: &ServiceAccountKey,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Value, GoogleError> {
        self.request(key, Scope::App, Method::GET, path, query, None).await
    }

    /// Opens a file that a person sent. The caller reads it.
    pub(crate) async fn open_file(
        &self,
        key: &ServiceAccountKey,
        resource: &str,
    ) -> Result<PendingResponse, GoogleError> {
        let has_dots = resource.split('/').any(|part| part.starts_with('.'));
        if has_dots
            || resource.len() > 2_000
            || !resource.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#%\\".contains(&byte))
        {
            return Err(GoogleError::Refused { status: 400, why: "not the name of a file".into() });
        }
        let token = self.tokens.get(key, Scope::App).await?;
        let url = self.url(&format!("media/{resource}"));
        let opened = self.client.open(Method::GET, &url, |request| {
            request.bearer_auth(&token).query(&[("alt", "media")]).timeout(DOWNLOAD_TIMEOUT)
        });
        let opened = opened.await?;
        let why = format!("the file cannot be loaded: {}", opened.response.status());
        match opened.response.status() {
            StatusCode::OK => Ok(opened),
            StatusCode::UNAUTHORIZED => {
                self.tokens.forget(key, Scope::App);
                Err(GoogleError::Temporary { pause: Duration::ZERO, why })
            }
            status if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS => {
                Err(GoogleError::Refused { status: status.as_u16(), why })
            }
            _ => Err(GoogleError::Temporary { pause: Duration::ZERO, why }),
        }
    }

    /// Fetches the public keys of an issuer, as a JSON Web Key Set.
    pub(crate) async fn fetch_keys(&self, issuer: &str) -> Result<String, GoogleError> {
        let base = self.urls.google_keys_url.as_str().trim_end_matches('/');
        let url = format!("{base}{}", google_keys::keys_path(issuer));
        let response = self.client.call(Method::GET, &url, KEY_LIMITS, |request| request).await?;
        match response.status {
            StatusCode::OK => Ok(response.body),
            status => Err(GoogleError::Temporary { pause: Duration::ZERO, why: format!("no keys: {status}") }),
        }
    }
}

/// Reads a response.
fn evaluate(response: &EndpointResponse, scope: Scope) -> Result<Value, GoogleError> {
    let EndpointResponse { status, retry_after, body, .. } = response;
    let parsed: Option<Value> = serde_json::from_str(body).ok();
    if status.is_success() {
        return parsed.ok_or(GoogleError::Incomplete);
    }
    let error = parsed.map(|body| body["error"].clone()).unwrap_or_default();
    let message = error["message"].as_str().unwrap_or("no reason given");
    let message: String = message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(350).collect();
    let why = format!("{message} ({})", status.as_u16());
    let reasons = error["details"].as_array().map(Vec::as_slice).unwrap_or_default();
    // Without the approval of an administrator, the account works all the same.
    let is_disabled = reasons.iter().any(|detail| match detail["reason"].as_str() {
        Some("ACCESS_TOKEN_SCOPE_INSUFFICIENT") => scope == Scope::App,
        Some("SERVICE_DISABLED") => true,
        _ => false,
    });
    Err(match *status {
        StatusCode::UNAUTHORIZED => GoogleError::Account(why),
        StatusCode::FORBIDDEN if is_disabled => GoogleError::Account(why),
        StatusCode::TOO_MANY_REQUESTS => {
            GoogleError::Temporary { pause: retry_after.unwrap_or(QUOTA_PAUSE).max(QUOTA_PAUSE), why }
        }
        StatusCode::REQUEST_TIMEOUT => GoogleError::Temporary { pause: Duration::ZERO, why },
        status if status.is_client_error() => GoogleError::Refused { status: status.as_u16(), why },
        _ => GoogleError::Temporary { pause: retry_after.unwrap_or_default(), why },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Result<Value, GoogleError> {
        let status = StatusCode::from_u16(status).expect("a status");
        evaluate(&EndpointResponse { status, retry_after: None, is_json: true, body: body.into() }, Scope::App)
    }

    #[test]
    fn errors_are_of_the_account_of_the_message_or_of_the_moment() {
        let error = |status: u16, reason: &str| {
            answer(status, &format!(r#"{{"error":{{"message":"no","details":[{{"reason":"{reason}"}}]}}}}"#))
        };
        assert!(matches!(error(401, ""), Err(GoogleError::Account(_))));
        assert!(matches!(error(403, "SERVICE_DISABLED"), Err(GoogleError::Account(_))));
        for status in [400, 403, 404, 409] {
            assert_eq!(error(status, "x"), Err(GoogleError::Refused { status, why: format!("no ({status})") }));
        }
        for status in [408, 429, 500, 502, 503] {
            assert!(matches!(error(status, ""), Err(GoogleError::Temporary { .. })), "{status}");
        }
        assert_eq!(answer(200, "{\"name\":\"spa"), Err(GoogleError::Incomplete));
        assert!(answer(200, "{}").is_ok());
    }
}
