//! The part of the stand-in that is Firebase Cloud Messaging.

use super::{Google, Shared};
use crate::DEADLINE;
use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::time::timeout;

/// The scope for pushes.
pub(super) const PUSH_SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";

impl Google {
    /// Returns the next push, as it was sent.
    pub async fn next_push(&mut self) -> Value {
        timeout(DEADLINE, self.pushes.recv()).await.expect("a push in time").expect("the stand-in runs")
    }

    /// Answers all further pushes to a device with a status and a code of FCM; 200 for none.
    pub fn answer_pushes(&self, device: &str, status: u16, code: &'static str) {
        self.shared.state().push_answers.insert(device.to_owned(), (status, code));
    }
}

pub(super) async fn send(
    State(shared): State<Arc<Shared>>,
    Path(project): Path<String>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    if !shared.is_authorized(&headers, PUSH_SCOPE) {
        return answer(401, "THIRD_PARTY_AUTH_ERROR");
    }
    let device = body["message"]["token"].as_str().unwrap_or_default().to_owned();
    let (status, code) = shared.state().push_answers.get(&device).copied().unwrap_or((200, ""));
    // A full channel means that the test has seen enough.
    let _ = shared.pushes.try_send(body);
    match status {
        200 => Json(json!({ "name": format!("projects/{project}/messages/1") })).into_response(),
        status => answer(status, code),
    }
}

/// An error in the form of FCM. An invalid argument is the registration token.
fn answer(status: u16, code: &str) -> Response {
    let detail = json!({ "@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code });
    let violations = json!({ "@type": "type.googleapis.com/google.rpc.BadRequest",
                             "fieldViolations": [{ "field": "message.token", "description": "Invalid registration token" }] });
    let details = if status == 400 { json!([detail, violations]) } else { json!([detail]) };
    let body = json!({ "error": { "code": status, "message": "refused", "details": details } });
    (StatusCode::from_u16(status).expect("a status"), Json(body)).into_response()
}
