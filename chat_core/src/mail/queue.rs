//! The mail that waits: which is due, and what became of it.

use super::{Kind, Language};
use crate::{Result, Time, UserId};
use rand::RngExt;
use serde_json::Value;
use sqlx::PgPool;

/// The longest time of an attempt, in seconds; then another process may try.
const LEASE_SECONDS: f64 = 120.0;

/// The pause after the first failure, in seconds; it doubles with each further one.
const RETRY_SECONDS: f64 = 10.0;

/// The longest pause between two attempts, in seconds.
const MAX_RETRY_SECONDS: f64 = 1800.0;

/// After this time a mail is not sent any more, in hours. A digest waits while its reader is connected, so it has more.
const MAX_HOURS: i32 = 24;
const MAX_DIGEST_HOURS: i32 = 7 * 24;

/// The pause after a digest if the reader was mentioned again while it was being sent, in seconds.
const NEXT_DIGEST_SECONDS: f64 = 3600.0;

/// How long mails are stored for the limits, in days: longer than any limit, and as long as they wait.
const KEEP_DAYS: i32 = 8;

/// How long mails with links are stored, in days.
const KEEP_WITH_LINKS_DAYS: i32 = 60;

/// Maximum length of a stored error, in characters.
const MAX_ERROR_CHARS: i32 = 500;

/// A mail that is due.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct DueMail {
    /// The id, which is part of the `Message-ID`: the same in all attempts.
    pub id: i64,
    /// Why it is written.
    pub kind: Kind,
    /// To whom.
    pub address: String,
    /// In which language.
    pub language: Language,
    pub(super) user_id: Option<UserId>,
    pub(super) data: Value,
    /// When it was caused.
    pub created_at: Time,
    pub(super) attempts: i32,
    /// Whether it has waited for so long that it is given up.
    pub is_too_old: bool,
}

/// What became of a mail.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The mail server has it. A digest contains items up to one.
    Sent(Option<i64>),
    /// There is nothing to write any more.
    Dropped,
    /// It has waited for too long.
    Expired,
    /// It is to be sent later, in seconds.
    Postponed(f64),
    /// The mail server refuses it for good.
    Refused(String),
    /// The attempt failed.
    Failed(String),
}

/// Claims a mail that is due.
pub async fn claim(db: &PgPool) -> Result<Option<DueMail>> {
    Ok(sqlx::query_as(
        "with due as materialized (
             select id from mails
             where due_at <= now() and (leased_until is null or leased_until <= now())
             order by due_at limit 1 for update skip locked
         )
         update mails m set leased_until = now() + make_interval(secs => $1), attempts = m.attempts + 1
         from due where m.id = due.id
         returning m.id, m.kind, m.address, m.language, m.user_id, m.data, m.created_at, m.attempts,
                   m.created_at < now() - make_interval(hours => case m.kind when 'digest' then $3 else $2 end) as is_too_old",
    )
    .bind(LEASE_SECONDS)
    .bind(MAX_HOURS)
    .bind(MAX_DIGEST_HOURS)
    .fetch_optional(db)
    .await?)
}

/// Records what became of a mail. Has no effect if another process has taken over, or if the mail was revoked.
pub async fn finish(db: &PgPool, due: &DueMail, outcome: Outcome) -> Result<()> {
    let (is_sent, last_item) = match outcome {
        Outcome::Sent(last_item) => (true, last_item),
        _ => (false, None),
    };
    let (pause, error) = match outcome {
        Outcome::Sent(_) | Outcome::Dropped => (None, None),
        Outcome::Expired => (None, Some("it has waited for too long".to_owned())),
        Outcome::Postponed(pause) => (Some(pause), None),
        Outcome::Refused(error) => (None, Some(error)),
        Outcome::Failed(error) => (Some(retry_pause(due.attempts)), Some(error)),
    };
    let mut tx = db.begin().await?;
    let finished = sqlx::query(
        "update mails set
             leased_until = null, due_at = now() + make_interval(secs => $3), error = left($4, $5),
             sent_at = case when $6 then now() end,
             data = case when $7::bigint is null then data else data || jsonb_build_object('last_item_id', $7) end
         where id = $1 and attempts = $2 and due_at is not null",
    )
    .bind(due.id)
    .bind(due.attempts)
    .bind(pause)
    .bind(error)
    .bind(MAX_ERROR_CHARS)
    .bind(is_sent)
    .bind(last_item)
    .execute(&mut *tx)
    .await?;
    if is_sent && finished.rows_affected() > 0 {
        // The reader was mentioned again while the digest was being sent.
        sqlx::query(
            "insert into mails (kind, address, language, user_id, due_at)
             select kind, address, language, user_id, now() + make_interval(secs => $2) from mails
             where id = $1 and kind = 'digest' and data ? 'is_mentioned_again'
             on conflict do nothing",
        )
        .bind(due.id)
        .bind(NEXT_DIGEST_SECONDS)
        .execute(&mut *tx)
        .await?;
    }
    tx.commit().await?;
    Ok(())
}

/// The pause after a failed attempt, in seconds, with jitter.
fn retry_pause(attempts: i32) -> f64 {
    let pause = (RETRY_SECONDS * 2f64.powi(attempts - 1)).min(MAX_RETRY_SECONDS);
    pause * rand::rng().random_range(0.8..1.2)
}

/// Deletes links that have expired, and old mails.
pub async fn delete_old(db: &PgPool) -> Result<()> {
    sqlx::query("delete from mail_links where expires_at < now()").execute(db).await?;
    sqlx::query(
        "delete from mails m
         where m.created_at < now() - make_interval(days => $1)
            or m.created_at < now() - make_interval(days => $2) and not exists (select from mail_links l where l.mail_id = m.id)",
    )
    .bind(KEEP_WITH_LINKS_DAYS)
    .bind(KEEP_DAYS)
    .execute(db)
    .await?;
    Ok(())
}
