//! The store for the bytes of files: an object store on disk with random keys.

use bytes::Bytes;
use chat_core::{Error, Result};
use chrono::{DateTime, Utc};
use futures_util::stream::{BoxStream, StreamExt, TryStreamExt};
use object_store::{
    GetOptions, GetRange, ObjectStore, ObjectStoreExt, WriteMultipart, local::LocalFileSystem, path::Path,
};
use std::{ops::Range, os::unix::fs::PermissionsExt, sync::Arc};

/// Number of bytes at the start of a file from which its type is detected.
const SNIFF_BYTES: usize = 8 * 1024;

/// Maximum number of parts of one upload that are written to the store at once.
const MAX_PARTS_IN_FLIGHT: usize = 4;

/// The object store.
#[derive(Debug, Clone)]
pub struct BlobStore {
    store: Arc<dyn ObjectStore>,
    folder: Arc<std::path::Path>,
}

/// A stored blob.
#[derive(Debug)]
pub(crate) struct StoredBlob {
    pub(crate) key: String,
    pub(crate) size: u64,
    pub(crate) mime_type: String,
}

/// The bytes of a stored blob, as a stream.
pub type BlobStream = BoxStream<'static, object_store::Result<Bytes>>;

impl BlobStore {
    /// Opens a store in a directory. Creates the directory if needed.
    pub fn on_disk(folder: &std::path::Path) -> std::io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        // Other accounts of the machine must not read uploads.
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))?;
        let store = LocalFileSystem::new_with_prefix(folder)?.with_automatic_cleanup(true).with_fsync(true);
        Ok(Self { store: Arc::new(store), folder: folder.into() })
    }

    /// The directory of the store.
    pub fn folder(&self) -> &std::path::Path {
        &self.folder
    }

    /// Stores a file as it arrives. A file of more than `max_bytes` is rejected.
    pub(crate) async fn store<E: Into<Error>>(
        &self,
        chunks: impl futures_util::Stream<Item = Result<Bytes, E>>,
        max_bytes: u64,
    ) -> Result<StoredBlob> {
        let key = uuid::Uuid::new_v4().simple().to_string();
        let upload = self.store.put_multipart(&Path::from(key.as_str())).await.map_err(write_error)?;
        let mut upload = WriteMultipart::new(upload);
        match upload_chunks(&mut upload, chunks, max_bytes).await {
            Ok((size, prefix)) => {
                upload.finish().await.map_err(write_error)?;
                Ok(StoredBlob { key, size, mime_type: detect_mime_type(&prefix) })
            }
            Err(error) => {
                if let Err(cause) = upload.abort().await {
                    tracing::warn!(%cause, "cannot abort a failed upload");
                }
                Err(error)
            }
        }
    }

    /// Stores bytes from memory, and returns their key.
    pub(crate) async fn put(&self, bytes: Vec<u8>) -> Result<String> {
        let key = uuid::Uuid::new_v4().simple().to_string();
        self.store.put(&Path::from(key.as_str()), bytes.into()).await.map_err(write_error)?;
        Ok(key)
    }

    /// Reads all bytes of a file.
    pub async fn read_all(&self, key: &str) -> Result<Bytes> {
        let object = self.store.get(&Path::from(key)).await.map_err(Error::internal)?;
        object.bytes().await.map_err(Error::internal)
    }

    /// Reads a file, or a range of it, as a stream.
    pub async fn read(&self, key: &str, range: Option<Range<u64>>) -> Result<BlobStream> {
        let options = GetOptions { range: range.map(GetRange::Bounded), ..GetOptions::default() };
        let object = self.store.get_opts(&Path::from(key), options).await.map_err(Error::internal)?;
        Ok(object.into_stream())
    }

    /// Lists the keys of all blobs that were stored before a time, in no order.
    pub fn list_stored_before(&self, time: DateTime<Utc>) -> BoxStream<'static, Result<String>> {
        let keys = self.store.list(None).try_filter_map(move |object| {
            let is_older = object.last_modified < time;
            async move { Ok(is_older.then(|| object.location.to_string())) }
        });
        keys.map_err(Error::internal).boxed()
    }

    /// Deletes blobs that no file refers to.
    pub async fn delete_all(&self, keys: impl IntoIterator<Item = String>) {
        for key in keys {
            if let Err(error) = self.store.delete(&Path::from(key)).await {
                tracing::warn!(%error, "cannot delete an unused blob");
            }
        }
    }
}

/// An error of writing: the disk is full, or a fault.
fn write_error(error: object_store::Error) -> Error {
    let causes = std::iter::successors(Some(&error as &(dyn std::error::Error + 'static)), |error| error.source());
    let is_full = causes
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|error| matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded));
    if is_full { Error::InsufficientStorage } else { Error::internal(error) }
}

async fn upload_chunks<E: Into<Error>>(
    upload: &mut WriteMultipart,
    chunks: impl futures_util::Stream<Item = Result<Bytes, E>>,
    max_bytes: u64,
) -> Result<(u64, Vec<u8>)> {
    let mut chunks = std::pin::pin!(chunks);
    let (mut size, mut prefix) = (0u64, Vec::new());
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(Into::into)?;
        size += chunk.len() as u64;
        if size > max_bytes {
            return Err(Error::TooLarge(max_bytes));
        }
        let missing = SNIFF_BYTES.saturating_sub(prefix.len()).min(chunk.len());
        prefix.extend_from_slice(chunk.get(..missing).unwrap_or_default());
        upload.wait_for_capacity(MAX_PARTS_IN_FLIGHT).await.map_err(write_error)?;
        upload.put(chunk);
    }
    Ok((size, prefix))
}

/// Detects the type from the bytes. The type that the uploader claims is ignored.
fn detect_mime_type(prefix: &[u8]) -> String {
    if let Some(file_type) = infer::get(prefix) {
        return file_type.mime_type().to_owned();
    }
    // The prefix may end inside a character; that does not make text binary.
    let is_text = match std::str::from_utf8(prefix) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none() && prefix.len() >= SNIFF_BYTES,
    };
    if is_text && !prefix.contains(&0) { "text/plain; charset=utf-8".into() } else { "application/octet-stream".into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_found_in_the_bytes() {
        assert_eq!(detect_mime_type(b"\x89PNG\r\n\x1a\n----"), "image/png");
        assert_eq!(detect_mime_type(b"<!DOCTYPE html><script>"), "text/html");
        assert_eq!(detect_mime_type("plain words, é".as_bytes()), "text/plain; charset=utf-8");
        assert_eq!(detect_mime_type(&[0, 1, 2, 255]), "application/octet-stream");
    }
}
