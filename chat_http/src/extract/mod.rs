//! Extractors with the names of axum's extractors. They return errors as
//! problem+json, with an entry for the first invalid field.

mod field_error;
mod json;
mod path;
mod query;

pub use field_error::field_error;
pub use json::{Json, buffer_body};
pub use path::{Path, PathParam};
pub use query::Query;
