//! Extractors that shadow axum's: the same names, with errors as problem+json and
//! one entry per wrong field.

mod field_error;
mod json;
mod path;
mod query;

pub use field_error::field_error;
pub use json::{Json, buffer_body};
pub use path::{Path, PathParam};
pub use query::Query;
