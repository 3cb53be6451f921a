//! Uploading files, and reading them back.

use crate::{
    Api,
    blobs::Stored,
    extract::{Caller, Segment},
    limits::{MAX_FILE_BYTES, MAX_FILES_PER_UPLOAD},
    openapi::{FileBytes, New},
    pictures,
};
use axum::{
    body::Body,
    extract::{
        Multipart, State,
        multipart::{Field, MultipartError, MultipartRejection},
    },
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use chat_core::{
    Error, FileId, Result,
    files::{self, FileInfo, NewFile, Rendition, StoredFile},
    text::is_bidi_control,
};
use futures_util::TryStreamExt;
use std::{ops::Range, sync::Arc};

/// Stores one or more files, which stay private until a message shows them.
pub(crate) async fn upload(
    State(api): State<Arc<Api>>,
    caller: Caller,
    multipart: Result<Multipart, MultipartRejection>,
) -> Result<New<Vec<FileInfo>>> {
    let multipart = multipart.map_err(|rejection| match rejection {
        MultipartRejection::InvalidBoundary(_) => {
            Error::WrongMediaType("send files as a form: `Content-Type: multipart/form-data; boundary=…`")
        }
        other => Error::Malformed(other.body_text()),
    })?;
    let mut stored = Vec::new();
    let outcome = match receive(&api, multipart, &mut stored).await {
        Ok(()) => files::create(&api.db, caller.user_id, &stored, api.keeping.quota_bytes).await,
        Err(error) => Err(error),
    };
    if outcome.is_err() {
        api.blobs.forget(stored.into_iter().flat_map(NewFile::blob_keys)).await;
    }
    Ok(New(outcome?))
}

async fn receive(api: &Api, mut multipart: Multipart, stored: &mut Vec<NewFile>) -> Result<()> {
    while let Some(field) = multipart.next_field().await.map_err(broken)? {
        let Some(filename) = field.file_name().map(plain_filename) else { continue };
        if stored.len() == MAX_FILES_PER_UPLOAD {
            return Err(Error::invalid("file", format!("one upload has at most {MAX_FILES_PER_UPLOAD} files")));
        }
        stored.push(keep(api, store(api, field).await?, filename).await?);
    }
    if stored.is_empty() {
        return Err(Error::invalid_as("file", "missing", "the form has no file in it"));
    }
    Ok(())
}

async fn store(api: &Api, field: Field<'_>) -> Result<Stored> {
    api.blobs.store(field.map_err(broken), MAX_FILE_BYTES).await
}

async fn keep(api: &Api, mut stored: Stored, filename: String) -> Result<NewFile> {
    match pictures::develop(&api.blobs, &mut stored).await {
        Ok(picture) => {
            let Stored { key, size, mime_type } = stored;
            let size = i64::try_from(size).map_err(Error::internal)?;
            Ok(NewFile { blob_key: key, filename, mime_type, size, picture })
        }
        Err(error) => {
            api.blobs.forget([stored.key]).await;
            Err(error)
        }
    }
}

fn broken(error: MultipartError) -> Error {
    match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Error::TooLarge(MAX_FILE_BYTES * MAX_FILES_PER_UPLOAD as u64),
        StatusCode::INTERNAL_SERVER_ERROR => Error::Malformed("the form did not arrive whole".into()),
        _ => Error::Malformed(format!("the form cannot be read: {}", error.body_text())),
    }
}

/// A name as its owner would know it: no folders, nothing invisible, at most 255
/// characters with the ending kept.
fn plain_filename(given: &str) -> String {
    let last = given.rsplit(['/', '\\']).next().unwrap_or_default();
    let visible: String = last.chars().filter(|c| !c.is_control() && !is_bidi_control(*c)).collect();
    let visible = visible.trim().trim_start_matches('.');
    if visible.is_empty() {
        return "file".into();
    }
    let length = visible.chars().count();
    if length <= 255 {
        return visible.into();
    }
    let ending = visible.rsplit_once('.').map(|(_, ending)| ending).filter(|ending| ending.len() <= 16);
    let ending = ending.map(|ending| format!(".{ending}")).unwrap_or_default();
    visible.chars().take(255 - ending.chars().count()).collect::<String>() + &ending
}

/// A file's bytes, for its uploader and for members of a chat that shows it.
pub(crate) async fn download(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Segment(id): Segment<FileId>,
    headers: HeaderMap,
) -> Result<FileBytes> {
    serve(&api, &caller, id, Rendition::Original, &headers).await
}

/// A small copy of a picture, for whoever may have the picture.
pub(crate) async fn thumbnail(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Segment(id): Segment<FileId>,
    headers: HeaderMap,
) -> Result<FileBytes> {
    serve(&api, &caller, id, Rendition::Thumbnail, &headers).await
}

async fn serve(api: &Api, caller: &Caller, id: FileId, which: Rendition, headers: &HeaderMap) -> Result<FileBytes> {
    let file = files::visible(&api.db, id, which, caller.user_id).await?.ok_or(Error::NotFound("file"))?;
    let etag = format!("\"{}\"", file.blob_key);
    let size = u64::try_from(file.size).map_err(Error::internal)?;
    let text = |header| headers.get(header).and_then(|value| value.to_str().ok());
    let mut response = if text(header::IF_NONE_MATCH).is_some_and(|tags| tags.contains(&etag)) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        // A part of another version is not wanted.
        let is_current = text(header::IF_RANGE).is_none_or(|tag| tag == etag);
        match text(header::RANGE).filter(|_| is_current).and_then(parse_range) {
            None => whole(api, &file, size).await?,
            Some(asked) => part(api, &file, asked, size).await?,
        }
    };
    describe(response.headers_mut(), &file, &etag)?;
    Ok(FileBytes(response))
}

async fn whole(api: &Api, file: &StoredFile, size: u64) -> Result<Response> {
    let body = Body::from_stream(api.blobs.read(&file.blob_key, None).await?);
    Ok(([(header::CONTENT_LENGTH, size)], body).into_response())
}

async fn part(api: &Api, file: &StoredFile, asked: Asked, size: u64) -> Result<Response> {
    let Some(range) = asked.within(size) else {
        let everything = [(header::CONTENT_RANGE, format!("bytes */{size}"))];
        return Ok((StatusCode::RANGE_NOT_SATISFIABLE, everything).into_response());
    };
    let what = format!("bytes {}-{}/{size}", range.start, range.end - 1);
    let body = Body::from_stream(api.blobs.read(&file.blob_key, Some(range.clone())).await?);
    let length = [(header::CONTENT_LENGTH, range.end - range.start)];
    Ok((StatusCode::PARTIAL_CONTENT, length, [(header::CONTENT_RANGE, what)], body).into_response())
}

/// The types that browsers may show in place; all others are saved.
const SHOWN: [&str; 8] =
    ["image/png", "image/jpeg", "image/gif", "image/webp", "video/mp4", "video/webm", "audio/mpeg", "audio/ogg"];

/// Headers that keep what people upload from acting as a page of ours.
fn describe(headers: &mut HeaderMap, file: &StoredFile, etag: &str) -> Result<()> {
    let is_shown = SHOWN.contains(&file.mime_type.as_str());
    let mime_type = if is_shown { file.mime_type.as_str() } else { "application/octet-stream" };
    let how = if is_shown { "inline" } else { "attachment" };
    let disposition = format!("{how}; filename*=UTF-8''{}", percent_encoded(&file.filename));
    headers.insert(header::CONTENT_TYPE, mime_type.parse().map_err(Error::internal)?);
    headers.insert(header::CONTENT_DISPOSITION, disposition.parse().map_err(Error::internal)?);
    headers.insert(header::ETAG, etag.parse().map_err(Error::internal)?);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    Ok(())
}

fn percent_encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// A range of bytes as a header asks for it.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    From(u64),
    Between(u64, u64),
    Last(u64),
}

impl Asked {
    /// The part of a file of this size that it means, if any.
    fn within(self, size: u64) -> Option<Range<u64>> {
        let range = match self {
            Self::From(first) => first..size,
            Self::Between(first, last) => first..last.saturating_add(1).min(size),
            Self::Last(count) => size.saturating_sub(count)..size,
        };
        (range.start < range.end).then_some(range)
    }
}

/// One range; several at once are answered with the whole file, as the standard
/// allows.
fn parse_range(header: &str) -> Option<Asked> {
    let (first, last) = header.strip_prefix("bytes=")?.split_once('-')?;
    let (first, last) = (first.trim(), last.trim());
    match (first.is_empty(), last.is_empty()) {
        (true, _) => Some(Asked::Last(last.parse().ok()?)),
        (false, true) => Some(Asked::From(first.parse().ok()?)),
        (false, false) => {
            let (first, last) = (first.parse().ok()?, last.parse().ok()?);
            (first <= last).then_some(Asked::Between(first, last))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filename_has_no_folders() {
        for (given, plain) in [
            ("../../etc/passwd", "passwd"),
            ("C:\\temp\\a.txt", "a.txt"),
            ("..", "file"),
            (".hidden", "hidden"),
            ("", "file"),
            ("a\0b\r\n.png", "ab.png"),
        ] {
            assert_eq!(plain_filename(given), plain, "{given:?}");
        }
        let long = plain_filename(&format!("{}.jpeg", "x".repeat(400)));
        assert!(long.chars().count() == 255 && long.ends_with(".jpeg"));
    }

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        assert_eq!(parse_range("bytes=0-9").and_then(|asked| asked.within(100)), Some(0..10));
        assert_eq!(parse_range("bytes=5-").and_then(|asked| asked.within(100)), Some(5..100));
        assert_eq!(parse_range("bytes=-3").and_then(|asked| asked.within(100)), Some(97..100));
        assert_eq!(parse_range("bytes=90-900").and_then(|asked| asked.within(100)), Some(90..100));
        assert_eq!(parse_range("bytes=100-").and_then(|asked| asked.within(100)), None);
        assert_eq!(parse_range("bytes=-0").and_then(|asked| asked.within(100)), None);
        for other in ["bytes=9-0", "bytes=a-b", "lines=1-2", "bytes=", "bytes=0-1,3-4"] {
            assert_eq!(parse_range(other), None, "{other}");
        }
    }
}
