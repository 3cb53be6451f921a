//! Serves the web frontend that was built from `web/app`: embedded in this binary, or
//! from a directory (`CHAT_WEB_DIR`).

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use chat_http::{
    accept_encoding::{accepts_brotli, accepts_gzip},
    settings::FrontendSettings,
};
use headers::{ETag, HeaderMapExt, IfNoneMatch};
use rust_embed::{EmbeddedFile, RustEmbed};
use std::{
    borrow::Cow,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

/// The content security policy: pages load resources only from this origin. Images are
/// fetched with a token, so their URLs are `blob:`.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self'; object-src 'none'; \
                      frame-ancestors 'none'; base-uri 'none'; form-action 'self'; \
                      require-trusted-types-for 'script'";

/// The page that is served if no frontend was built.
const NOT_BUILT: &str = include_str!("not_built.html");

/// The page of the frontend, which is returned for every path that is not a file.
const INDEX_FILE: &str = "index.html";

/// Paths of the servers, for which the page is never returned.
const SERVER_PREFIXES: [&str; 6] = ["/api", "/events", "/ws", "/in", "/mcp", "/.well-known"];

/// Paths for which programs get the page too, such as those that show link previews.
const PAGE_PREFIXES: [&str; 3] = ["/invite/", "/chats/", "/oauth/"];

/// The files of `web/app/dist`, which need not exist. An unoptimized build reads them at
/// run time.
#[derive(RustEmbed)]
#[folder = "../web/app/dist"]
#[allow_missing = true]
struct EmbeddedAssets;

/// The source of the frontend's files.
#[derive(Debug)]
struct Frontend {
    /// Replaces the embedded files.
    folder: Option<PathBuf>,
}

/// Serves the frontend at every path that no other route matches.
pub(crate) fn router(settings: &FrontendSettings) -> Router {
    let frontend = Frontend { folder: settings.chat_web_dir.clone() };
    Router::new().fallback(serve_frontend).with_state(Arc::new(frontend))
}

impl Frontend {
    async fn load(&self, path: &str) -> Option<File> {
        let Some(folder) = &self.folder else { return EmbeddedAssets::get(path).map(File::from) };
        let relative = Path::new(path);
        let is_normalized = relative.components().all(|part| matches!(part, Component::Normal(_)));
        let bytes = if is_normalized { tokio::fs::read(folder.join(relative)).await.ok() } else { None };
        bytes.map(|bytes| File { bytes: bytes.into(), etag: None })
    }
}

struct File {
    bytes: Cow<'static, [u8]>,
    /// A hash of the bytes.
    etag: Option<ETag>,
}

impl From<EmbeddedFile> for File {
    fn from(file: EmbeddedFile) -> Self {
        let hash = file.metadata.sha256_hash();
        let etag = hash.iter().take(12).map(|byte| format!("{byte:02x}")).collect::<String>();
        Self { bytes: file.data, etag: format!("\"{etag}\"").parse().ok() }
    }
}

async fn serve_frontend(
    State(frontend): State<Arc<Frontend>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let is_server_path =
        |path: &str| SERVER_PREFIXES.iter().any(|prefix| path == *prefix || path.starts_with(&format!("{prefix}/")));
    if is_server_path(uri.path()) {
        return StatusCode::NOT_FOUND.into_response();
    }
    if method != Method::GET && method != Method::HEAD {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let path = match uri.path().trim_start_matches('/') {
        "" => INDEX_FILE,
        path => path,
    };
    if let Some(response) = file_response(&frontend, path, &headers).await {
        return response;
    }
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // Programs that show a preview of a link accept anything.
    let is_page_path = PAGE_PREFIXES.iter().any(|prefix| uri.path().starts_with(prefix));
    let is_page = path == INDEX_FILE
        || accept.contains("text/html")
        || (is_page_path && (accept.is_empty() || accept.contains("*/*")));
    if !is_page {
        return StatusCode::NOT_FOUND.into_response();
    }
    match file_response(&frontend, INDEX_FILE, &headers).await {
        Some(response) => response,
        None => (security_headers(), [(header::CONTENT_TYPE, "text/html; charset=utf-8")], NOT_BUILT).into_response(),
    }
}

/// Loads a file, or its `.br` or `.gz` from the build if the client accepts it, with the name of its coding.
async fn load_accepted(frontend: &Frontend, path: &str, headers: &HeaderMap) -> Option<(File, Option<&'static str>)> {
    // Brotli is about an eighth smaller.
    let codings = [("br", "br", accepts_brotli(headers)), ("gz", "gzip", accepts_gzip(headers))];
    for (extension, coding, is_accepted) in codings {
        if is_accepted && let Some(file) = frontend.load(&format!("{path}.{extension}")).await {
            return Some((file, Some(coding)));
        }
    }
    Some((frontend.load(path).await?, None))
}

async fn file_response(frontend: &Frontend, path: &str, request_headers: &HeaderMap) -> Option<Response> {
    let (file, coding) = load_accepted(frontend, path, request_headers).await?;
    let mut headers = security_headers();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache_control(path)));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(etag) = file.etag {
        let is_modified = request_headers.typed_get::<IfNoneMatch>().is_none_or(|tags| tags.precondition_passes(&etag));
        headers.typed_insert(etag);
        if !is_modified {
            return Some((StatusCode::NOT_MODIFIED, headers).into_response());
        }
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(path)));
    if let Some(coding) = coding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
    }
    Some((headers, file.bytes.into_owned()).into_response())
}

/// Files under `assets/` never change, because their names contain a hash of the content.
fn cache_control(path: &str) -> &'static str {
    if path.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" }
}

fn content_type(path: &str) -> &'static str {
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

fn security_headers() -> HeaderMap {
    [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ]
    .into_iter()
    .map(|(name, value)| (name, HeaderValue::from_static(value)))
    .collect()
}
