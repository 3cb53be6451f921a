//! Uploaded files: their metadata and who may read them. The blob store holds the
//! bytes.

use crate::{ChatId, Error, FileId, MessageId, Result, UserId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{PgExecutor, PgPool, types::Json};

/// The metadata of an uploaded file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileInfo {
    /// The id.
    pub id: FileId,
    /// The URL of its content, for users who may read it.
    pub url: String,
    /// The uploader's name for the file, without directories.
    pub filename: String,
    /// The size in bytes.
    pub size: i64,
    /// The media type, detected from the content rather than taken from the uploader.
    pub mime_type: String,
    /// The width of an image after its orientation is applied, in pixels.
    pub width: Option<i32>,
    /// The height of an image after its orientation is applied, in pixels.
    pub height: Option<i32>,
    /// The URL of the thumbnail of an image.
    pub thumbnail_url: Option<String>,
}

/// A file whose bytes are stored.
#[derive(Debug)]
pub struct NewFile {
    /// The random key of the blob.
    pub blob_key: String,
    /// The file name: 1 to 255 characters.
    pub filename: String,
    /// The media type, detected from the content.
    pub mime_type: String,
    /// The size in bytes.
    pub size: i64,
    /// The metadata of an image; `None` for other files.
    pub image: Option<NewImage>,
}

/// The metadata of an image.
#[derive(Debug)]
pub struct NewImage {
    /// The width after the orientation is applied, in pixels.
    pub width: i32,
    /// The height after the orientation is applied, in pixels.
    pub height: i32,
    /// The random key of the thumbnail's blob.
    pub thumbnail_key: String,
    /// The media type of the thumbnail.
    pub thumbnail_type: &'static str,
    /// The size of the thumbnail, in bytes.
    pub thumbnail_size: i64,
}

impl NewFile {
    /// The keys of all blobs that were stored for the file.
    pub fn blob_keys(self) -> impl Iterator<Item = String> {
        std::iter::once(self.blob_key).chain(self.image.map(|image| image.thumbnail_key))
    }
}

/// A version of a file's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rendition {
    /// The uploaded file.
    Original,
    /// The thumbnail.
    Thumbnail,
}

/// The data needed to serve a file.
#[derive(Debug, sqlx::FromRow)]
pub struct StoredFile {
    /// The key of the blob.
    pub blob_key: String,
    /// The uploader's name for the file.
    pub filename: String,
    /// The media type, detected from the content.
    pub mime_type: String,
    /// The size in bytes.
    pub size: i64,
}

/// The files of the user would exceed the quota.
pub const QUOTA_EXCEEDED: Error =
    Error::Conflict { code: "quota_exceeded", detail: "this upload would exceed your storage quota" };

/// Whether each of the files is attached to a message in one of the chats or shown by a webhook there,
/// or is an avatar, or is one that the user uploaded and that is attached nowhere.
pub async fn are_in_chats(db: impl PgExecutor<'_>, user: UserId, files: &[FileId], chats: &[ChatId]) -> Result<bool> {
    Ok(sqlx::query_scalar(
        "select not exists (
             select from unnest($1::bigint[]) wanted (id)
             where not exists (select from users where avatar_file_id = wanted.id)
               and not exists (select from webhook_avatars where file_id = wanted.id and chat_id = any ($2))
               and not exists (
                   select from message_files f join messages m on m.id = f.message_id
                   where f.file_id = wanted.id and m.chat_id = any ($2) and m.deleted_at is null
               )
               and not exists (
                   select from files f where f.id = wanted.id and f.uploader_id = $3
                     and not exists (select from message_files a where a.file_id = f.id)
               )
         )",
    )
    .bind(files)
    .bind(chats)
    .bind(user)
    .fetch_one(db)
    .await?)
}

/// Rejects files that a token which is limited to some chats cannot send: those of other chats.
pub async fn require_in_chats(db: impl PgExecutor<'_>, user: UserId, files: &[FileId], chats: &[ChatId]) -> Result<()> {
    if files.is_empty() || are_in_chats(db, user, files, chats).await? {
        return Ok(());
    }
    Err(Error::invalid("files", "this token cannot send these files"))
}

/// Returns the size of all files of a user, or of the owner of a bot, and of all of the owner's
/// bots, deleted ones included.
async fn sum_sizes(db: impl PgExecutor<'_>, uploader: UserId) -> Result<i64> {
    Ok(sqlx::query_scalar(
        "with account as (select coalesce(owner_id, id) as id from users where id = $1)
         select coalesce(sum(f.size), 0)::bigint from files f where f.uploader_id in (
             select id from account union all
             select bot.id from users bot join account on bot.owner_id = account.id
         )",
    )
    .bind(uploader)
    .fetch_one(db)
    .await?)
}

/// Returns how many bytes a user may still upload. Rejects a user who has reached the
/// quota.
pub async fn require_quota(db: impl PgExecutor<'_>, uploader: UserId, quota: i64) -> Result<u64> {
    let used = sum_sizes(db, uploader).await?;
    u64::try_from(quota - used).ok().filter(|free| *free > 0).ok_or(QUOTA_EXCEEDED)
}

/// Registers uploaded files, in order, if the uploader's total then stays within `quota`
/// bytes.
pub async fn create(db: &PgPool, uploader: UserId, files: &[NewFile], quota: i64) -> Result<Vec<FileInfo>> {
    let mut tx = db.begin().await?;
    // Lock the row of the user or of the owner, so that concurrent uploads of a user cannot exceed the quota.
    sqlx::query(
        "select from users where id = (select coalesce(owner_id, id) from users where id = $1) for no key update",
    )
    .bind(uploader)
    .execute(&mut *tx)
    .await?;
    let used = sum_sizes(&mut *tx, uploader).await?;
    if used + files.iter().map(|file| file.size).sum::<i64>() > quota {
        return Err(QUOTA_EXCEEDED);
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

/// Returns a file that this message attaches, for somebody with a link to it.
pub async fn find_shared(db: impl PgExecutor<'_>, id: FileId, message: MessageId) -> Result<Option<StoredFile>> {
    let sql = "select f.blob_key, f.mime_type, f.size, f.filename from files f
               where f.id = $1 and exists (
                   select from message_files mf join messages m on m.id = mf.message_id and m.deleted_at is null
                   where mf.file_id = f.id and m.id = $2
               )";
    Ok(sqlx::query_as(sql).bind(id).bind(message).fetch_optional(db).await?)
}

/// Returns a file or its thumbnail if the viewer uploaded it, is a member of a chat
/// with a message that attaches it or with a webhook that shows it, or it is a user's avatar.
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
         ) or exists (select from users u where u.avatar_file_id = f.id)
           or exists (
             select from webhook_avatars a join chat_members c on c.chat_id = a.chat_id and c.user_id = $2
             where a.file_id = f.id
         ))",
    )
    .bind(id)
    .bind(viewer)
    .bind(rendition == Rendition::Thumbnail)
    .fetch_optional(db)
    .await?)
}
