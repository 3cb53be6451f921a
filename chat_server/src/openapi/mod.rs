//! The OpenAPI 3.1 description, generated from the types of the handlers: the
//! arguments of a handler describe its input, and its result describes its output.

mod describe;
mod document;
mod responses;

pub(crate) use describe::{Operation, OperationHandler, OperationOutput};
pub(crate) use responses::{
    Accepted, Created, CreatedOrOk, FileBody, NdJson, NoContent, ProgramResponse, SeeOther, WithCookies,
};

use crate::router::Access;
use axum::{
    Router,
    http::{HeaderMap, HeaderValue, Method, header},
    routing::get,
};
use chat_core::catalogue::Event;
use chat_http::{Problem, cookies, settings::PublicUrl};
use document::ServedDocument;
use schemars::{
    SchemaGenerator,
    generate::{Contract, SchemaSettings},
};
use serde_json::{Map, Value, json};
use std::sync::{Arc, LazyLock};
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa_swagger_ui::{Config, SwaggerUi};

/// The path of the description.
pub const OPENAPI_PATH: &str = "/api/openapi.json";

/// The path of Swagger UI.
const DOCS_PATH: &str = "/api/docs";

/// The schemas of requests and of responses.
pub(crate) struct Schemas {
    pub(crate) request: SchemaGenerator,
    pub(crate) response: SchemaGenerator,
}

impl Schemas {
    fn new() -> Self {
        let generator = |contract: Contract| {
            SchemaSettings::draft2020_12()
                .with(|settings| {
                    settings.definitions_path = "/components/schemas".into();
                    settings.contract = contract;
                    settings.meta_schema = None;
                })
                .into_generator()
        };
        Self { request: generator(Contract::Deserialize), response: generator(Contract::Serialize) }
    }

    /// Returns all schemas by name. A named type that is both sent and received has
    /// the same schema in both directions.
    fn into_definitions(mut self) -> Map<String, Value> {
        let mut all = self.request.take_definitions(true);
        all.extend(self.response.take_definitions(true));
        all
    }
}

/// The description of the whole API.
pub(crate) struct Document {
    schemas: Schemas,
    paths: Map<String, Value>,
}

impl Document {
    pub(crate) fn new() -> Self {
        let mut document = Self { schemas: Schemas::new(), paths: Map::new() };
        document.schemas.response.subschema_for::<Problem>();
        document.add_stream();
        document
    }

    /// Adds an operation and returns whether it requires a token. The operation id and the tag
    /// come from the module and the name of its handler.
    pub(crate) fn add<H: OperationHandler<A>, A>(
        &mut self,
        method: &Method,
        path: &str,
        summary: &str,
        access: Access,
    ) -> bool {
        let mut names = std::any::type_name::<H>().rsplit("::");
        let mut next_name = || names.next().expect("a handler is a function of a module");
        let (verb, noun) = (next_name(), next_name());
        let mut operation = Operation::new(&mut self.schemas);
        H::describe(&mut operation);
        let is_private = operation.is_private();
        let mut operation = operation.finish(access);
        operation.insert("operationId".into(), format!("{noun}_{verb}").into());
        operation.insert("summary".into(), summary.into());
        operation.insert("tags".into(), json!([noun]));
        self.insert(method, path, operation.into());
        is_private
    }

    fn insert(&mut self, method: &Method, path: &str, operation: Value) {
        let methods = self.paths.entry(path).or_insert_with(|| json!({}));
        if let Some(methods) = methods.as_object_mut() {
            methods.insert(method.as_str().to_lowercase(), operation);
        }
    }

    /// Adds the only operation that the notify server serves.
    fn add_stream(&mut self) {
        let event = self.schemas.response.subschema_for::<Event>();
        let parameter = |place: &str, name: &str, what: &str| json!({ "in": place, "name": name, "description": what, "schema": { "type": "string" } });
        let operation = json!({
            "operationId": "events_stream",
            "summary": "Stream events as Server-Sent Events.",
            "description": "The `data` of each event is an `Event`. See docs/protocol.md.",
            "tags": ["events"],
            "security": [{ "bearer": [] }, { "streamCookie": [] }, { "ticket": [] }],
            "parameters": [
                parameter("header", "Last-Event-ID", "The id of the last received event; later events are replayed."),
                parameter("query", "last_event_id", "Like `Last-Event-ID`, for clients that cannot send headers."),
            ],
            "responses": {
                "200": { "description": "The event stream.", "content": { "text/event-stream": { "schema": event } } },
                "default": describe::problem_response(),
            },
        });
        self.insert(&Method::GET, "/events", operation);
    }

    pub(crate) fn finish(self) -> Value {
        json!({
            "openapi": "3.1.0",
            "info": {
                "title": "Confab",
                "version": env!("CARGO_PKG_VERSION"),
                "description": "A Discord-like chat backend that loses no event. Ids are numbers. Times are RFC 3339 \
                    in UTC. A list is `{items}`; a paged list also has `next`, the query string of the next page.",
                "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            },
            "servers": [{ "url": "/" }],
            "paths": self.paths,
            "components": {
                "schemas": self.schemas.into_definitions(),
                "securitySchemes": {
                    "bearer": {
                        "type": "http",
                        "scheme": "bearer",
                        "description": "A token from `POST /api/signin`, which can use all operations, or an API \
                            token from `POST /api/tokens` with the scope that the operation names. An operation \
                            without a scope cannot be used with an API token.",
                    },
                    "streamCookie": { "type": "apiKey", "in": "cookie", "name": cookies::STREAM.name(false) },
                    "ticket": { "type": "apiKey", "in": "query", "name": "ticket" },
                },
            },
        })
    }
}

/// The description as JSON text, generated once.
static OPENAPI_JSON: LazyLock<String> = LazyLock::new(|| {
    let mut text = serde_json::to_string_pretty(&crate::routes().into_document()).expect("the description is JSON");
    text.push('\n');
    text
});

/// Returns the description, byte for byte as in `docs/openapi.json`.
pub fn openapi_json() -> &'static str {
    &OPENAPI_JSON
}

/// Serves the description as JSON, and Swagger UI, which loads nothing from other
/// hosts.
pub(crate) fn router(public_url: Option<&PublicUrl>) -> Router {
    let document = Arc::new(ServedDocument::new(public_url));
    let json = get(move |headers: HeaderMap| {
        let document = Arc::clone(&document);
        async move { document.response(&headers) }
    });
    let config = Config::new([OPENAPI_PATH]).try_it_out_enabled(true);
    let docs = SwaggerUi::new(DOCS_PATH).config(config);
    let policy = SetResponseHeaderLayer::overriding(header::CONTENT_SECURITY_POLICY, DOCS_POLICY);
    Router::new().route(OPENAPI_PATH, json).merge(Router::from(docs).layer(policy))
}

/// The content security policy of Swagger UI, which styles its elements in scripts.
const DOCS_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; \
     frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
);
