//! Lets a program act for a user: the user agrees, and the program gets a code.

use super::{AuthorizationRequest, AuthorizationServer, request::ValidRequest};
use crate::{
    ChatId, Error, Result, UserId,
    auth::{
        Scope,
        api_tokens::{self, ChatLists, deserialize_scopes},
        new_secret,
    },
    outgoing::AllowedTargets,
    users,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;

/// How long a code can be exchanged, in seconds.
const CODE_SECONDS: f64 = 60.0;

/// What a user lets a program do.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAuthorization {
    /// What the program asked for.
    pub request: AuthorizationRequest,
    /// What the program can do: some of what it asked for.
    #[serde(deserialize_with = "deserialize_scopes")]
    #[schemars(length(min = 1, max = Scope::ALL.len()))]
    pub scopes: Vec<Scope>,
    /// The only chats that the program reads and writes to; all chats of the user if absent.
    #[serde(default)]
    #[schemars(length(max = 100))]
    pub chat_ids: Option<Vec<ChatId>>,
    /// The only ones of these chats that the program writes to, without asking the user for each
    /// change. If absent, it writes to all of them and asks each time.
    #[serde(default)]
    #[schemars(length(max = 100))]
    pub write_chat_ids: Option<Vec<ChatId>>,
}

/// Where to send the browser.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Redirection {
    /// The redirect URI of the program with the code, which is valid for a minute.
    pub redirect_url: String,
}

/// Lets a program act for a user.
pub async fn create(
    db: &PgPool,
    allowed: &AllowedTargets,
    server: &AuthorizationServer,
    user: UserId,
    new: NewAuthorization,
) -> Result<Redirection> {
    let NewAuthorization { request, scopes, chat_ids, write_chat_ids } = new;
    let client = request.find_client(db, allowed).await?;
    let ValidRequest { client, code_challenge, scopes: asked } =
        request.validate(server, client).map_err(|refusal| Error::invalid("request", refusal.description))?;
    if scopes.iter().any(|scope| !asked.contains(scope)) {
        return Err(Error::invalid("scopes", "must be some of the scopes that the program asked for"));
    }
    let ChatLists { chat_ids, write_chat_ids } = ChatLists::new(chat_ids, write_chat_ids)?;
    let (code, hash) = new_secret();
    let mut tx = db.begin().await?;
    users::lock_active(&mut tx, user).await?;
    // The user is told here, and not the program when it exchanges the code.
    api_tokens::require_room(&mut tx, user).await?;
    sqlx::query(
        "insert into oauth_codes
             (hash, user_id, client_id, client_name, redirect_uri, code_challenge, scopes, chat_ids, write_chat_ids,
              expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, now() + make_interval(secs => $10))",
    )
    .bind(hash)
    .bind(user)
    .bind(&request.client_id)
    .bind(&client.name)
    .bind(&request.redirect_uri)
    .bind(code_challenge)
    .bind(scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>())
    .bind(chat_ids)
    .bind(write_chat_ids)
    .bind(CODE_SECONDS)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Redirection { redirect_url: request.redirect_url(server, &[("code", &code)])? })
}
