//! The limits that requests meet, and that `/api/config` tells frontends.

/// The largest JSON body, in bytes. A message of 64 KiB fits, even if every
/// character of it is written as an escape.
pub(crate) const MAX_JSON_BYTES: usize = 512 * 1024;

/// The largest file, in bytes.
pub(crate) const MAX_FILE_BYTES: u64 = 25 * 1024 * 1024;

/// The most files in one upload.
pub(crate) const MAX_FILES_PER_UPLOAD: usize = 10;

/// How many items a page has unless asked otherwise.
pub(crate) const DEFAULT_PAGE_SIZE: i64 = 50;

/// How many items a page has at most.
pub(crate) const MAX_PAGE_SIZE: i64 = 100;

/// People asked for by their ids at once.
pub(crate) const MAX_USER_IDS: usize = 100;
