//! The limits of requests. `/api/config` reports those that frontends need.

/// The largest JSON body, in bytes. A message of 64 KiB fits even if every character
/// is escaped.
pub(crate) const MAX_JSON_BYTES: usize = 512 * 1024;

/// The largest file, in bytes.
pub(crate) const MAX_FILE_BYTES: u64 = 25 * 1024 * 1024;

/// The most files in one upload.
pub(crate) const MAX_FILES_PER_UPLOAD: usize = 10;

/// The default number of items on a page.
pub(crate) const DEFAULT_PAGE_SIZE: i64 = 50;

/// The most items on a page.
pub(crate) const MAX_PAGE_SIZE: i64 = 100;

/// The most users in one request by id.
pub(crate) const MAX_USER_IDS: usize = 100;
