//! The limits of requests. `/api/config` reports those that frontends need.

pub(crate) use file_store::MAX_FILE_BYTES;

/// Maximum size of a JSON body, in bytes. A message of 64 KiB fits even if every
/// character is escaped.
pub(crate) const MAX_JSON_BYTES: usize = 512 * 1024;

/// Maximum size of a webhook of another network, in bytes. Those of Meta have up to 3 MB.
pub(crate) const MAX_NETWORK_BYTES: usize = 4 * 1024 * 1024;

/// Maximum number of files in one upload.
pub(crate) const MAX_FILES_PER_UPLOAD: usize = 10;

/// Default number of items per page.
pub(crate) const DEFAULT_PAGE_SIZE: i64 = 50;

/// Maximum number of items per page.
pub(crate) const MAX_PAGE_SIZE: i64 = 100;

/// Maximum number of user ids in one request.
pub(crate) const MAX_USER_IDS: usize = 100;
