//! Describes operations from the types of their handlers.

use super::Schemas;
use crate::{
    AppState,
    extract::{
        Caller, ChatMember, ClientInfo, Json, OAuthForm, OAuthServer, OperatorCaller, Path, PathParam, Query, RawBody,
    },
    router::Access,
    upload_form::UploadForm,
    webhook_request::{WebhookBody, WebhookCaller},
};
use axum::{
    extract::State,
    http::{HeaderMap, Method},
};
use chat_core::{ChatId, WebhookId, values::WebhookToken};
use chat_http::ApiError;
use schemars::JsonSchema;
use serde_json::{Map, Value, json};
use std::{future::Future, sync::Arc};

/// A builder for the description of one operation.
pub(crate) struct Operation<'a> {
    pub(crate) schemas: &'a mut Schemas,
    parameters: Vec<Value>,
    body: Option<Value>,
    is_private: bool,
    responses: Map<String, Value>,
}

impl<'a> Operation<'a> {
    pub(crate) fn new(schemas: &'a mut Schemas) -> Self {
        Self { schemas, parameters: Vec::new(), body: None, is_private: false, responses: Map::new() }
    }

    pub(crate) fn is_private(&self) -> bool {
        self.is_private
    }

    fn add_path_parameter<T: JsonSchema>(&mut self, name: &str) {
        let schema = self.schemas.request.subschema_for::<T>();
        self.parameters.push(json!({ "in": "path", "name": name, "required": true, "schema": schema }));
    }

    /// Adds a response. Without `content` it has no body.
    pub(crate) fn add_response(&mut self, status: u16, description: &str, content: Option<(&str, Value)>) {
        let mut response = json!({ "description": description });
        if let Some((media_type, schema)) = content {
            response["content"] = json!({ media_type: { "schema": schema } });
        }
        self.responses.insert(status.to_string(), response);
    }

    /// Adds a response with a JSON body.
    pub(crate) fn add_json_response<T: JsonSchema>(&mut self, status: u16, description: &str) {
        let schema = self.schemas.response.subschema_for::<T>().into();
        self.add_response(status, description, Some(("application/json", schema)));
    }

    fn add_errors(&mut self, statuses: &[(u16, &str)]) {
        for (status, description) in statuses {
            let mut problem = problem_response();
            problem["description"] = (*description).into();
            self.responses.insert(status.to_string(), problem);
        }
    }

    pub(crate) fn finish(mut self, access: Access) -> Map<String, Value> {
        let security = match access {
            Access::Public | Access::Webhook | Access::Network => json!([]),
            Access::SignedIn => json!([{ "bearer": [] }]),
            Access::Scope(scope) => json!([{ "bearer": [scope] }]),
        };
        if self.is_private && !self.responses.contains_key("403") {
            self.add_errors(&[(403, "The caller, or the API token, is not permitted to do this.")]);
        }
        let mut operation = Map::new();
        if !self.parameters.is_empty() {
            operation.insert("parameters".into(), self.parameters.into());
        }
        if let Some(body) = self.body {
            operation.insert("requestBody".into(), body);
        }
        operation.insert("responses".into(), self.responses.into());
        operation.insert("security".into(), security);
        operation
    }
}

/// The response of an error.
pub(crate) fn problem_response() -> Value {
    json!({
        "description": "Error; see `code` and `detail`.",
        "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
    })
}

/// An argument of a handler.
pub(crate) trait OperationInput {
    fn describe_input(operation: &mut Operation<'_>);
}

/// The result of a handler.
pub(crate) trait OperationOutput {
    fn describe_output(operation: &mut Operation<'_>);
}

/// A handler, described from the types of its arguments and its result.
pub(crate) trait OperationHandler<Inputs> {
    fn describe(operation: &mut Operation<'_>);
}

macro_rules! impl_operation_handler {
    ($(($($input:ident),*))*) => {$(
        impl<F, Fut, Output, $($input),*> OperationHandler<($($input,)*)> for F
        where
            F: Fn($($input),*) -> Fut,
            Fut: Future<Output = Output>,
            Output: OperationOutput,
            $($input: OperationInput,)*
        {
            fn describe(operation: &mut Operation<'_>) {
                $($input::describe_input(operation);)*
                Output::describe_output(operation);
            }
        }
    )*};
}

impl_operation_handler! { (S) (S, T) (S, T, U) (S, T, U, V) (S, T, U, V, W) (S, T, U, V, W, X) }

impl OperationInput for State<Arc<AppState>> {
    fn describe_input(_: &mut Operation<'_>) {}
}

impl OperationInput for HeaderMap {
    fn describe_input(_: &mut Operation<'_>) {}
}

impl OperationInput for Method {
    fn describe_input(_: &mut Operation<'_>) {}
}

impl OperationInput for Caller {
    fn describe_input(operation: &mut Operation<'_>) {
        operation.is_private = true;
        operation.add_errors(&[(401, "Not signed in, or the session has ended.")]);
    }
}

impl OperationInput for OperatorCaller {
    fn describe_input(operation: &mut Operation<'_>) {
        Caller::describe_input(operation);
        operation.add_errors(&[(403, "The caller is not an operator.")]);
    }
}

impl OperationInput for ClientInfo {
    fn describe_input(_: &mut Operation<'_>) {}
}

impl OperationInput for ChatMember {
    fn describe_input(operation: &mut Operation<'_>) {
        Caller::describe_input(operation);
        Path::<ChatId>::describe_input(operation);
    }
}

impl<T: PathParam + JsonSchema> OperationInput for Path<T> {
    fn describe_input(operation: &mut Operation<'_>) {
        operation.add_path_parameter::<T>(T::NAME);
        operation.add_errors(&[(404, "Not found, or not visible to the caller."), VALIDATION_FAILED]);
    }
}

impl OperationInput for WebhookCaller {
    fn describe_input(operation: &mut Operation<'_>) {
        Path::<WebhookId>::describe_input(operation);
        Path::<WebhookToken>::describe_input(operation);
    }
}

impl OperationInput for WebhookBody {
    fn describe_input(operation: &mut Operation<'_>) {
        let object = json!({ "schema": { "type": "object" } });
        operation.body = Some(json!({ "required": true, "content": {
            "application/json": object, "application/x-www-form-urlencoded": object, "multipart/form-data": object,
        } }));
        operation.add_errors(&[
            (400, "The body is not in the format of the product."),
            (413, "The body is too large."),
            (415, "The media type is not supported."),
            VALIDATION_FAILED,
        ]);
    }
}

impl OperationInput for RawBody {
    fn describe_input(operation: &mut Operation<'_>) {
        let content = json!({ "application/json": { "schema": { "type": "object" } } });
        operation.body = Some(json!({ "required": true, "content": content }));
        operation.add_errors(&[(403, "The signature is wrong."), (413, "The body is too large.")]);
    }
}

impl OperationInput for OAuthServer {
    fn describe_input(operation: &mut Operation<'_>) {
        operation.add_errors(&[(404, "The server does not know its public URL.")]);
    }
}

impl OperationInput for OAuthForm {
    fn describe_input(operation: &mut Operation<'_>) {
        const FIELDS: [&str; 9] = [
            "grant_type",
            "code",
            "redirect_uri",
            "client_id",
            "code_verifier",
            "refresh_token",
            "resource",
            "scope",
            "token",
        ];
        let fields: Map<String, Value> =
            FIELDS.iter().map(|name| ((*name).to_owned(), json!({ "type": "string" }))).collect();
        let schema = json!({ "type": "object", "properties": fields });
        let content = json!({ "application/x-www-form-urlencoded": { "schema": schema } });
        operation.body = Some(json!({ "required": true, "content": content }));
        operation.add_errors(&[(413, "The body is too large.")]);
    }
}

const VALIDATION_FAILED: (u16, &str) = (422, "Validation failed; see `errors`.");

impl<T: JsonSchema> OperationInput for Json<T> {
    fn describe_input(operation: &mut Operation<'_>) {
        let schema = operation.schemas.request.subschema_for::<T>();
        operation.body = Some(json!({ "required": true, "content": { "application/json": { "schema": schema } } }));
        operation.add_errors(&[
            (400, "The body is not valid JSON."),
            (413, "The body is too large."),
            (415, "The media type is not JSON."),
            VALIDATION_FAILED,
        ]);
    }
}

impl<T: JsonSchema> OperationInput for Query<T> {
    fn describe_input(operation: &mut Operation<'_>) {
        // OpenAPI has no schema for a whole query string: its fields are parameters.
        let schema = T::json_schema(&mut operation.schemas.request);
        let required: Vec<&str> =
            schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        for (name, schema) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let is_required = required.contains(&name.as_str());
            let schema = strip_null(schema);
            let mut parameter = json!({ "in": "query", "name": name, "required": is_required, "schema": schema });
            if let Some(description) = schema.get("description") {
                parameter["description"] = description.clone();
            }
            operation.parameters.push(parameter);
        }
        operation.add_errors(&[VALIDATION_FAILED]);
    }
}

/// Removes null from the schema of an optional query parameter: clients omit it and
/// never send null.
fn strip_null(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Some(fields) = schema.as_object_mut()
        && fields.get("default").is_some_and(Value::is_null)
    {
        fields.remove("default");
    }
    let is_null = |schema: &Value| schema["type"] == "null";
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [one] = types.as_slice() {
            schema["type"] = one.clone();
        }
    }
    if let Some(choices) = schema.get("anyOf").and_then(Value::as_array) {
        let choices: Vec<&Value> = choices.iter().filter(|choice| !is_null(choice)).collect();
        if let [one] = choices.as_slice() {
            let mut one = (*one).clone();
            if let (Some(description), Some(fields)) = (schema.get("description"), one.as_object_mut()) {
                fields.insert("description".into(), description.clone());
            }
            return one;
        }
    }
    schema
}

impl OperationInput for UploadForm {
    fn describe_input(operation: &mut Operation<'_>) {
        let files = json!({
            "type": "object",
            "properties": { "file": { "type": "array", "items": { "type": "string", "format": "binary" } } },
            "required": ["file"],
        });
        operation.body = Some(json!({ "required": true, "content": { "multipart/form-data": { "schema": files } } }));
        operation.add_errors(&[
            (400, "The form is malformed or incomplete."),
            (413, "The body is too large."),
            (415, "The media type is not multipart/form-data."),
            VALIDATION_FAILED,
        ]);
    }
}

impl<T: OperationOutput> OperationOutput for Result<T, ApiError> {
    fn describe_output(operation: &mut Operation<'_>) {
        T::describe_output(operation);
        operation.responses.insert("default".into(), problem_response());
    }
}

impl<T: JsonSchema> OperationOutput for Json<T> {
    fn describe_output(operation: &mut Operation<'_>) {
        operation.add_json_response::<T>(200, "OK.");
    }
}
