//! Where the bytes of files are: an object store, on disk unless it is told
//! otherwise, under random keys that name nothing.

use bytes::Bytes;
use chat_core::{Error, Result};
use chrono::{DateTime, Utc};
use futures_util::stream::{BoxStream, StreamExt, TryStreamExt};
use object_store::{
    GetOptions, GetRange, ObjectStore, ObjectStoreExt, WriteMultipart, local::LocalFileSystem, path::Path,
};
use std::{ops::Range, os::unix::fs::PermissionsExt, sync::Arc};

/// How much of the front of a file its type is recognised by.
const SNIFF_BYTES: usize = 8 * 1024;

/// How many parts of one upload may be on their way to the store.
const PARTS_IN_FLIGHT: usize = 4;

/// The store.
#[derive(Debug, Clone)]
pub struct Blobs(Arc<dyn ObjectStore>);

/// Bytes that have been stored.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) key: String,
    pub(crate) size: u64,
    pub(crate) mime_type: String,
}

/// Stored bytes on their way out.
pub(crate) type Chunks = BoxStream<'static, object_store::Result<Bytes>>;

impl Blobs {
    /// In a folder, which is made if it is not there.
    pub fn on_disk(folder: &std::path::Path) -> std::io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        // Of all accounts of the machine, ours alone reads what people upload.
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))?;
        let store = LocalFileSystem::new_with_prefix(folder)?.with_automatic_cleanup(true).with_fsync(true);
        Ok(Self(Arc::new(store)))
    }

    /// Stores a file as it arrives, at most `cap` bytes of it; past that nothing
    /// is kept.
    pub(crate) async fn store<E: Into<Error>>(
        &self,
        chunks: impl futures_util::Stream<Item = Result<Bytes, E>>,
        cap: u64,
    ) -> Result<Stored> {
        let key = uuid::Uuid::new_v4().simple().to_string();
        let upload = self.0.put_multipart(&Path::from(key.as_str())).await.map_err(Error::internal)?;
        let mut upload = WriteMultipart::new(upload);
        match receive(&mut upload, chunks, cap).await {
            Ok((size, front)) => {
                upload.finish().await.map_err(Error::internal)?;
                Ok(Stored { key, size, mime_type: recognise(&front) })
            }
            Err(error) => {
                if let Err(cause) = upload.abort().await {
                    tracing::warn!(%cause, "cannot take back a broken upload");
                }
                Err(error)
            }
        }
    }

    /// Stores bytes that are there.
    pub(crate) async fn put(&self, bytes: Vec<u8>) -> Result<String> {
        let key = uuid::Uuid::new_v4().simple().to_string();
        self.0.put(&Path::from(key.as_str()), bytes.into()).await.map_err(Error::internal)?;
        Ok(key)
    }

    /// All bytes of a file.
    pub(crate) async fn whole(&self, key: &str) -> Result<Bytes> {
        let found = self.0.get(&Path::from(key)).await.map_err(Error::internal)?;
        found.bytes().await.map_err(Error::internal)
    }

    /// The bytes of a file, or of a part of it.
    pub(crate) async fn read(&self, key: &str, range: Option<Range<u64>>) -> Result<Chunks> {
        let options = GetOptions { range: range.map(GetRange::Bounded), ..GetOptions::default() };
        let found = self.0.get_opts(&Path::from(key), options).await.map_err(Error::internal)?;
        Ok(found.into_stream())
    }

    /// The keys of everything that was stored before a time, in no order.
    pub(crate) fn stored_before(&self, time: DateTime<Utc>) -> BoxStream<'static, Result<String>> {
        let keys = self.0.list(None).try_filter_map(move |found| {
            let is_older = found.last_modified < time;
            async move { Ok(is_older.then(|| found.location.to_string())) }
        });
        keys.map_err(Error::internal).boxed()
    }

    /// Forgets files that nobody can ask for.
    pub(crate) async fn forget(&self, keys: impl IntoIterator<Item = String>) {
        for key in keys {
            if let Err(error) = self.0.delete(&Path::from(key)).await {
                tracing::warn!(%error, "cannot delete a file that nobody will ask for");
            }
        }
    }
}

async fn receive<E: Into<Error>>(
    upload: &mut WriteMultipart,
    chunks: impl futures_util::Stream<Item = Result<Bytes, E>>,
    cap: u64,
) -> Result<(u64, Vec<u8>)> {
    let mut chunks = std::pin::pin!(chunks);
    let (mut size, mut front) = (0u64, Vec::new());
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(Into::into)?;
        size += chunk.len() as u64;
        if size > cap {
            return Err(Error::TooLarge(cap));
        }
        let room = SNIFF_BYTES.saturating_sub(front.len()).min(chunk.len());
        front.extend_from_slice(chunk.get(..room).unwrap_or_default());
        upload.wait_for_capacity(PARTS_IN_FLIGHT).await.map_err(Error::internal)?;
        upload.put(chunk);
    }
    Ok((size, front))
}

/// The type that the bytes themselves show; what the uploader says is not asked.
fn recognise(front: &[u8]) -> String {
    if let Some(kind) = infer::get(front) {
        return kind.mime_type().to_owned();
    }
    // A cut may go through a character, which is no reason to call text binary.
    let is_text = match std::str::from_utf8(front) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none() && front.len() >= SNIFF_BYTES,
    };
    if is_text && !front.contains(&0) { "text/plain; charset=utf-8".into() } else { "application/octet-stream".into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_found_in_the_bytes() {
        assert_eq!(recognise(b"\x89PNG\r\n\x1a\n----"), "image/png");
        assert_eq!(recognise(b"<!DOCTYPE html><script>"), "text/html");
        assert_eq!(recognise("plain words, é".as_bytes()), "text/plain; charset=utf-8");
        assert_eq!(recognise(&[0, 1, 2, 255]), "application/octet-stream");
    }
}
