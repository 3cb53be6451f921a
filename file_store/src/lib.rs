//! Uploaded files: their bytes on disk, their types, and what is removed from images.

mod blobs;
mod image_metadata;
mod images;
mod pixel_budget;
mod store;

pub use blobs::{BlobStore, BlobStream};
pub use pixel_budget::PixelBudget;
pub use store::{FileStore, MAX_FILE_BYTES};
