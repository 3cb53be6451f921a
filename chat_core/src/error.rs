//! What can come of a request that does not succeed. A variant is an outcome
//! for the caller, not an origin in the code; the origin of a fault is kept as
//! its source, logged once by `web`, and never shown.

use schemars::JsonSchema;
use serde::Serialize;
use std::error::Error as StdError;

/// The result of anything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Box<dyn StdError + Send + Sync>;

/// One thing wrong with one field of the input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FieldError {
    /// The path of the field, as in `files[2]`; a query or path parameter's name.
    pub field: String,
    /// `missing`, `unknown`, `invalid`, or a finer word where clients act on it.
    pub code: &'static str,
    /// A sentence for people.
    pub detail: String,
}

/// Every way a request can end other than well.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// 401, with the code `token_missing`, `token_invalid`, `token_expired`,
    /// `session_revoked` or `credentials_invalid`.
    #[error("{detail}")]
    Unauthorized {
        /// What a client acts on.
        code: &'static str,
        /// A sentence for people.
        detail: &'static str,
    },
    /// 403. A member without the right.
    #[error("{0}")]
    Forbidden(&'static str),
    /// 404. No such thing, or the caller may not know of it.
    #[error("there is no such {0}, or you cannot see it")]
    NotFound(&'static str),
    /// 400. Not even readable.
    #[error("{0}")]
    Malformed(String),
    /// 415. A body of a kind that is not read here.
    #[error("{0}")]
    UnsupportedMediaType(&'static str),
    /// 422. Readable and wrong.
    #[error("{}", .0.first().map_or("the input is invalid", |first| first.detail.as_str()))]
    Invalid(Vec<FieldError>),
    /// 409. Right in itself, at odds with what is there.
    #[error("{detail}")]
    Conflict {
        /// What a client acts on.
        code: &'static str,
        /// A sentence for people.
        detail: &'static str,
    },
    /// 410, with the code `reset`: the events after a cursor cannot be told, for
    /// this reason, and the client starts over from a fresh state.
    #[error("the events after this cursor cannot be told ({0}); start over from /api/bootstrap")]
    Reset(&'static str),
    /// 413. More than the server takes; the number is the limit in bytes.
    #[error("this is larger than the {0} bytes the server takes")]
    TooLarge(u64),
    /// 429. Too often; the answer says when to come back.
    #[error("too many requests; slow down")]
    TooManyRequests,
    /// 503. The server cannot do it now; retrying is right.
    #[error("the server cannot do this right now, try again in a moment")]
    Unavailable(#[source] Source),
    /// 500. A fault of ours.
    #[error("something went wrong on the server")]
    Internal(#[source] Source),
}

impl Error {
    /// 422 about one field.
    pub fn invalid(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::invalid_with_code(field, "invalid", detail)
    }

    /// 422 about one field, with a code that clients act on.
    pub fn invalid_with_code(field: impl Into<String>, code: &'static str, detail: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError { field: field.into(), code, detail: detail.into() }])
    }

    /// 500 for a cause that is nobody's input.
    pub fn internal(source: impl Into<Source>) -> Self {
        Self::Internal(source.into())
    }
}

/// Connection trouble is worth a retry; anything else that reaches here is a
/// fault of ours, because input was checked before it became SQL.
impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        let is_retryable = match &error {
            E::PoolTimedOut | E::PoolClosed | E::Io(_) | E::Protocol(_) | E::WorkerCrashed | E::BeginFailed => true,
            E::Database(e) => e.code().is_some_and(|code| is_transient(&code)),
            _ => false,
        };
        // Input was checked; what it refers to went away in the meantime.
        if error.as_database_error().is_some_and(|e| e.is_foreign_key_violation()) {
            return Self::Conflict { code: "gone", detail: "something this refers to is no longer there" };
        }
        if is_retryable { Self::Unavailable(error.into()) } else { Self::Internal(error.into()) }
    }
}

/// SQLSTATEs that go away by themselves: connection failures (08), resources
/// (53: disk, memory, connections), operator intervention (57: shutdown, crash,
/// timeouts), lock timeout, deadlock, and what is left of a transaction that
/// failed, timed out or was for reading only.
fn is_transient(sqlstate: &str) -> bool {
    ["08", "53", "57"].iter().any(|class| sqlstate.starts_with(class))
        || ["55P03", "40P01", "25P02", "25P03", "25006"].contains(&sqlstate)
}

/// Turns the violation of a named constraint into the outcome it stands for.
pub trait OnConstraint<T> {
    /// If the database refused because of `constraint`, the result of `then`.
    fn on_constraint(self, constraint: &str, then: impl FnOnce() -> Error) -> Result<T>;
}

impl<T> OnConstraint<T> for Result<T, sqlx::Error> {
    fn on_constraint(self, constraint: &str, then: impl FnOnce() -> Error) -> Result<T> {
        self.map_err(Error::from).on_constraint(constraint, then)
    }
}

impl<T> OnConstraint<T> for Result<T> {
    fn on_constraint(self, constraint: &str, then: impl FnOnce() -> Error) -> Result<T> {
        self.map_err(|error| match &error {
            Error::Internal(source)
                if source
                    .downcast_ref::<sqlx::Error>()
                    .and_then(|e| e.as_database_error())
                    .and_then(|e| e.constraint())
                    == Some(constraint) =>
            {
                then()
            }
            _ => error,
        })
    }
}
