//! The errors of a request. A variant is an outcome for the caller, not an origin in
//! the code. The cause of a fault is kept as its source, logged once by `chat_http`
//! and never sent to the client.

use schemars::JsonSchema;
use serde::Serialize;
use std::error::Error as StdError;

/// The result type of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Box<dyn StdError + Send + Sync>;

/// A validation error in one field of the input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FieldError {
    /// The path of a field in the body, such as `files[2]`, or the name of a parameter.
    pub field: String,
    /// `missing`, `unknown`, `invalid`, or a more specific code that clients act on.
    pub code: &'static str,
    /// A human-readable explanation.
    pub detail: String,
}

/// The outcome of a failed request.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// 401, with the code `token_missing`, `token_invalid`, `token_expired`,
    /// `session_revoked` or `credentials_invalid`.
    #[error("{detail}")]
    Unauthorized {
        /// The code that clients act on.
        code: &'static str,
        /// A human-readable explanation.
        detail: &'static str,
    },
    /// 403. The caller does not have the permission.
    #[error("{0}")]
    Forbidden(&'static str),
    /// 403, with the code `insufficient_scope`. The API token does not have this scope.
    #[error("this token does not have the scope {0}")]
    InsufficientScope(&'static str),
    /// 403, with the code `account_pending` or `account_suspended`. The account cannot be used.
    #[error("{detail}")]
    Inactive {
        /// The code that clients act on.
        code: &'static str,
        /// A human-readable explanation.
        detail: &'static str,
    },
    /// 404. The resource does not exist, or the caller may not see it.
    #[error("{0} not found, or not visible to you")]
    NotFound(&'static str),
    /// 400. The request cannot be parsed.
    #[error("{0}")]
    Malformed(String),
    /// 415. The content type of the body is not supported.
    #[error("{0}")]
    UnsupportedMediaType(&'static str),
    /// 422. Validation failed.
    #[error("{}", .0.first().map_or("the input is invalid", |first| first.detail.as_str()))]
    Invalid(Vec<FieldError>),
    /// 409. The request is valid but conflicts with the current state.
    #[error("{detail}")]
    Conflict {
        /// The code that clients act on.
        code: &'static str,
        /// A human-readable explanation.
        detail: &'static str,
    },
    /// 410, with the code `reset`: the events after a cursor are not available, for the
    /// given reason. The client must start over from a fresh state.
    #[error("the events after this cursor are not available ({0}); start over from /api/bootstrap")]
    Reset(&'static str),
    /// 413. The request is too large; the number is the limit in bytes.
    #[error("too large; the limit is {0} bytes")]
    TooLarge(u64),
    /// 429. The rate limit is exceeded; the response says when to retry.
    #[error("too many requests; try again later")]
    TooManyRequests,
    /// 429. A limit that is only refilled after this number of seconds is exceeded.
    #[error("too many requests; try again in {0} s")]
    TooManyRequestsFor(u64),
    /// 429, with the code `too_many_attempts`: too many failed sign-ins to an account. The
    /// number is the time until the next attempt, in seconds.
    #[error("too many failed attempts; try again in {0} s")]
    TooManyAttempts(u64),
    /// 507. The disk of the server is almost full.
    #[error("the server has no space left; nothing can be written until its administrator frees some")]
    InsufficientStorage,
    /// 503. The server cannot handle the request now; the client should retry.
    #[error("the server is temporarily unavailable; try again in a moment")]
    Unavailable(#[source] Source),
    /// 500. A fault of the server.
    #[error("internal server error")]
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

    /// Returns the text of the cause of a fault, for logs.
    pub fn source_text(&self) -> Option<String> {
        StdError::source(self).map(ToString::to_string)
    }

    /// 500 for a cause that is not the client's input.
    pub fn internal(source: impl Into<Source>) -> Self {
        Self::Internal(source.into())
    }
}

/// Connection errors are retryable. Any other error is a fault of the server, because
/// input is validated before it reaches SQL.
impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        let is_retryable = match &error {
            E::PoolTimedOut | E::PoolClosed | E::Io(_) | E::Protocol(_) | E::WorkerCrashed | E::BeginFailed => true,
            E::Database(e) => e.code().is_some_and(|code| is_transient(&code)),
            _ => false,
        };
        // The input was validated, but a row that it refers to has been deleted since.
        if error.as_database_error().is_some_and(|e| e.is_foreign_key_violation()) {
            return Self::Conflict { code: "gone", detail: "an object that this request refers to was deleted" };
        }
        if is_retryable { Self::Unavailable(error.into()) } else { Self::Internal(error.into()) }
    }
}

/// Whether an SQLSTATE is transient: connection failures (08), resources (53: disk,
/// memory, connections), operator intervention (57: shutdown, crash, timeouts), lock
/// timeout, deadlock, and use of a transaction that failed, timed out or is read-only.
fn is_transient(sqlstate: &str) -> bool {
    ["08", "53", "57"].iter().any(|class| sqlstate.starts_with(class))
        || ["55P03", "40P01", "25P02", "25P03", "25006"].contains(&sqlstate)
}

/// Maps the violation of a named constraint to an error.
pub trait OnConstraint<T> {
    /// Replaces a violation of `constraint` with the result of `then`.
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
