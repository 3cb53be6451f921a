//! Programs, which are named by the URL of a document that describes them (Client ID Metadata Document).
//! <https://datatracker.ietf.org/doc/draft-ietf-oauth-client-id-metadata-document/>
//!
//! The chat server asks for a document by a row, and the integration server, which alone calls other
//! servers, loads it.

use crate::{Error, Result, UserId, outgoing::AllowedTargets, values::TokenName};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::{PgExecutor, PgPool, types::Json};
use std::{net::IpAddr, time::Duration};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep},
};
use url::{Host, Url};

/// The NOTIFY channel that announces that a document is to be loaded.
pub const CHANNEL: &str = "oauth_clients";

/// Maximum size of a document, in bytes.
pub const MAX_DOCUMENT_BYTES: usize = 16 * 1024;

/// Maximum length of the URL of a document, in bytes.
const MAX_CLIENT_ID_BYTES: usize = 500;

/// Maximum number of redirect URIs of a program, and maximum length of each, in bytes.
const MAX_REDIRECT_URIS: usize = 20;
const MAX_REDIRECT_URI_BYTES: usize = 500;

/// How long a loaded document is used, in seconds.
const FRESH_SECONDS: f64 = 300.0;

/// The time between two attempts to load a document that is not valid, in seconds.
const RETRY_SECONDS: f64 = 5.0;

/// How long a user waits for a document.
const MAX_WAIT: Duration = Duration::from_secs(8);

/// How often a waiting request looks for its document.
const POLL_INTERVAL: Duration = Duration::from_millis(150);

/// Maximum number of users who wait for documents at once.
const MAX_WAITING: usize = 32;
static WAITING: Semaphore = Semaphore::const_new(MAX_WAITING);

/// Maximum number of documents that are loaded at once for one account.
const MAX_LOADING: i64 = 2;

/// The longest time that a document takes to be loaded, in seconds.
const LOADING_SECONDS: f64 = 10.0;

/// Maximum number of documents that are kept.
const MAX_CLIENTS: i64 = 2_000;

/// How long a document is kept after it was last asked for, in hours.
const KEEP_HOURS: i32 = 24;

/// A program, as it describes itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OAuthClient {
    /// The name. The program chose it.
    pub name: String,
    /// The URIs to which it may ask the browser to be sent.
    pub redirect_uris: Vec<String>,
}

/// The document of a program; fields that do not concern Confab are ignored.
#[derive(Deserialize)]
struct Document {
    client_id: String,
    client_name: String,
    redirect_uris: Vec<String>,
    #[serde(default)]
    token_endpoint_auth_method: Option<String>,
    #[serde(default)]
    client_secret: Option<serde_json::Value>,
    #[serde(default)]
    grant_types: Option<Vec<String>>,
    #[serde(default)]
    response_types: Option<Vec<String>>,
}

impl OAuthClient {
    /// Reads a document that was loaded from `client_id`.
    pub fn parse(client_id: &str, document: &str) -> Result<Self, &'static str> {
        let Ok(document) = serde_json::from_str::<Document>(document) else {
            return Err("it is not a JSON object with client_id, client_name and redirect_uris");
        };
        let contains =
            |list: Option<Vec<String>>, value: &str| list.is_none_or(|list| list.iter().any(|one| one == value));
        if document.client_id != client_id {
            return Err("its client_id is not its own URL");
        }
        if document.client_secret.is_some()
            || document.token_endpoint_auth_method.is_some_and(|method| method != "none")
        {
            return Err("it is not a public client: token_endpoint_auth_method must be none");
        }
        if !contains(document.grant_types, "authorization_code") || !contains(document.response_types, "code") {
            return Err("it does not list the grant type authorization_code and the response type code");
        }
        let name = TokenName::try_from(document.client_name)
            .map_err(|_| "client_name must have 1 to 64 visible characters")?;
        let uris = document.redirect_uris;
        if !(1..=MAX_REDIRECT_URIS).contains(&uris.len()) {
            return Err("redirect_uris must be 1 to 20 URIs");
        }
        if uris.iter().any(|uri| uri.len() > MAX_REDIRECT_URI_BYTES || parse_redirect_uri(uri).is_none()) {
            return Err("each of redirect_uris must be https, http at a loopback address, or a scheme such as \
                        com.example.app");
        }
        Ok(Self { name: name.into(), redirect_uris: uris })
    }

    /// Whether the program may ask the browser to be sent to a URI: one of its own, and at loopback
    /// addresses with any port (RFC 8252, section 7.3).
    pub fn allows_redirect(&self, uri: &str) -> bool {
        let Some(asked) = parse_redirect_uri(uri) else { return false };
        self.redirect_uris.iter().any(|own| {
            own == uri
                || is_loopback(&asked)
                    && parse_redirect_uri(own)
                        .is_some_and(|own| is_loopback(&own) && without_port(own) == without_port(asked.clone()))
        })
    }
}

fn without_port(mut url: Url) -> Url {
    // An http URL can have a port.
    let _ = url.set_port(None);
    url
}

/// Whether a URL is one of a program on the device of the user.
fn is_loopback(url: &Url) -> bool {
    url.scheme() == "http"
        && match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
            Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
            None => false,
        }
}

/// Parses a URI to which a browser may be sent.
pub(super) fn parse_redirect_uri(uri: &str) -> Option<Url> {
    let url = Url::parse(uri).ok()?;
    let has_user = !url.username().is_empty() || url.password().is_some();
    // The answer has these parameters: a program must not choose their values.
    let is_reserved = |name: &str| ["code", "state", "iss", "error", "error_description"].contains(&name);
    let has_reserved = url.query_pairs().any(|(name, _)| is_reserved(&name));
    if has_user || has_reserved || url.fragment().is_some() || uri.chars().any(|c| !c.is_ascii_graphic()) {
        return None;
    }
    let is_allowed = match url.scheme() {
        "https" => url.host().is_some(),
        "http" => is_loopback(&url),
        // Of an app; the dot keeps `javascript`, `data` and `file` out (RFC 8252, section 7.1).
        scheme => scheme.contains('.'),
    };
    is_allowed.then_some(url)
}

/// Checks that a text can name a program: the URL of a document that may be loaded.
fn check_client_id(allowed: &AllowedTargets, client_id: &str) -> Result<()> {
    let invalid = |detail: &str| Error::invalid("client_id", format!("the program is not known: its id {detail}"));
    if client_id.len() > MAX_CLIENT_ID_BYTES {
        return Err(invalid("is too long"));
    }
    let url = allowed.parse_url(client_id).map_err(|_| invalid("must be the https URL of a public document"))?;
    // An id must be normalized, so that no two ids name one document.
    if url.as_url().as_str() != client_id || url.as_url().path() == "/" {
        return Err(invalid("must be a normalized URL with a path"));
    }
    Ok(())
}

#[derive(sqlx::FromRow)]
struct ClientRow {
    description: Option<Json<OAuthClient>>,
    error: Option<String>,
    is_current: bool,
}

/// Returns the program with an id. Asks for its document, for an account, unless it was loaded just now.
pub async fn find(db: &PgPool, allowed: &AllowedTargets, account: UserId, client_id: &str) -> Result<OAuthClient> {
    check_client_id(allowed, client_id)?;
    if let Some(row) = load(db, client_id, None).await?.filter(|row| row.is_current) {
        return row.into_client();
    }
    let _permit = WAITING.try_acquire().map_err(|_| Error::TooManyRequestsFor(MAX_WAIT.as_secs()))?;
    let requested_at = request(db, account, client_id).await?;
    let deadline = Instant::now() + MAX_WAIT;
    while Instant::now() < deadline {
        if let Some(row) = load(db, client_id, Some(requested_at)).await?.filter(|row| row.is_current) {
            return row.into_client();
        }
        sleep(POLL_INTERVAL).await;
    }
    Err(Error::invalid("client_id", "the description of this program could not be loaded in time; try again"))
}

impl ClientRow {
    fn into_client(self) -> Result<OAuthClient> {
        match (self.description, self.error) {
            (Some(Json(client)), _) => Ok(client),
            (None, error) => {
                let why = error.unwrap_or_default();
                Err(Error::invalid("client_id", format!("the description of this program cannot be used: {why}")))
            }
        }
    }
}

/// Loads the row of a program, and whether it is current: loaded after `since`, or not long ago.
async fn load(db: &PgPool, client_id: &str, since: Option<DateTime<Utc>>) -> Result<Option<ClientRow>> {
    Ok(sqlx::query_as(
        "select description, error,
                coalesce(loaded_at > coalesce($2, now() - make_interval(secs =>
                    case when description is null then $4 else $3 end)), false) as is_current
         from oauth_clients where client_id = $1",
    )
    .bind(client_id)
    .bind(since)
    .bind(FRESH_SECONDS)
    .bind(RETRY_SECONDS)
    .fetch_optional(db)
    .await?)
}

/// Asks for the document of a program to be loaded, unless it is being loaded. Returns the time by the clock
/// of the database.
async fn request(db: &PgPool, account: UserId, client_id: &str) -> Result<DateTime<Utc>> {
    let requested_at = sqlx::query_scalar(
        "insert into oauth_clients as c (client_id, requested_by) values ($1, $2)
         on conflict (client_id) do update set
             is_due = coalesce(c.loading_since < now() - make_interval(secs => $3), true),
             requested_at = now(), requested_by = excluded.requested_by
         returning requested_at",
    )
    .bind(client_id)
    .bind(account)
    .bind(LOADING_SECONDS)
    .fetch_one(db)
    .await?;
    sqlx::query("select pg_notify($1, '')").bind(CHANNEL).execute(db).await?;
    Ok(requested_at)
}

/// Claims a program whose document is to be loaded: one for which somebody still waits, and whose account has
/// few others loading.
pub async fn claim(db: &PgPool) -> Result<Option<String>> {
    Ok(sqlx::query_scalar(
        "update oauth_clients set is_due = false, loading_since = now()
         where client_id = (
             select c.client_id from oauth_clients c
             where c.is_due and c.requested_at > now() - make_interval(secs => $1) and $2 > (
                 select count(*) from oauth_clients o
                 where o.loading_since > now() - make_interval(secs => $3)
                   and o.requested_by is not distinct from c.requested_by
             )
             order by c.requested_at limit 1 for update of c skip locked
         )
         returning client_id",
    )
    .bind(MAX_WAIT.as_secs_f64())
    .bind(MAX_LOADING)
    .bind(LOADING_SECONDS)
    .fetch_optional(db)
    .await?)
}

/// Stores what was loaded, or why nothing was.
pub async fn store(db: impl PgExecutor<'_>, client_id: &str, loaded: Result<OAuthClient, &str>) -> Result<()> {
    let (description, error) = match loaded {
        Ok(client) => (Some(Json(client)), None),
        Err(error) => (None, Some(error)),
    };
    sqlx::query(
        "update oauth_clients set description = $2, error = left($3, 300), loaded_at = clock_timestamp(), loading_since = null
         where client_id = $1",
    )
    .bind(client_id)
    .bind(description)
    .bind(error)
    .execute(db)
    .await?;
    Ok(())
}

/// Deletes what nobody has asked for in a while, and what is more than may be kept.
pub async fn delete_unused(db: impl PgExecutor<'_>) -> Result<()> {
    sqlx::query(
        "delete from oauth_clients
         where requested_at < now() - make_interval(hours => $1)
            or requested_at <= (select requested_at from oauth_clients order by requested_at desc offset $2 limit 1)",
    )
    .bind(KEEP_HOURS)
    .bind(MAX_CLIENTS)
    .execute(db)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const ID: &str = "https://app.example/client.json";

    fn document(change: Value) -> String {
        let mut document = json!({
            "client_id": ID, "client_name": "App", "redirect_uris": ["https://app.example/callback"],
            "token_endpoint_auth_method": "none", "logo_uri": "https://app.example/logo.png",
        });
        document.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
        document.to_string()
    }

    #[test]
    fn only_public_clients_that_describe_themselves_are_accepted() {
        let parse = |change| OAuthClient::parse(ID, &document(change));
        assert_eq!(parse(json!({})).expect("a client").name, "App");
        for bad in [
            json!({ "client_id": "https://app.example/other.json" }),
            json!({ "client_name": "" }),
            json!({ "client_name": "\u{200B}" }),
            json!({ "client_name": "A\u{202E}pp" }),
            json!({ "client_name": "A\npp" }),
            json!({ "client_name": "x".repeat(65) }),
            json!({ "client_name": 7 }),
            json!({ "redirect_uris": [] }),
            json!({ "redirect_uris": ["javascript:alert(1)"] }),
            json!({ "redirect_uris": ["http://app.example/callback"] }),
            json!({ "redirect_uris": ["https://app.example/callback?error_description=call+us"] }),
            json!({ "redirect_uris": vec!["https://app.example/"; 21] }),
            json!({ "client_secret": "x" }),
            json!({ "token_endpoint_auth_method": "client_secret_basic" }),
            json!({ "token_endpoint_auth_method": "private_key_jwt" }),
            json!({ "grant_types": ["client_credentials"] }),
            json!({ "response_types": ["token"] }),
        ] {
            assert!(parse(bad.clone()).is_err(), "{bad}");
        }
        for bad in ["", "[]", "null", "{}", "<html>"] {
            assert!(OAuthClient::parse(ID, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_browser_is_sent_only_to_the_uris_of_the_program() {
        let client = OAuthClient {
            name: "App".into(),
            redirect_uris: [
                "https://app.example/callback",
                "http://127.0.0.1/callback",
                "http://localhost:3000/callback?x=1",
                "com.example.app:/callback",
            ]
            .map(str::to_owned)
            .to_vec(),
        };
        for good in [
            "https://app.example/callback",
            "http://127.0.0.1/callback",
            "http://127.0.0.1:49152/callback",
            "http://localhost:1/callback?x=1",
            "com.example.app:/callback",
        ] {
            assert!(client.allows_redirect(good), "{good}");
        }
        for bad in [
            "",
            "https://app.example/callback/",
            "https://app.example/callback?x=1",
            "https://app.example:8443/callback",
            "https://APP.example/callback",
            "https://app.example.evil.example/callback",
            "http://app.example/callback",
            "http://127.0.0.1:1/other",
            "http://127.0.0.2:1/callback",
            "http://[::1]:1/callback",
            "https://127.0.0.1/callback",
            "http://localhost:1/callback",
            "http://user@127.0.0.1/callback",
            "http://127.0.0.1/callback#x",
            "javascript:alert(1)",
            "data:text/html,x",
            "com.example.app:/other",
        ] {
            assert!(!client.allows_redirect(bad), "{bad}");
        }
    }

    #[test]
    fn an_id_is_the_normalized_url_of_a_public_document() {
        let none = AllowedTargets::default();
        check_client_id(&none, ID).expect("valid");
        for bad in [
            "",
            "app",
            "https://app.example",
            "https://app.example/",
            "http://app.example/client.json",
            "https://App.example/client.json",
            "https://app.example/a/../client.json",
            "https://app.example:443/client.json",
            "https://user@app.example/client.json",
            "https://app.example/client.json#x",
            "https://127.0.0.1/client.json",
            "https://localhost/client.json",
        ] {
            assert!(check_client_id(&none, bad).is_err(), "{bad}");
        }
        check_client_id(&AllowedTargets::loopback(), "http://127.0.0.1:8/client.json")
            .expect("allowed by the administrator");
    }
}
