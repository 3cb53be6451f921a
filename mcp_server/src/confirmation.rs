//! Confirmations: before a change, the user sees what a tool is about to do, and the client sends
//! the request again with the answer.
//!
//! The server gives the client a signed state that names the session, the tool and a digest of its
//! arguments, and that expires. The change is made only with a state that fits the repeated
//! request and an answer that accepts, and each state is answered once.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chat_core::{Result, auth::Claims, cluster_key::ClusterKey, mcp_confirmations, time::now};
use rmcp::model::{
    CallToolRequestParams, ElicitRequest, ElicitRequestParams, ElicitationAction, ElicitationSchema, InputRequest,
    InputRequests, InputRequiredResult,
};
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use std::collections::BTreeMap;
use tokio::sync::OnceCell;
use uuid::Uuid;

/// How long a user has to answer, in seconds.
const EXPIRES_SECONDS: i64 = 600;

/// The key of the question in the requests and the responses.
const QUESTION: &str = "confirm";

/// The context of the signature.
const CONTEXT: &str = "mcp confirmation";

/// The answer to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The user has accepted.
    Accepted,
    /// The user has declined, or closed the question.
    Declined,
    /// There is no answer yet, or none to this question: ask.
    None,
}

/// Signs and verifies the states of questions.
#[derive(Debug)]
pub(crate) struct Confirmations {
    db: PgPool,
    /// Loaded when the first question is asked.
    key: OnceCell<ClusterKey>,
}

impl Confirmations {
    pub(crate) fn new(db: PgPool) -> Self {
        Self { db, key: OnceCell::new() }
    }

    /// Builds a question with this text.
    pub(crate) async fn ask(
        &self,
        claims: Claims,
        request: &CallToolRequestParams,
        text: String,
    ) -> Result<InputRequiredResult> {
        let state = format!("{} {} {}", now().timestamp() + EXPIRES_SECONDS, Uuid::new_v4(), describe(claims, request));
        let state = BASE64_URL_SAFE_NO_PAD.encode(self.key().await?.sign(CONTEXT, state.as_bytes()));
        // The answer is the action: the form has no fields.
        let requested_schema = ElicitationSchema::new(BTreeMap::new());
        let question = ElicitRequest::new(ElicitRequestParams::FormElicitationParams {
            meta: None,
            message: text,
            requested_schema,
        });
        let requests = InputRequests::from([(QUESTION.to_owned(), InputRequest::Elicitation(question))]);
        Ok(InputRequiredResult::new(Some(requests), Some(state)))
    }

    /// Reads the answer that a request contains, and records it. A state that was changed, is too
    /// old, was answered before, or belongs to another request is no answer.
    pub(crate) async fn read(&self, claims: Claims, request: &CallToolRequestParams) -> Result<Answer> {
        let (Some(state_text), Some(responses)) = (&request.request_state, &request.input_responses) else {
            return Ok(Answer::None);
        };
        let Ok(signed) = BASE64_URL_SAFE_NO_PAD.decode(state_text) else { return Ok(Answer::None) };
        let Ok(state) = self.key().await?.verify(CONTEXT, &signed) else { return Ok(Answer::None) };
        let state = String::from_utf8_lossy(state);
        // The random part makes each question a new one.
        let mut parts = state.splitn(3, ' ');
        let (Some(expires_at), Some(_), Some(described)) = (parts.next(), parts.next(), parts.next()) else {
            return Ok(Answer::None);
        };
        let expires_at: i64 = expires_at.parse().unwrap_or(0);
        if expires_at <= now().timestamp() || described != describe(claims, request) {
            return Ok(Answer::None);
        }
        let action = responses.get(QUESTION).and_then(|response| response.get("action")).cloned();
        let answer = match action.map(serde_json::from_value) {
            Some(Ok(ElicitationAction::Accept)) => Answer::Accepted,
            Some(Ok(ElicitationAction::Decline | ElicitationAction::Cancel)) => Answer::Declined,
            _ => return Ok(Answer::None),
        };
        let is_first = mcp_confirmations::record(&self.db, state_text, expires_at).await?;
        Ok(if is_first { answer } else { Answer::None })
    }

    async fn key(&self) -> Result<&ClusterKey> {
        self.key.get_or_try_init(|| ClusterKey::load(&self.db)).await
    }
}

/// Names the session, the tool and its arguments, whatever their order.
fn describe(claims: Claims, request: &CallToolRequestParams) -> String {
    let arguments: BTreeMap<_, _> = request.arguments.iter().flatten().collect();
    let arguments = serde_json::to_string(&arguments).unwrap_or_default();
    format!("{} {} {}", claims.session_id, request.name, shorten(&arguments))
}

/// A digest of a text, 43 characters long.
fn shorten(text: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(text))
}
