//! Uploads and downloads of files.

use crate::{
    AppState,
    extract::{Caller, Path, Query},
    limits::{MAX_FILE_BYTES, MAX_FILES_PER_UPLOAD},
    openapi::{Created, FileBody},
    upload_form::{Fields, Part, UploadForm},
};
use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use chat_core::{
    Error, FileId, UserId, file_links,
    files::{self, FileInfo, NewFile, Rendition, StoredFile},
};
use chat_http::Result;
use futures_util::StreamExt;
use headers::{ETag, HeaderMapExt, IfMatch, IfNoneMatch, IfRange};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use schemars::JsonSchema;
use serde::Deserialize;
use std::{ops::Range, sync::Arc, time::Duration};
use tokio::{
    sync::Semaphore,
    time::{sleep, timeout},
};

/// How long an upload may take in all.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// Limits how many uploads run at once.
static UPLOAD_PERMITS: Semaphore = Semaphore::const_new(64);

/// How long an upload waits for one of `UPLOAD_PERMITS`.
const MAX_SERVER_WAIT: Duration = Duration::from_secs(60);

/// Stores one or more files.
pub(crate) async fn upload(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    form: UploadForm,
) -> Result<Created<Vec<FileInfo>>> {
    let (_, files) = receive_form(&state, caller.user_id, caller.account_id, form, true).await?;
    Ok(Created(files))
}

/// Stores the files of a form, and returns its other fields too. Without a file it fails only if
/// `needs_file`. `account` is whose limits the upload counts for.
pub(super) async fn receive_form(
    state: &Arc<AppState>,
    uploader: UserId,
    account: UserId,
    form: UploadForm,
    needs_file: bool,
) -> Result<(Vec<(String, String)>, Vec<FileInfo>)> {
    let _slot = state.upload_slots.acquire(account).await?;
    let permit = timeout(MAX_SERVER_WAIT, UPLOAD_PERMITS.acquire()).await;
    let _permit = permit.map_err(|_| Error::Unavailable("too many uploads at once".into()))?;
    let quota = state.retention.user_quota_bytes;
    let free = files::require_quota(&state.db, uploader, quota).await?;
    let (mut fields, mut stored) = (Fields::default(), Vec::new());
    let receive = receive(state, uploader, free, form, &mut fields, &mut stored);
    let outcome = match timeout(UPLOAD_TIMEOUT, receive).await {
        Ok(Ok(())) if stored.is_empty() && needs_file => {
            Err(Error::invalid_with_code("file", "missing", "the form must contain at least one file"))
        }
        Ok(Ok(())) if stored.is_empty() => Ok(Vec::new()),
        Ok(Ok(())) => files::create(&state.db, uploader, &stored, quota).await,
        Ok(Err(error)) => Err(error),
        Err(_) => Err(Error::Malformed("the upload took too long".into())),
    };
    if outcome.is_err() {
        state.files.discard(stored).await;
    }
    Ok((fields.0, outcome?))
}

async fn receive(
    state: &Arc<AppState>,
    uploader: UserId,
    mut free: u64,
    mut form: UploadForm,
    fields: &mut Fields,
    stored: &mut Vec<NewFile>,
) -> Result<(), Error> {
    while let Some(part) = form.next_part(MAX_FILE_BYTES * MAX_FILES_PER_UPLOAD as u64).await? {
        let (filename, file) = match part {
            Part::File(filename, file) => (filename, file),
            Part::Field(name, content) => {
                fields.read(name, content).await?;
                continue;
            }
        };
        if stored.len() == MAX_FILES_PER_UPLOAD {
            return Err(Error::invalid("file", format!("an upload can have at most {MAX_FILES_PER_UPLOAD} files")));
        }
        // The quota is checked while the bytes arrive, and again when the files are registered.
        let max_bytes = MAX_FILE_BYTES.min(free);
        let file = state.files.store(uploader, file.into_chunks(), &filename, max_bytes).await;
        let file = file.map_err(|error| match error {
            Error::TooLarge(_) if max_bytes < MAX_FILE_BYTES => files::QUOTA_EXCEEDED,
            other => other,
        })?;
        free = free.saturating_sub(file.size.try_into().map_err(Error::internal)?);
        stored.push(file);
    }
    Ok(())
}

/// Serves a file to its uploader and to the members of a chat with a message that
/// attaches it.
pub(crate) async fn download(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(id): Path<FileId>,
    method: Method,
    headers: HeaderMap,
) -> Result<FileBody> {
    serve_file(&state, &caller, id, Rendition::Original, &method, &headers).await
}

/// Serves a thumbnail to users who may download the image.
pub(crate) async fn download_thumbnail(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(id): Path<FileId>,
    method: Method,
    headers: HeaderMap,
) -> Result<FileBody> {
    serve_file(&state, &caller, id, Rendition::Thumbnail, &method, &headers).await
}

/// What a link to a file contains.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LinkParams {
    /// Proves that a bridge made the link.
    token: String,
}

/// Limits how many files are served to links at once: everybody who has a link can use it.
static LINK_PERMITS: Semaphore = Semaphore::const_new(64);

/// How long serving a file to a link may take.
const LINK_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// Serves a file to somebody with a link, such as a person on another network.
pub(crate) async fn download_shared(
    State(state): State<Arc<AppState>>,
    Path(id): Path<FileId>,
    Query(LinkParams { token }): Query<LinkParams>,
    method: Method,
    headers: HeaderMap,
) -> Result<FileBody> {
    let message = state.sealer.as_ref().and_then(|sealer| file_links::open(sealer, id, &token));
    let message = message.ok_or(Error::Forbidden("this link is wrong or has expired"))?;
    let permit = LINK_PERMITS.try_acquire();
    let permit = permit.map_err(|_| Error::Unavailable("too many links are used at once".into()))?;
    let file = files::find_shared(&state.db, id, message).await?.ok_or(Error::NotFound("file"))?;
    let FileBody(response) = respond(&state, &file, &method, &headers).await?;
    // Held until the body was sent, or cut off.
    let (parts, body) = response.into_parts();
    let limited = body.into_data_stream().take_until(sleep(LINK_TIMEOUT)).map(move |chunk| {
        let _permit = &permit;
        chunk
    });
    Ok(FileBody(Response::from_parts(parts, Body::from_stream(limited))))
}

async fn serve_file(
    state: &AppState,
    caller: &Caller,
    id: FileId,
    rendition: Rendition,
    method: &Method,
    headers: &HeaderMap,
) -> Result<FileBody> {
    let file = files::find_visible(&state.db, id, rendition, caller.user_id).await?.ok_or(Error::NotFound("file"))?;
    respond(state, &file, method, headers).await
}

async fn respond(state: &AppState, file: &StoredFile, method: &Method, headers: &HeaderMap) -> Result<FileBody> {
    let etag: ETag = format!("\"{}\"", file.blob_key).parse().map_err(Error::internal)?;
    let size = u64::try_from(file.size).map_err(Error::internal)?;
    let is_current = headers.typed_get::<IfNoneMatch>().is_some_and(|tags| !tags.precondition_passes(&etag));
    let is_expected = headers.typed_get::<IfMatch>().is_none_or(|tags| tags.precondition_passes(&etag));
    // A range means nothing to a request without a body in the response.
    let range = if *method == Method::GET { requested_range(headers, &etag, size) } else { RequestedRange::Whole };
    let mut response = match range {
        _ if !is_expected => StatusCode::PRECONDITION_FAILED.into_response(),
        _ if is_current => StatusCode::NOT_MODIFIED.into_response(),
        RequestedRange::Whole => respond_whole(state, file, size).await?,
        RequestedRange::Bytes(range) => respond_range(state, file, range, size).await?,
        RequestedRange::NotSatisfiable => {
            let content_range = [(header::CONTENT_RANGE, format!("bytes */{size}"))];
            (StatusCode::RANGE_NOT_SATISFIABLE, content_range).into_response()
        }
    };
    write_headers(response.headers_mut(), file, etag)?;
    Ok(FileBody(response))
}

async fn respond_whole(state: &AppState, file: &StoredFile, size: u64) -> Result<Response> {
    let body = Body::from_stream(state.files.blobs().read(&file.blob_key, None).await?);
    Ok(([(header::CONTENT_LENGTH, size)], body).into_response())
}

async fn respond_range(state: &AppState, file: &StoredFile, range: Range<u64>, size: u64) -> Result<Response> {
    let content_range = format!("bytes {}-{}/{size}", range.start, range.end - 1);
    let body = Body::from_stream(state.files.blobs().read(&file.blob_key, Some(range.clone())).await?);
    let length = [(header::CONTENT_LENGTH, range.end - range.start)];
    Ok((StatusCode::PARTIAL_CONTENT, length, [(header::CONTENT_RANGE, content_range)], body).into_response())
}

/// Types that browsers may display inline; all others are downloaded.
const INLINE_TYPES: [&str; 8] =
    ["image/png", "image/jpeg", "image/gif", "image/webp", "video/mp4", "video/webm", "audio/mpeg", "audio/ogg"];

/// The characters of a file name that RFC 8187 requires to be encoded.
const EXT_VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Writes headers that prevent an uploaded file from running as a page of this origin.
fn write_headers(headers: &mut HeaderMap, file: &StoredFile, etag: ETag) -> Result<()> {
    let is_inline = INLINE_TYPES.contains(&file.mime_type.as_str());
    let mime_type = if is_inline { file.mime_type.as_str() } else { "application/octet-stream" };
    let disposition_type = if is_inline { "inline" } else { "attachment" };
    let disposition =
        format!("{disposition_type}; filename*=UTF-8''{}", utf8_percent_encode(&file.filename, EXT_VALUE));
    headers.insert(header::CONTENT_TYPE, mime_type.parse().map_err(Error::internal)?);
    headers.insert(header::CONTENT_DISPOSITION, disposition.parse().map_err(Error::internal)?);
    headers.typed_insert(etag);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    Ok(())
}

/// The part of a file that a request asks for.
#[derive(Debug, PartialEq, Eq)]
enum RequestedRange {
    Whole,
    Bytes(Range<u64>),
    NotSatisfiable,
}

/// Parses `Range` and `If-Range`. Returns the whole file for an invalid range, for a unit
/// other than bytes, for several ranges, and for a range of another version, as RFC 9110
/// allows. `headers::Range` is not used, because it accepts invalid ranges and rejects a suffix
/// that is longer than the file.
fn requested_range(headers: &HeaderMap, etag: &ETag, size: u64) -> RequestedRange {
    let is_other_version = headers.typed_get::<IfRange>().is_some_and(|tag| tag.is_modified(Some(etag), None));
    let mut lines = headers.get_all(header::RANGE).iter();
    match (lines.next().and_then(|line| line.to_str().ok()), lines.next()) {
        (Some(line), None) if !is_other_version => parse_range(line, size).unwrap_or(RequestedRange::Whole),
        _ => RequestedRange::Whole,
    }
}

/// Parses one range of bytes; `None` if it is invalid or something else.
fn parse_range(text: &str, size: u64) -> Option<RequestedRange> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // A larger number is beyond every file.
    let parse = |text: &str| text.parse().unwrap_or(u64::MAX);
    let (start, end) = match (first, last) {
        ("", suffix) if is_number(suffix) => (size.saturating_sub(parse(suffix)), size),
        (first, "") if is_number(first) => (parse(first), size),
        (first, last) if is_number(first) && is_number(last) && parse(first) <= parse(last) => {
            (parse(first), parse(last).saturating_add(1).min(size))
        }
        _ => return None,
    };
    Some(if start < end { RequestedRange::Bytes(start..end) } else { RequestedRange::NotSatisfiable })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_parsed_as_the_standard_says() {
        let etag: ETag = "\"v2\"".parse().expect("a tag");
        let requested = |range: &str, if_range: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, range.parse().expect("a value"));
            if let Some(tag) = if_range {
                headers.insert(header::IF_RANGE, tag.parse().expect("a value"));
            }
            requested_range(&headers, &etag, 100)
        };
        for (range, bytes) in [
            ("bytes=0-9", 0..10),
            ("bytes=5-", 5..100),
            ("bytes=-3", 97..100),
            ("bytes=90-900", 90..100),
            ("bytes=0-0", 0..1),
            ("bytes=-101", 0..100),
            ("bytes=-99999999999999999999", 0..100),
        ] {
            assert_eq!(requested(range, None), RequestedRange::Bytes(bytes), "{range}");
        }
        for beyond in ["bytes=100-", "bytes=200-300", "bytes=-0", "bytes=99999999999999999999-"] {
            assert_eq!(requested(beyond, None), RequestedRange::NotSatisfiable, "{beyond}");
        }
        for other in [
            "lines=1-2",
            "bytes=0-1,3-4",
            "bytes=9-0",
            "bytes=a-b",
            "bytes=",
            "bytes=-",
            "bytes=5",
            "bytes=+0-5",
            "bytes=-+3",
        ] {
            assert_eq!(requested(other, None), RequestedRange::Whole, "{other}");
        }
        assert_eq!(requested("bytes=0-9", Some("\"v2\"")), RequestedRange::Bytes(0..10));
        assert_eq!(requested("bytes=0-9", Some("\"v1\"")), RequestedRange::Whole);
    }
}
