//! Uploaded files: what is known of them and who may read them. The bytes are
//! the blob store's.

use crate::{Error, FileId, Result, UserId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{PgExecutor, PgPool, types::Json};

/// What people see of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileInfo {
    /// The id.
    pub id: FileId,
    /// Where its bytes are, for those who may read them.
    pub url: String,
    /// As the uploader named it, without folders.
    pub filename: String,
    /// In bytes.
    pub size: i64,
    /// Found in the bytes, not believed from the uploader.
    pub mime_type: String,
    /// Of a picture, upright, in pixels.
    pub width: Option<i32>,
    /// Of a picture, upright, in pixels.
    pub height: Option<i32>,
    /// Where a small copy of a picture is.
    pub thumbnail_url: Option<String>,
}

/// A file whose bytes are stored.
#[derive(Debug)]
pub struct NewFile {
    /// Under which random key the bytes lie.
    pub blob_key: String,
    /// 1 to 255 characters.
    pub filename: String,
    /// Found in the bytes.
    pub mime_type: String,
    /// In bytes.
    pub size: i64,
    /// Of a picture.
    pub image: Option<NewImage>,
}

/// What is known of a picture.
#[derive(Debug)]
pub struct NewImage {
    /// Upright, in pixels.
    pub width: i32,
    /// Upright, in pixels.
    pub height: i32,
    /// Under which random key a small copy lies.
    pub thumbnail_key: String,
    /// The small copy's type.
    pub thumbnail_type: &'static str,
    /// The small copy's size, in bytes.
    pub thumbnail_size: i64,
}

impl NewFile {
    /// The keys of everything that was stored for it.
    pub fn blob_keys(self) -> impl Iterator<Item = String> {
        std::iter::once(self.blob_key).chain(self.image.map(|image| image.thumbnail_key))
    }
}

/// Which bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rendition {
    /// Its own.
    Original,
    /// The small copy's.
    Thumbnail,
}

/// What is needed to serve a file.
#[derive(Debug, sqlx::FromRow)]
pub struct StoredFile {
    /// Where the bytes are.
    pub blob_key: String,
    /// As the uploader named it.
    pub filename: String,
    /// Found in the bytes.
    pub mime_type: String,
    /// In bytes.
    pub size: i64,
}

/// Registers uploaded files, in order, if all that a person has uploaded then
/// stays within `quota` bytes.
pub async fn create(db: &PgPool, uploader: UserId, files: &[NewFile], quota: i64) -> Result<Vec<FileInfo>> {
    let mut tx = db.begin().await?;
    // One upload of a person at a time is counted.
    sqlx::query("select from users where id = $1 for no key update").bind(uploader).execute(&mut *tx).await?;
    let used: i64 = sqlx::query_scalar("select coalesce(sum(size), 0)::bigint from files where uploader_id = $1")
        .bind(uploader)
        .fetch_one(&mut *tx)
        .await?;
    if used + files.iter().map(|file| file.size).sum::<i64>() > quota {
        return Err(Error::Conflict { code: "quota_exceeded", detail: "you have no room left for this upload" });
    }
    let images = || files.iter().map(|file| file.image.as_ref());
    let rows: Vec<Json<FileInfo>> = sqlx::query_scalar(
        "with uploaded as (
             insert into files (uploader_id, blob_key, filename, mime_type, size,
                                width, height, thumbnail_key, thumbnail_type, thumbnail_size)
             select $1, u.* from unnest($2::text[], $3::text[], $4::text[], $5::bigint[],
                                        $6::int[], $7::int[], $8::text[], $9::text[], $10::bigint[]) u
             returning *
         )
         select file_json(row(uploaded.*)::files) from uploaded order by id",
    )
    .bind(uploader)
    .bind(files.iter().map(|file| file.blob_key.as_str()).collect::<Vec<_>>())
    .bind(files.iter().map(|file| file.filename.as_str()).collect::<Vec<_>>())
    .bind(files.iter().map(|file| file.mime_type.as_str()).collect::<Vec<_>>())
    .bind(files.iter().map(|file| file.size).collect::<Vec<_>>())
    .bind(images().map(|image| Some(image?.width)).collect::<Vec<_>>())
    .bind(images().map(|image| Some(image?.height)).collect::<Vec<_>>())
    .bind(images().map(|image| Some(image?.thumbnail_key.as_str())).collect::<Vec<_>>())
    .bind(images().map(|image| Some(image?.thumbnail_type)).collect::<Vec<_>>())
    .bind(images().map(|image| Some(image?.thumbnail_size)).collect::<Vec<_>>())
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(rows.into_iter().map(|Json(file)| file).collect())
}

/// A file, or its small copy, if the viewer uploaded it, is in a chat where a
/// message shows it, or it is somebody's picture.
pub async fn find_visible(
    db: impl PgExecutor<'_>,
    id: FileId,
    rendition: Rendition,
    viewer: UserId,
) -> Result<Option<StoredFile>> {
    Ok(sqlx::query_as(
        "select bytes.*, f.filename
         from files f
         cross join lateral (
             select f.blob_key, f.mime_type, f.size where not $3
             union all
             select f.thumbnail_key, f.thumbnail_type, f.thumbnail_size where $3 and f.thumbnail_key is not null
         ) bytes
         where f.id = $1 and (f.uploader_id = $2 or exists (
             select from message_files mf
             join messages m on m.id = mf.message_id and m.deleted_at is null
             join chat_members c on c.chat_id = m.chat_id and c.user_id = $2
             where mf.file_id = f.id
         ) or exists (select from users u where u.avatar_file_id = f.id))",
    )
    .bind(id)
    .bind(viewer)
    .bind(rendition == Rendition::Thumbnail)
    .fetch_optional(db)
    .await?)
}
