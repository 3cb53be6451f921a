//! A multipart form whose memory is bounded. The parser keeps everything that it has read
//! in memory until it finds the end of a part's header, so a form without such an end
//! would be kept whole and scanned again and again.

use crate::limits::MAX_JSON_BYTES;
use axum::{
    RequestExt,
    body::{Body, BodyDataStream, Bytes},
    extract::{
        FromRequest, Multipart, Request,
        multipart::{Field, MultipartError, MultipartRejection},
    },
    http::{StatusCode, header},
};
use chat_core::{Error, Result};
use futures_util::{Stream, StreamExt, TryStreamExt};
use std::{
    io,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

/// Maximum size of what stands between the contents of two parts, in bytes: a boundary and
/// a header, and what the parser has read beyond them.
const MAX_UNPARSED_BYTES: usize = 256 * 1024;

/// Number of bytes after which the parser must look at what it has read: otherwise it would
/// read for as long as the client sends.
const MAX_READ_BYTES: usize = 64 * 1024;

/// A multipart form.
pub(crate) struct UploadForm {
    multipart: Multipart,
    /// Number of bytes read since the parser last returned a part or its content.
    unparsed: Arc<AtomicUsize>,
}

impl<S: Send + Sync> FromRequest<S> for UploadForm {
    type Rejection = chat_http::ApiError;

    async fn from_request(request: Request, state: &S) -> std::result::Result<Self, Self::Rejection> {
        let unparsed = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&unparsed);
        let request = request
            .with_limited_body()
            .map(|body| Body::from_stream(BoundedBody { body: body.into_data_stream(), unparsed: counter, read: 0 }));
        let multipart = Multipart::from_request(request, state).await.map_err(|rejection| match rejection {
            MultipartRejection::InvalidBoundary(_) => {
                Error::UnsupportedMediaType("send files as a form with `Content-Type: multipart/form-data; boundary=…`")
            }
            other => Error::Malformed(other.body_text()),
        })?;
        Ok(Self { multipart, unparsed })
    }
}

/// A body that ends with an error if the parser has read `MAX_UNPARSED_BYTES` without
/// finding the end of a part's header.
struct BoundedBody {
    body: BodyDataStream,
    unparsed: Arc<AtomicUsize>,
    /// Number of bytes read since the parser last looked at them.
    read: usize,
}

impl Stream for BoundedBody {
    type Item = std::result::Result<Bytes, axum::BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.read >= MAX_READ_BYTES {
            self.read = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let Some(chunk) = ready!(self.body.poll_next_unpin(cx)) else { return Poll::Ready(None) };
        let bytes = chunk.map_err(axum::Error::into_inner)?;
        self.read += bytes.len();
        if self.unparsed.fetch_add(bytes.len(), Ordering::Relaxed) + bytes.len() > MAX_UNPARSED_BYTES {
            let error = io::Error::new(io::ErrorKind::InvalidData, "the header of a part is too long");
            return Poll::Ready(Some(Err(error.into())));
        }
        Poll::Ready(Some(Ok(bytes)))
    }
}

impl UploadForm {
    /// Returns the next part of the form.
    pub(crate) async fn next_part(&mut self, max_bytes: u64) -> Result<Option<Part<'_>>> {
        let Self { multipart, unparsed } = self;
        let field = multipart.next_field().await.map_err(|error| form_error(&error, max_bytes))?;
        unparsed.store(0, Ordering::Relaxed);
        let Some(field) = field else { return Ok(None) };
        let disposition = field.headers().get(header::CONTENT_DISPOSITION);
        let has_filename =
            disposition.is_some_and(|value| value.as_bytes().windows(9).any(|bytes| bytes == b"filename="));
        let filename = field.file_name().map(decode_filename);
        let name = field.name().unwrap_or_default().to_owned();
        let content = PartContent { field, unparsed, max_bytes };
        match filename {
            Some(filename) => Ok(Some(Part::File(filename, content))),
            None if has_filename => Err(Error::Malformed("a file name must be UTF-8".into())),
            None => Ok(Some(Part::Field(name, content))),
        }
    }

    /// Reads the fields of a form, without its files.
    pub(crate) async fn read_fields(mut self) -> Result<Vec<(String, String)>> {
        let mut fields = Fields::default();
        while let Some(part) = self.next_part(MAX_FIELD_BYTES as u64).await? {
            if let Part::Field(name, content) = part {
                fields.read(name, content).await?;
            }
        }
        Ok(fields.0)
    }
}

/// A part of a form.
pub(crate) enum Part<'a> {
    /// A file, with its name.
    File(String, PartContent<'a>),
    /// Another field, with its name.
    Field(String, PartContent<'a>),
}

/// Maximum size of all fields of a form that are not files, in bytes.
const MAX_FIELD_BYTES: usize = MAX_JSON_BYTES;

/// The fields of a form that are not files.
#[derive(Debug, Default)]
pub(crate) struct Fields(pub(crate) Vec<(String, String)>);

impl Fields {
    /// Reads a field.
    pub(crate) async fn read(&mut self, name: String, content: PartContent<'_>) -> Result<()> {
        let read: usize = self.0.iter().map(|(name, value)| name.len() + value.len()).sum();
        let mut bytes = Vec::new();
        let mut chunks = pin!(content.into_chunks());
        while let Some(chunk) = chunks.try_next().await? {
            bytes.extend_from_slice(&chunk);
            if read + name.len() + bytes.len() > MAX_FIELD_BYTES {
                return Err(Error::TooLarge(MAX_FIELD_BYTES as u64));
            }
        }
        let value =
            String::from_utf8(bytes).map_err(|_| Error::Malformed("a field of the form is not UTF-8".into()))?;
        self.0.push((name, value));
        Ok(())
    }
}

/// Decodes the three characters that browsers escape in the file names of a form.
fn decode_filename(name: &str) -> String {
    name.replace("%22", "\"").replace("%0D", "\r").replace("%0A", "\n")
}

/// The content of a part of a form.
pub(crate) struct PartContent<'a> {
    field: Field<'a>,
    unparsed: &'a AtomicUsize,
    max_bytes: u64,
}

impl PartContent<'_> {
    /// Returns the content in chunks.
    pub(crate) fn into_chunks(self) -> impl Stream<Item = Result<Bytes>> {
        let Self { field, unparsed, max_bytes } = self;
        field.map(move |chunk| {
            unparsed.store(0, Ordering::Relaxed);
            chunk.map_err(|error| form_error(&error, max_bytes))
        })
    }
}

fn form_error(error: &MultipartError, max_bytes: u64) -> Error {
    match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Error::TooLarge(max_bytes),
        StatusCode::INTERNAL_SERVER_ERROR => Error::Malformed("the form is incomplete".into()),
        _ => Error::Malformed(format!("the form cannot be read: {}", error.body_text())),
    }
}
