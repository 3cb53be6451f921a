//! The published OpenAPI document equals the one that the code generates.

use chat_test::{ApiResponse, TestApp};
use serde_json::Value;
use std::collections::BTreeSet;

const PUBLISHED: &str = include_str!("../../../docs/openapi.json");

#[test]
fn the_published_document_is_up_to_date() {
    assert!(chat_server::openapi_json() == PUBLISHED, "run `make openapi` and commit docs/openapi.json");
}

#[test]
fn the_document_has_every_route_and_every_reference() {
    let document: Value = serde_json::from_str(PUBLISHED).expect("JSON");
    for route in chat_server::routes().list() {
        let operation = &document["paths"][route.path][route.method.as_str().to_lowercase()];
        assert!(
            operation["summary"].as_str().is_some_and(|text| text.ends_with('.')),
            "{} {}",
            route.method,
            route.path
        );
        let described: BTreeSet<&str> = operation["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|parameter| parameter["in"] == "path")
            .filter_map(|parameter| parameter["name"].as_str())
            .collect();
        let named: BTreeSet<&str> =
            route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
        assert_eq!(described, named, "{} {}", route.method, route.path);
    }
    let references = PUBLISHED.split("\"$ref\": \"#/components/schemas/").skip(1);
    for name in references.filter_map(|rest| rest.split('"').next()) {
        assert!(document["components"]["schemas"][name].is_object(), "the schema {name} is referenced but missing");
    }
    let ids: Vec<&Value> = document["paths"]
        .as_object()
        .expect("paths")
        .values()
        .flat_map(|methods| methods.as_object().expect("methods").values())
        .map(|operation| &operation["operationId"])
        .collect();
    let distinct: BTreeSet<&str> = ids.iter().filter_map(|id| id.as_str()).collect();
    assert_eq!(ids.len(), distinct.len(), "operation ids are unique");
}

#[tokio::test]
async fn the_docs_page_loads_nothing_from_other_hosts() {
    let app = TestApp::start().await;
    let get = |path: &str| {
        let url = format!("{}{path}", app.endpoints.chat);
        async move { ApiResponse::read(reqwest::get(url).await.expect("an answer")).await.expect(200) }
    };
    let json = get(chat_server::OPENAPI_PATH).await;
    assert_eq!(json.header("content-type"), "application/json");
    // The served document names the public URL.
    let mut served = json.json();
    let mut published: Value = serde_json::from_str(PUBLISHED).expect("JSON");
    assert_eq!(served["servers"][0]["url"], app.endpoints.chat);
    (served["servers"], published["servers"]) = (Value::Null, Value::Null);
    assert!(served == published, "the served document is not the published one");
    let page = String::from_utf8(get("/api/docs/").await.bytes).expect("text");
    assert!(page.contains("swagger-ui"));
    let mut foreign = page.split(['"', '\'']).filter(|text| text.starts_with("http") || text.starts_with("//"));
    assert_eq!(foreign.next(), None, "the page loads nothing from other hosts");
    let start = String::from_utf8(get("/api/docs/swagger-initializer.js").await.bytes).expect("text");
    assert!(start.contains(chat_server::OPENAPI_PATH));
    get("/api/docs/swagger-ui-bundle.js").await;
}
