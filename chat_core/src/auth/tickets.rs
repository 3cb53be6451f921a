//! Stream tickets, for clients that can neither send a header nor keep a cookie.
//! Each ticket opens one stream.

use super::{Claims, hash_secret, new_secret};
use crate::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;

/// Lifetime of an unused ticket, in seconds.
pub const TICKET_SECONDS: i64 = 30;

/// A single-use stream ticket.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Ticket {
    /// The value of the `ticket` query parameter.
    pub ticket: String,
    /// Lifetime of the unused ticket, in seconds.
    pub expires_in: i64,
}

/// Issues a ticket for one stream of this session. Deletes expired tickets.
pub async fn issue(db: &PgPool, claims: Claims) -> Result<Ticket> {
    let (ticket, hash) = new_secret();
    sqlx::query(
        "with stale as (delete from stream_tickets where expires_at < now())
         insert into stream_tickets (hash, user_id, session_id, expires_at)
         values ($1, $2, $3, now() + make_interval(secs => $4))",
    )
    .bind(hash)
    .bind(claims.user_id)
    .bind(claims.session_id)
    .bind(TICKET_SECONDS as f64)
    .execute(db)
    .await?;
    Ok(Ticket { ticket, expires_in: TICKET_SECONDS })
}

/// Consumes a ticket. Of two concurrent uses, one succeeds.
pub async fn redeem(db: &PgPool, ticket: &str) -> Result<Claims> {
    let row: Option<(crate::UserId, uuid::Uuid, bool)> = sqlx::query_as(
        "delete from stream_tickets t using sessions s
             where t.hash = $1 and s.id = t.session_id and s.revoked_at is null
             returning t.user_id, t.session_id, t.expires_at > now()",
    )
    .bind(hash_secret(ticket))
    .fetch_optional(db)
    .await?;
    match row {
        Some((user_id, session_id, true)) => Ok(Claims { user_id, session_id }),
        Some((.., false)) => Err(Error::Unauthorized { code: "token_expired", detail: "this ticket has expired" }),
        None => {
            Err(Error::Unauthorized { code: "token_invalid", detail: "this ticket is invalid or was already used" })
        }
    }
}
