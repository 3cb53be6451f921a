//! Stores a file: detects its type, removes the metadata of images and makes thumbnails.

use crate::{BlobStore, PixelBudget, blobs::StoredBlob, images};
use bytes::Bytes;
use chat_core::{Error, Result, UserId, files::NewFile, values::is_bidi_control};
use futures_util::Stream;
use std::sync::Arc;

/// Maximum size of a file, in bytes.
pub const MAX_FILE_BYTES: u64 = 25 * 1024 * 1024;

/// Stores uploaded files.
#[derive(Debug, Clone)]
pub struct FileStore {
    blobs: BlobStore,
    pixel_budget: Arc<PixelBudget>,
}

impl FileStore {
    /// Returns a store that decodes images within a budget.
    pub fn new(blobs: BlobStore, pixel_budget: PixelBudget) -> Self {
        Self { blobs, pixel_budget: Arc::new(pixel_budget) }
    }

    /// Returns the bytes of the files.
    pub fn blobs(&self) -> &BlobStore {
        &self.blobs
    }

    /// Returns how many pixels of each user are decoded.
    pub fn pixel_budget(&self) -> &PixelBudget {
        &self.pixel_budget
    }

    /// Stores a file as it arrives. A file of more than `max_bytes` is rejected.
    pub async fn store<E: Into<Error>>(
        &self,
        uploader: UserId,
        chunks: impl Stream<Item = Result<Bytes, E>>,
        filename: &str,
        max_bytes: u64,
    ) -> Result<NewFile> {
        let mut stored = self.blobs.store(chunks, max_bytes).await?;
        match images::render(&self.blobs, &self.pixel_budget, uploader, &mut stored).await {
            Ok(image) => {
                let StoredBlob { key, size, mime_type } = stored;
                let size = i64::try_from(size).map_err(Error::internal)?;
                Ok(NewFile { blob_key: key, filename: sanitize_filename(filename), mime_type, size, image })
            }
            Err(error) => {
                self.blobs.delete_all([stored.key]).await;
                Err(error)
            }
        }
    }

    /// Deletes the bytes of files that could not be registered.
    pub async fn discard(&self, files: Vec<NewFile>) {
        self.blobs.delete_all(files.into_iter().flat_map(NewFile::blob_keys)).await;
    }
}

/// Removes directories and invisible characters from a file name, and truncates it to
/// 255 characters. Keeps the extension.
fn sanitize_filename(given: &str) -> String {
    let last = given.rsplit(['/', '\\']).next().unwrap_or_default();
    let visible: String = last.chars().filter(|c| !c.is_control() && !is_bidi_control(*c)).collect();
    // Leading dots stay (`.gitignore`). A name of dots only would name a directory.
    let visible = visible.trim();
    if visible.chars().all(|c| c == '.') {
        return "file".into();
    }
    let length = visible.chars().count();
    if length <= 255 {
        return visible.into();
    }
    let extension = visible.rsplit_once('.').map(|(_, extension)| extension).filter(|extension| extension.len() <= 16);
    let extension = extension.map(|extension| format!(".{extension}")).unwrap_or_default();
    visible.chars().take(255 - extension.chars().count()).collect::<String>() + &extension
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filename_has_no_folders() {
        for (given, expected) in [
            ("../../etc/passwd", "passwd"),
            ("C:\\temp\\a.txt", "a.txt"),
            ("..", "file"),
            (".gitignore", ".gitignore"),
            ("...", "file"),
            ("", "file"),
            ("a\0b\r\n.png", "ab.png"),
        ] {
            assert_eq!(sanitize_filename(given), expected, "{given:?}");
        }
        let long = sanitize_filename(&format!("{}.jpeg", "x".repeat(400)));
        assert!(long.chars().count() == 255 && long.ends_with(".jpeg"));
    }
}
