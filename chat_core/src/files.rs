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
    let rows: Vec<Json<FileInfo>> = sqlx::query_scalar(
        "with uploaded as (
             insert into files (uploader_id, blob_key, filename, mime_type, size)
             select $1, u.* from unnest($2::text[], $3::text[], $4::text[], $5::bigint[]) u
             returning *
         )
         select file_json(row(uploaded.*)::files) from uploaded order by id",
    )
    .bind(uploader)
    .bind(files.iter().map(|file| file.blob_key.as_str()).collect::<Vec<_>>())
    .bind(files.iter().map(|file| file.filename.as_str()).collect::<Vec<_>>())
    .bind(files.iter().map(|file| file.mime_type.as_str()).collect::<Vec<_>>())
    .bind(files.iter().map(|file| file.size).collect::<Vec<_>>())
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(rows.into_iter().map(|Json(file)| file).collect())
}

/// A file, if the viewer uploaded it, is in a chat where a message shows it, or it
/// is somebody's picture.
pub async fn visible(db: impl PgExecutor<'_>, id: FileId, viewer: UserId) -> Result<Option<StoredFile>> {
    Ok(sqlx::query_as(
        "select f.blob_key, f.filename, f.mime_type, f.size
         from files f
         where f.id = $1 and (f.uploader_id = $2 or exists (
             select from message_files mf
             join messages m on m.id = mf.message_id and m.deleted_at is null
             join chat_members c on c.chat_id = m.chat_id and c.user_id = $2
             where mf.file_id = f.id
         ) or exists (select from users u where u.avatar_file_id = f.id))",
    )
    .bind(id)
    .bind(viewer)
    .fetch_optional(db)
    .await?)
}
