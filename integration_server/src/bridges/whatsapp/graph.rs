//! The Graph API of Meta: requests, and what its errors mean.

use crate::bridges::{BUSY_PAUSE, Halt, MIN_PAUSE, jobs::CheckError};
use crate::client::{CallError, EndpointResponse, OutgoingClient, PendingResponse, ResponseLimits};
use base64::{Engine, prelude::BASE64_STANDARD};
use file_store::BlobStream;
use reqwest::{
    Body, Method, StatusCode,
    multipart::{Form, Part},
};
use serde_json::Value;
use std::{sync::Arc, time::Duration};
use url::Url;

/// The version of the API. Meta supports a version for two years.
pub(crate) const GRAPH_VERSION: &str = "v26.0";

/// How much of a response is read: lists of templates are long.
const LIMITS: ResponseLimits = ResponseLimits { bytes: 1024 * 1024, time: Duration::from_secs(10) };

/// Time limit of the upload of a file.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(40);

/// Time limit of the download of a file.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(25);

/// Errors of the account: nothing can be sent until its owner has changed something.
const ACCOUNT_ERRORS: [i64; 5] = [190, 368, 131_031, 131_042, 131_045];

/// Errors that pass.
const TEMPORARY_ERRORS: [i64; 10] = [1, 2, 4, 80_007, 130_429, 131_056, 131_016, 131_000, 131_057, 133_016];

/// Messages to this remote user come too fast.
const PAIR_LIMIT: i64 = 131_056;

/// The remote user has not written for a day: only templates are accepted.
pub(crate) const WINDOW_CLOSED: i64 = 131_047;

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum GraphError {
    /// The account cannot be used.
    Account(String),
    /// The request was refused and will always be.
    Permanent { code: i64, why: String },
    /// The request was refused for now. `pause` is the shortest time until the next.
    Temporary { pause: Duration, why: String },
    /// Nothing was sent.
    NotSent(String),
    /// Nothing was sent, because too many requests are in progress.
    Busy,
    /// It is not known whether the request arrived.
    Unknown(String),
}

impl GraphError {
    /// Describes the error for the owner of the bridge.
    pub(crate) fn why(&self) -> &str {
        match self {
            Self::Account(why)
            | Self::Permanent { why, .. }
            | Self::Temporary { why, .. }
            | Self::NotSent(why)
            | Self::Unknown(why) => why,
            Self::Busy => "too many requests are in progress",
        }
    }
}

impl From<CallError> for GraphError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::NotAllowed(why) => Self::NotSent(why.into()),
            CallError::Busy => Self::Busy,
            CallError::NotConnected(why) => Self::NotSent(why),
            CallError::Failed(why) => Self::Unknown(why),
        }
    }
}

impl From<GraphError> for Halt {
    fn from(error: GraphError) -> Self {
        match error {
            GraphError::Account(why) => Self::Account(why),
            GraphError::Permanent { why, .. } => Self::Dead(why),
            GraphError::Temporary { pause, why } => Self::Retry { pause, why },
            // A request without a row in the database can be repeated.
            GraphError::NotSent(why) | GraphError::Unknown(why) => Self::Retry { pause: MIN_PAUSE, why },
            GraphError::Busy => Self::Pause { pause: BUSY_PAUSE, why: None },
        }
    }
}

impl From<GraphError> for CheckError {
    fn from(error: GraphError) -> Self {
        match error {
            GraphError::Account(why) | GraphError::Permanent { why, .. } => Self::Refused(why),
            error => Self::Failed(error.why().to_owned()),
        }
    }
}

/// Whether an error code means that the account cannot be used.
pub(crate) fn is_account_error(code: i64) -> bool {
    ACCOUNT_ERRORS.contains(&code) || code == 10 || (200..=299).contains(&code)
}

/// Describes an error object: the code, the title and the details.
pub(crate) fn describe_error(error: &Value) -> String {
    let code = error["code"].as_i64().unwrap_or_default();
    let title = error["title"].as_str().or_else(|| error["message"].as_str()).unwrap_or("unknown error");
    let details = error["error_data"]["details"].as_str().filter(|details| !title.contains(*details));
    let title = if title.contains(&code.to_string()) { title.to_owned() } else { format!("{title} ({code})") };
    let text = details.map_or(title.clone(), |details| format!("{title}: {details}"));
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(400).collect()
}

/// A file on the network.
#[derive(Debug)]
pub(crate) struct Media {
    url: String,
    /// The SHA-256 of its bytes, if the network told it.
    pub(crate) sha256: Option<Vec<u8>>,
    /// Its size in bytes.
    pub(crate) size: Option<u64>,
}

/// Calls the Graph API.
#[derive(Debug, Clone)]
pub(crate) struct Graph {
    pub(crate) client: OutgoingClient,
    /// The URL of the API, without a version.
    pub(crate) base: Arc<Url>,
}

impl Graph {
    fn url(&self, path: &str) -> String {
        format!("{}/{GRAPH_VERSION}/{path}", self.base.as_str().trim_end_matches('/'))
    }

    /// Gets an object.
    pub(crate) async fn get(&self, token: &str, path: &str) -> Result<Value, GraphError> {
        let url = self.url(path);
        let call = self.client.call(Method::GET, &url, LIMITS, |request| request.bearer_auth(token));
        evaluate(call.await?)
    }

    /// Posts a JSON body.
    pub(crate) async fn post(&self, token: &str, path: &str, body: &Value) -> Result<Value, GraphError> {
        let url = self.url(path);
        let call = self.client.call(Method::POST, &url, LIMITS, |request| request.bearer_auth(token).json(body));
        evaluate(call.await?)
    }

    /// Uploads a file, and returns its id.
    pub(crate) async fn upload(
        &self,
        token: &str,
        phone_number_id: &str,
        file: (&str, &str, u64),
        bytes: BlobStream,
    ) -> Result<String, GraphError> {
        let (filename, mime_type, size) = file;
        let part = Part::stream_with_length(Body::wrap_stream(bytes), size).file_name(filename.to_owned());
        let unsupported = |_| GraphError::Permanent { code: 0, why: format!("{mime_type} is not a media type") };
        let part = part.mime_str(mime_type).map_err(unsupported)?;
        let form =
            Form::new().text("messaging_product", "whatsapp").text("type", mime_type.to_owned()).part("file", part);
        let url = self.url(&format!("{phone_number_id}/media"));
        let call = self.client.call(Method::POST, &url, LIMITS, |request| {
            request.bearer_auth(token).multipart(form).timeout(UPLOAD_TIMEOUT)
        });
        // A file that arrived twice does no harm, so nothing is unsure.
        let uploaded = evaluate(call.await?).map_err(|error| match error {
            GraphError::Unknown(why) => GraphError::NotSent(why),
            other => other,
        })?;
        let id = uploaded["id"].as_str().map(str::to_owned);
        id.ok_or_else(|| GraphError::NotSent("the response to an upload has no id".into()))
    }

    /// Finds a file of a message.
    pub(crate) async fn find_media(&self, token: &str, id: &str) -> Result<Media, GraphError> {
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)) {
            return Err(GraphError::Permanent { code: 0, why: "not the id of a file".into() });
        }
        let found = self.get(token, id).await?;
        let url = found["url"].as_str().unwrap_or_default().to_owned();
        if !self.is_own_url(&url) {
            let why = "the file is not on a server of the network".to_owned();
            return Err(GraphError::Permanent { code: 0, why });
        }
        let size = found["file_size"].as_u64().or_else(|| found["file_size"].as_str()?.parse().ok());
        Ok(Media { url, sha256: found["sha256"].as_str().and_then(decode_hash), size })
    }

    /// Whether the token may be sent to a URL: only to servers of Meta.
    fn is_own_url(&self, url: &str) -> bool {
        let Ok(url) = Url::parse(url) else { return false };
        let is_meta = url.domain().is_some_and(|host| {
            ["facebook.com", "fbsbx.com", "fbcdn.net", "whatsapp.net"]
                .iter()
                .any(|own| host == *own || host.strip_suffix(own).is_some_and(|rest| rest.ends_with('.')))
        });
        let is_base = url.origin() == self.base.origin();
        is_base || (is_meta && url.scheme() == "https")
    }

    /// Opens a file. The caller reads it.
    pub(crate) async fn download(&self, token: &str, media: &Media) -> Result<PendingResponse, GraphError> {
        let opened =
            self.client.open(Method::GET, &media.url, |request| request.bearer_auth(token).timeout(DOWNLOAD_TIMEOUT));
        let opened = opened.await?;
        match opened.response.status() {
            StatusCode::OK => Ok(opened),
            StatusCode::NOT_FOUND | StatusCode::GONE => {
                Err(GraphError::Permanent { code: 0, why: "the file no longer exists".into() })
            }
            status => Err(GraphError::NotSent(format!("the file cannot be loaded: {status}"))),
        }
    }
}

/// Decodes a SHA-256 in hexadecimal or Base64.
pub(crate) fn decode_hash(text: &str) -> Option<Vec<u8>> {
    let hash = hex::decode(text).ok().or_else(|| BASE64_STANDARD.decode(text).ok());
    hash.filter(|hash| hash.len() == 32)
}

/// Reads a response.
fn evaluate(response: EndpointResponse) -> Result<Value, GraphError> {
    let EndpointResponse { status, retry_after, body, .. } = response;
    let parsed: Option<Value> = serde_json::from_str(&body).ok();
    if status.is_success() {
        // The request arrived, but what it caused is unknown.
        return parsed.ok_or_else(|| GraphError::Unknown("the response is incomplete".into()));
    }
    let error = parsed.map(|body| body["error"].clone()).filter(Value::is_object);
    let Some(error) = error else {
        let why = format!("the network answered {status}");
        return Err(match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => GraphError::Account(why),
            StatusCode::TOO_MANY_REQUESTS => {
                GraphError::Temporary { pause: retry_after.unwrap_or(Duration::from_secs(5)), why }
            }
            status if status.is_server_error() => GraphError::Unknown(why),
            _ => GraphError::Permanent { code: 0, why },
        });
    };
    let (code, why) = (error["code"].as_i64().unwrap_or_default(), describe_error(&error));
    Err(match code {
        code if is_account_error(code) => GraphError::Account(why),
        PAIR_LIMIT => GraphError::Temporary { pause: retry_after.unwrap_or(Duration::from_secs(6)), why },
        code if TEMPORARY_ERRORS.contains(&code) || status == StatusCode::TOO_MANY_REQUESTS => {
            GraphError::Temporary { pause: retry_after.unwrap_or(Duration::from_secs(5)), why }
        }
        code => GraphError::Permanent { code, why },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use chat_core::outgoing::AllowedTargets;

    fn answer(status: u16, body: &str) -> Result<Value, GraphError> {
        let status = StatusCode::from_u16(status).expect("a status");
        evaluate(EndpointResponse { status, retry_after: None, is_json: true, body: body.into() })
    }

    #[test]
    fn errors_are_of_the_account_of_the_message_or_of_the_moment() {
        let error = |code: i64| answer(400, &format!(r#"{{"error":{{"code":{code},"message":"no"}}}}"#));
        for code in [190, 10, 200, 299, 368, 131_031, 131_042, 131_045] {
            assert!(matches!(error(code), Err(GraphError::Account(_))), "{code}");
        }
        for code in [4, 80_007, 130_429, 131_056, 131_016, 131_000] {
            assert!(matches!(error(code), Err(GraphError::Temporary { .. })), "{code}");
        }
        for code in [131_026, 131_047, 131_051, 131_008, 132_001, 100] {
            assert!(matches!(error(code), Err(GraphError::Permanent { code: of, .. }) if of == code), "{code}");
        }
        assert_eq!(error(131_047), Err(GraphError::Permanent { code: 131_047, why: "no (131047)".into() }));
    }

    #[test]
    fn a_broken_response_leaves_it_open_whether_the_message_arrived() {
        for (status, body) in [(200, "{\"messages\":[{\"id"), (502, "<html>"), (500, "")] {
            assert!(matches!(answer(status, body), Err(GraphError::Unknown(_))), "{status} {body}");
        }
        assert!(matches!(answer(401, ""), Err(GraphError::Account(_))));
        assert!(matches!(answer(429, ""), Err(GraphError::Temporary { .. })));
        assert!(answer(200, "{}").is_ok());
    }

    #[test]
    fn the_token_is_sent_only_to_the_network() {
        let client = OutgoingClient::new(AllowedTargets::default()).expect("a client");
        let base = Arc::new(Url::parse("https://graph.facebook.com").expect("a URL"));
        let graph = Graph { client, base };
        for own in ["https://lookaside.fbsbx.com/a?b", "https://graph.facebook.com/x", "https://mmg.whatsapp.net/v"] {
            assert!(graph.is_own_url(own), "{own}");
        }
        for other in [
            "https://fbsbx.com.evil.example/",
            "https://evilfbsbx.com/",
            "http://lookaside.fbsbx.com/",
            "https://10.0.0.1/",
            "file:///etc/passwd",
            "",
        ] {
            assert!(!graph.is_own_url(other), "{other}");
        }
    }

    #[test]
    fn a_hash_is_hexadecimal_or_base64() {
        let hash = [7u8; 32];
        assert_eq!(decode_hash(&hex::encode(hash)), Some(hash.to_vec()));
        assert_eq!(decode_hash(&BASE64_STANDARD.encode(hash)), Some(hash.to_vec()));
        assert_eq!(decode_hash("abcd"), None);
    }
}
