//! Response types that determine their status.

use super::{Operation, describe::OperationOutput};
use axum::{
    body::Body,
    http::{StatusCode, header},
    response::{AppendHeaders, IntoResponse, Response},
};
use chat_http::extract::Json;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

/// 201: the request created the resource.
#[derive(Debug)]
pub(crate) struct Created<T>(pub(crate) T);

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        (StatusCode::CREATED, Json(self.0)).into_response()
    }
}

impl<T: JsonSchema> OperationOutput for Created<T> {
    fn describe_output(operation: &mut Operation<'_>) {
        operation.add_json_response::<T>(201, "Created.");
    }
}

/// 201 if the request created the resource, 200 if it existed.
#[derive(Debug)]
pub(crate) struct CreatedOrOk<T> {
    pub(crate) is_new: bool,
    pub(crate) body: T,
}

impl<T: Serialize> IntoResponse for CreatedOrOk<T> {
    fn into_response(self) -> Response {
        let status = if self.is_new { StatusCode::CREATED } else { StatusCode::OK };
        (status, Json(self.body)).into_response()
    }
}

impl<T: JsonSchema> OperationOutput for CreatedOrOk<T> {
    fn describe_output(operation: &mut Operation<'_>) {
        operation.add_json_response::<T>(201, "Created.");
        operation.add_json_response::<T>(200, "Already exists.");
    }
}

/// 204: success, without a body.
#[derive(Debug)]
pub(crate) struct NoContent;

impl IntoResponse for NoContent {
    fn into_response(self) -> Response {
        StatusCode::NO_CONTENT.into_response()
    }
}

impl OperationOutput for NoContent {
    fn describe_output(operation: &mut Operation<'_>) {
        operation.add_response(204, "No content.", None);
    }
}

/// A response that also sets cookies.
#[derive(Debug)]
pub(crate) struct WithCookies<T, const N: usize> {
    pub(crate) cookies: [String; N],
    pub(crate) response: T,
}

impl<T: IntoResponse, const N: usize> IntoResponse for WithCookies<T, N> {
    fn into_response(self) -> Response {
        let headers = self.cookies.map(|cookie| (header::SET_COOKIE, cookie));
        (AppendHeaders(headers), self.response).into_response()
    }
}

impl<T: OperationOutput, const N: usize> OperationOutput for WithCookies<T, N> {
    fn describe_output(operation: &mut Operation<'_>) {
        T::describe_output(operation);
    }
}

/// 202, without a body: something is done later.
#[derive(Debug)]
pub(crate) struct Accepted;

impl IntoResponse for Accepted {
    fn into_response(self) -> Response {
        StatusCode::ACCEPTED.into_response()
    }
}

impl OperationOutput for Accepted {
    fn describe_output(operation: &mut Operation<'_>) {
        operation.add_response(202, "Accepted.", None);
    }
}

/// 303: another page of the frontend.
#[derive(Debug)]
pub(crate) struct SeeOther(pub(crate) String);

impl IntoResponse for SeeOther {
    fn into_response(self) -> Response {
        (StatusCode::SEE_OTHER, [(header::LOCATION, self.0)]).into_response()
    }
}

impl OperationOutput for SeeOther {
    fn describe_output(operation: &mut Operation<'_>) {
        operation.add_response(303, "The page is in `Location`.", None);
    }
}

/// The bytes of a file, or of a range of it.
#[derive(Debug)]
pub(crate) struct FileBody(pub(crate) Response);

impl IntoResponse for FileBody {
    fn into_response(self) -> Response {
        self.0
    }
}

impl OperationOutput for FileBody {
    fn describe_output(operation: &mut Operation<'_>) {
        let bytes = || Some(("*/*", json!({ "type": "string", "format": "binary" })));
        operation.add_response(200, "The whole file.", bytes());
        operation.add_response(206, "The requested range.", bytes());
        operation.add_response(304, "Not modified.", None);
    }
}

/// JSON lines, sent as they are read from the database.
#[derive(Debug)]
pub(crate) struct NdJson(pub(crate) Body);

const NDJSON: &str = "application/x-ndjson";

impl IntoResponse for NdJson {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, NDJSON)], self.0).into_response()
    }
}

impl OperationOutput for NdJson {
    fn describe_output(operation: &mut Operation<'_>) {
        let lines = json!({ "type": "string", "description": "One JSON object per line, with a `type`." });
        operation.add_response(200, "OK, as JSON lines.", Some((NDJSON, lines)));
    }
}

/// A response in the format that the program of a webhook expects.
#[derive(Debug)]
pub(crate) struct ProgramResponse(pub(crate) Response);

impl IntoResponse for ProgramResponse {
    fn into_response(self) -> Response {
        self.0
    }
}

impl OperationOutput for ProgramResponse {
    fn describe_output(operation: &mut Operation<'_>) {
        operation.add_response(200, "OK, in the format of the product.", Some(("*/*", json!({}))));
        operation.add_response(204, "No content.", None);
    }
}
