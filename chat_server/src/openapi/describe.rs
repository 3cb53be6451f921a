//! What a handler reads and answers, told by its types.

use super::Schemas;
use crate::{
    Api,
    extract::{Asked, Caller, ChatMember, Input, PathPart, Segment},
};
use axum::{
    Json,
    extract::{Multipart, State, multipart::MultipartRejection},
    http::HeaderMap,
};
use chat_core::{ChatId, Error};
use schemars::JsonSchema;
use serde_json::{Map, Value, json};
use std::{future::Future, sync::Arc};

/// One route's description in the making.
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

    fn parameter<T: JsonSchema>(&mut self, name: &str) {
        let schema = self.schemas.sent.subschema_for::<T>();
        self.parameters.push(json!({ "in": "path", "name": name, "required": true, "schema": schema }));
    }

    /// An answer with this status; without a schema it has no body.
    pub(crate) fn answers(&mut self, status: u16, what: &str, content: Option<(&str, Value)>) {
        let mut response = json!({ "description": what });
        if let Some((media_type, schema)) = content {
            response["content"] = json!({ media_type: { "schema": schema } });
        }
        self.responses.insert(status.to_string(), response);
    }

    /// An answer with a JSON body.
    pub(crate) fn answers_json<T: JsonSchema>(&mut self, status: u16, what: &str) {
        let schema = self.schemas.answered.subschema_for::<T>().into();
        self.answers(status, what, Some(("application/json", schema)));
    }

    fn refuses(&mut self, statuses: &[(u16, &str)]) {
        for (status, what) in statuses {
            let mut problem = problem();
            problem["description"] = (*what).into();
            self.responses.insert(status.to_string(), problem);
        }
    }

    pub(crate) fn finish(self) -> Map<String, Value> {
        let mut operation = Map::new();
        if !self.parameters.is_empty() {
            operation.insert("parameters".into(), self.parameters.into());
        }
        if let Some(body) = self.body {
            operation.insert("requestBody".into(), body);
        }
        operation.insert("responses".into(), self.responses.into());
        operation.insert("security".into(), if self.is_private { json!([{ "bearer": [] }]) } else { json!([]) });
        operation
    }
}

/// How every refusal looks.
pub(crate) fn problem() -> Value {
    json!({
        "description": "Refused, with the reason.",
        "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
    })
}

/// Something that a handler reads.
pub(crate) trait Ask {
    fn ask(operation: &mut Operation<'_>);
}

/// Something that a handler answers.
pub(crate) trait Answer {
    fn answer(operation: &mut Operation<'_>);
}

/// A handler, by the types of what it reads.
pub(crate) trait Describe<Asked> {
    fn describe(operation: &mut Operation<'_>);
}

macro_rules! handlers {
    ($(($($ask:ident),*))*) => {$(
        impl<F, Fut, A, $($ask),*> Describe<($($ask,)*)> for F
        where
            F: Fn($($ask),*) -> Fut,
            Fut: Future<Output = A>,
            A: Answer,
            $($ask: Ask,)*
        {
            fn describe(operation: &mut Operation<'_>) {
                $($ask::ask(operation);)*
                A::answer(operation);
            }
        }
    )*};
}

handlers! { (S) (S, T) (S, T, U) (S, T, U, V) (S, T, U, V, W) }

impl Ask for State<Arc<Api>> {
    fn ask(_: &mut Operation<'_>) {}
}

impl Ask for HeaderMap {
    fn ask(_: &mut Operation<'_>) {}
}

impl Ask for Caller {
    fn ask(operation: &mut Operation<'_>) {
        operation.is_private = true;
        operation.refuses(&[(401, "Not signed in, or not any more.")]);
    }
}

impl Ask for ChatMember {
    fn ask(operation: &mut Operation<'_>) {
        Caller::ask(operation);
        Segment::<ChatId>::ask(operation);
    }
}

impl<T: PathPart + JsonSchema> Ask for Segment<T> {
    fn ask(operation: &mut Operation<'_>) {
        operation.parameter::<T>(T::NAME);
        operation.refuses(&[(404, "There is no such thing, or the caller may not know of it."), INVALID]);
    }
}

const INVALID: (u16, &str) = (422, "Readable and wrong: `errors` says what.");

impl<T: JsonSchema> Ask for Input<T> {
    fn ask(operation: &mut Operation<'_>) {
        let schema = operation.schemas.sent.subschema_for::<T>();
        operation.body = Some(json!({ "required": true, "content": { "application/json": { "schema": schema } } }));
        operation.refuses(&[
            (400, "Not JSON."),
            (413, "Larger than the server takes."),
            (415, "Not said to be JSON."),
            INVALID,
        ]);
    }
}

impl<T: JsonSchema> Ask for Asked<T> {
    fn ask(operation: &mut Operation<'_>) {
        // A query has no schema of its own in OpenAPI: its fields are parameters.
        let schema = T::json_schema(&mut operation.schemas.sent);
        let required: Vec<&str> =
            schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        for (name, schema) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let is_required = required.contains(&name.as_str());
            let schema = without_null(schema);
            let mut parameter = json!({ "in": "query", "name": name, "required": is_required, "schema": schema });
            if let Some(what) = schema.get("description") {
                parameter["description"] = what.clone();
            }
            operation.parameters.push(parameter);
        }
        operation.refuses(&[INVALID]);
    }
}

/// What may be absent from a query is left out, and never null.
fn without_null(schema: &Value) -> Value {
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
            if let (Some(what), Some(fields)) = (schema.get("description"), one.as_object_mut()) {
                fields.insert("description".into(), what.clone());
            }
            return one;
        }
    }
    schema
}

impl Ask for Result<Multipart, MultipartRejection> {
    fn ask(operation: &mut Operation<'_>) {
        let files = json!({
            "type": "object",
            "properties": { "file": { "type": "array", "items": { "type": "string", "format": "binary" } } },
            "required": ["file"],
        });
        operation.body = Some(json!({ "required": true, "content": { "multipart/form-data": { "schema": files } } }));
        operation.refuses(&[
            (400, "Not a form, or not whole."),
            (413, "Larger than the server takes."),
            (415, "Not said to be a form."),
            INVALID,
        ]);
    }
}

impl<T: Answer> Answer for Result<T, Error> {
    fn answer(operation: &mut Operation<'_>) {
        T::answer(operation);
        operation.responses.insert("default".into(), problem());
    }
}

impl<T: JsonSchema> Answer for Json<T> {
    fn answer(operation: &mut Operation<'_>) {
        operation.answers_json::<T>(200, "Here it is.");
    }
}
