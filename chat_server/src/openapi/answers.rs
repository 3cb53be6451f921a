//! Answers whose type says their status.

use super::{Operation, describe::Answer};
use axum::{
    Json,
    body::Body,
    http::{StatusCode, header},
    response::{AppendHeaders, IntoResponse, Response},
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

/// 201: this request made it.
#[derive(Debug)]
pub(crate) struct New<T>(pub(crate) T);

impl<T: Serialize> IntoResponse for New<T> {
    fn into_response(self) -> Response {
        (StatusCode::CREATED, Json(self.0)).into_response()
    }
}

impl<T: JsonSchema> Answer for New<T> {
    fn answer(operation: &mut Operation<'_>) {
        operation.answers_json::<T>(201, "This request made it.");
    }
}

/// 201 for what this request made, 200 for what was there.
#[derive(Debug)]
pub(crate) struct Made<T> {
    pub(crate) is_new: bool,
    pub(crate) body: T,
}

impl<T: Serialize> IntoResponse for Made<T> {
    fn into_response(self) -> Response {
        let status = if self.is_new { StatusCode::CREATED } else { StatusCode::OK };
        (status, Json(self.body)).into_response()
    }
}

impl<T: JsonSchema> Answer for Made<T> {
    fn answer(operation: &mut Operation<'_>) {
        operation.answers_json::<T>(201, "This request made it.");
        operation.answers_json::<T>(200, "It was there already.");
    }
}

/// 204: it is so, and there is nothing to say of it.
#[derive(Debug)]
pub(crate) struct Done;

impl IntoResponse for Done {
    fn into_response(self) -> Response {
        StatusCode::NO_CONTENT.into_response()
    }
}

impl Answer for Done {
    fn answer(operation: &mut Operation<'_>) {
        operation.answers(204, "It is so.", None);
    }
}

/// An answer that also sets a cookie.
#[derive(Debug)]
pub(crate) struct WithCookie<T> {
    pub(crate) cookie: String,
    pub(crate) answer: T,
}

impl<T: IntoResponse> IntoResponse for WithCookie<T> {
    fn into_response(self) -> Response {
        (AppendHeaders([(header::SET_COOKIE, self.cookie)]), self.answer).into_response()
    }
}

impl<T: Answer> Answer for WithCookie<T> {
    fn answer(operation: &mut Operation<'_>) {
        T::answer(operation);
    }
}

/// The bytes of a file, or of a part of it.
#[derive(Debug)]
pub(crate) struct FileBytes(pub(crate) Response);

impl IntoResponse for FileBytes {
    fn into_response(self) -> Response {
        self.0
    }
}

impl Answer for FileBytes {
    fn answer(operation: &mut Operation<'_>) {
        let bytes = || Some(("*/*", json!({ "type": "string", "format": "binary" })));
        operation.answers(200, "The whole file.", bytes());
        operation.answers(206, "The range that was asked for.", bytes());
        operation.answers(304, "The caller has it already.", None);
    }
}

/// Lines of JSON, as they are read.
#[derive(Debug)]
pub(crate) struct Lines(pub(crate) Body);

const JSON_LINES: &str = "application/x-ndjson";

impl IntoResponse for Lines {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, JSON_LINES)], self.0).into_response()
    }
}

impl Answer for Lines {
    fn answer(operation: &mut Operation<'_>) {
        let lines = json!({ "type": "string", "description": "One JSON object a line, with its `type`." });
        operation.answers(200, "Here it is, line by line.", Some((JSON_LINES, lines)));
    }
}
