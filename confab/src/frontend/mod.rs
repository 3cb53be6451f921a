//! The web frontend, as it was built from `web/app`: inside this binary, or in a
//! folder of yours.

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use clap::Args;
use rust_embed::{EmbeddedFile, RustEmbed};
use std::{
    borrow::Cow,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

/// What a page of ours may do: nothing but what comes from here. Pictures are
/// fetched with a token, which makes them `blob:`.
const POLICY: &str = "default-src 'self'; img-src 'self' blob: data:; connect-src 'self'; object-src 'none'; \
                      frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// Answered where nothing was built.
const NOT_BUILT: &str = include_str!("not_built.html");

/// The page; every address of the frontend is this file.
const INDEX: &str = "index.html";

/// Paths that belong to the servers, and are never a page.
const SERVERS: [&str; 3] = ["/api", "/events", "/ws"];

/// `web/app/dist`, which need not exist. An unoptimised build reads it as it is now.
#[derive(RustEmbed)]
#[folder = "../web/app/dist"]
#[allow_missing = true]
struct Built;

/// Where the frontend is.
#[derive(Debug, Clone, Args)]
pub(crate) struct Frontend {
    /// A folder with a frontend to serve instead of the one inside.
    #[arg(long, env = "CHAT_WEB_DIR")]
    web_dir: Option<PathBuf>,
}

impl Frontend {
    /// Answers everything that nobody else does.
    pub(crate) fn router(&self) -> Router {
        Router::new().fallback(answer).with_state(Arc::new(self.clone()))
    }

    async fn find(&self, path: &str) -> Option<File> {
        let Some(folder) = &self.web_dir else { return Built::get(path).map(File::from) };
        let inside = Path::new(path);
        let is_plain = inside.components().all(|part| matches!(part, Component::Normal(_)));
        let bytes = if is_plain { tokio::fs::read(folder.join(inside)).await.ok() } else { None };
        bytes.map(|bytes| File { bytes: bytes.into(), tag: None })
    }
}

struct File {
    bytes: Cow<'static, [u8]>,
    /// Changes with the bytes.
    tag: Option<HeaderValue>,
}

impl From<EmbeddedFile> for File {
    fn from(file: EmbeddedFile) -> Self {
        let hash = file.metadata.sha256_hash();
        let tag = hash.iter().take(12).map(|byte| format!("{byte:02x}")).collect::<String>();
        Self { bytes: file.data, tag: HeaderValue::from_str(&format!("\"{tag}\"")).ok() }
    }
}

async fn answer(State(frontend): State<Arc<Frontend>>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let is_servers = |path: &str| SERVERS.iter().any(|own| path == *own || path.starts_with(&format!("{own}/")));
    if is_servers(uri.path()) {
        return StatusCode::NOT_FOUND.into_response();
    }
    if method != Method::GET && method != Method::HEAD {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let path = match uri.path().trim_start_matches('/') {
        "" => INDEX,
        path => path,
    };
    let accepts = |name: HeaderName, what: &str| {
        headers.get(name).and_then(|value| value.to_str().ok()).is_some_and(|value| value.contains(what))
    };
    let takes_gzip = accepts(header::ACCEPT_ENCODING, "gzip");
    if let Some(answer) = file(&frontend, path, takes_gzip, &headers).await {
        return answer;
    }
    let is_page = path == INDEX || accepts(header::ACCEPT, "text/html");
    if !is_page {
        return StatusCode::NOT_FOUND.into_response();
    }
    match file(&frontend, INDEX, takes_gzip, &headers).await {
        Some(answer) => answer,
        None => (guards(), [(header::CONTENT_TYPE, "text/html; charset=utf-8")], NOT_BUILT).into_response(),
    }
}

/// A file, as it is or as it was compressed when it was built.
async fn file(frontend: &Frontend, path: &str, takes_gzip: bool, asked: &HeaderMap) -> Option<Response> {
    let packed = if takes_gzip { frontend.find(&format!("{path}.gz")).await } else { None };
    let is_packed = packed.is_some();
    let file = match packed {
        Some(file) => file,
        None => frontend.find(path).await?,
    };
    let mut headers = guards();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(freshness(path)));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(tag) = file.tag {
        let is_known = asked.get(header::IF_NONE_MATCH) == Some(&tag);
        headers.insert(header::ETAG, tag);
        if is_known {
            return Some((StatusCode::NOT_MODIFIED, headers).into_response());
        }
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind(path)));
    if is_packed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Some((headers, file.bytes.into_owned()).into_response())
}

/// What is under `assets/` has its hash in its name.
fn freshness(path: &str) -> &'static str {
    if path.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" }
}

fn kind(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("json" | "map") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("woff2") => "font/woff2",
        Some("png") => "image/png",
        _ => "application/octet-stream",
    }
}

fn guards() -> HeaderMap {
    [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ]
    .into_iter()
    .map(|(name, value)| (name, HeaderValue::from_static(value)))
    .collect()
}
