//! Lets a program act for a user: the user agrees, and the program gets a code.

use super::{AuthorizationRequest, AuthorizationServer, request::ValidRequest};
use crate::{
    ChatId, Error, Result, UserId,
    audit::{Action, Client, NewEntry},
    auth::{
        Claims, Scope,
        api_tokens::{self, ChatLists, deserialize_scopes},
        new_secret, sessions,
    },
    outgoing::AllowedTargets,
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
    /// The only ones of these chats that the program writes to. In chats of a list it does so without
    /// asking; without both lists the MCP server asks the program to confirm each change with its user.
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

/// Lets a program act for a user. `account` is whose limits count.
pub async fn create(
    db: &PgPool,
    allowed: &AllowedTargets,
    server: &AuthorizationServer,
    caller: Claims,
    account: UserId,
    audit_client: &Client,
    new: NewAuthorization,
) -> Result<Redirection> {
    let user = caller.user_id;
    let NewAuthorization { request, scopes, chat_ids, write_chat_ids } = new;
    let client = request.find_client(db, allowed, account).await?;
    let ValidRequest { client, code_challenge, scopes: requested_scopes } =
        request.validate(server, client).map_err(|refusal| Error::invalid("request", refusal.description))?;
    if scopes.iter().any(|scope| !requested_scopes.contains(scope)) {
        return Err(Error::invalid("scopes", "must be some of the scopes that the program asked for"));
    }
    let ChatLists { chat_ids, write_chat_ids } = ChatLists::new(chat_ids, write_chat_ids)?;
    let (code, hash) = new_secret();
    let mut tx = db.begin().await?;
    // The session may have been revoked while the description of the program was loaded.
    sessions::lock_user(&mut tx, caller).await?;
    // The user is told here, and not the program when it exchanges the code.
    api_tokens::require_token_quota(&mut tx, user).await?;
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
    let entry = NewEntry::new(Action::ProgramAuthorized).with_actor(user).with_client(audit_client);
    entry.with_detail(&client.name).write(&mut *tx).await?;
    tx.commit().await?;
    Ok(Redirection { redirect_url: request.redirect_url(server, &[("code", &code)])? })
}
