//! What a program asks for when it sends the browser to the consent page, and whether it may.

use super::{
    AuthorizationServer, SCOPES,
    clients::{self, OAuthClient, parse_redirect_uri},
};
use crate::{Error, Result, UserId, auth::Scope, outgoing::AllowedTargets};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use url::Url;

/// Maximum length of each parameter, in bytes.
const MAX_PARAMETER_BYTES: usize = 2000;

/// The length of the SHA-256 digest that PKCE sends, in base64url.
const CHALLENGE_LENGTH: usize = 43;

/// The parameters with which a program sent the browser to the consent page.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AuthorizationRequest {
    /// The URL of the document that describes the program.
    pub client_id: String,
    /// Where the program wants the browser to be sent.
    pub redirect_uri: String,
    /// `code`.
    pub response_type: Option<String>,
    /// The SHA-256 digest of a secret of the program, in base64url.
    pub code_challenge: Option<String>,
    /// `S256`.
    pub code_challenge_method: Option<String>,
    /// Scopes, separated by spaces; those that read if absent. Unknown ones are ignored.
    pub scope: Option<String>,
    /// A text that the program gets back.
    pub state: Option<String>,
    /// The URL of the MCP server.
    pub resource: Option<String>,
}

/// What the consent page shows.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Consent {
    /// The name of the program, which the program chose.
    pub client_name: String,
    /// The URL of the document that describes the program: whoever controls it controls the program.
    pub client_id: String,
    /// The host, or the scheme of the app, to which the browser is sent with the code.
    pub redirect_target: String,
    /// Whether the browser is sent to a program on the device of the user. Every program there can
    /// pretend to be this one.
    pub is_on_device: bool,
    /// The scopes that the program asks for.
    pub scopes: Vec<Scope>,
}

/// The result of checking a request.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AuthorizationCheck {
    /// What to ask the user; null if there is nothing to ask, because the request is not valid.
    pub consent: Option<Consent>,
    /// The mistake of the program, if there is nothing to ask.
    pub error_description: Option<&'static str>,
    /// Where to send the browser if the user declines, or if there is nothing to ask. It tells the
    /// program why.
    pub redirect_url: String,
}

/// A request that the user can agree to.
#[derive(Debug)]
pub(super) struct ValidRequest {
    pub(super) client: OAuthClient,
    pub(super) code_challenge: String,
    pub(super) scopes: Vec<Scope>,
}

/// A mistake of the program, of which it is told by a redirect.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) error: &'static str,
    pub(super) description: &'static str,
}

impl AuthorizationRequest {
    /// Finds the program, and checks that the browser may be sent to the redirect URI. On an error the browser
    /// is not redirected.
    pub(super) async fn find_client(
        &self,
        db: &PgPool,
        allowed: &AllowedTargets,
        account: UserId,
    ) -> Result<OAuthClient> {
        let parameters = [&self.response_type, &self.code_challenge, &self.code_challenge_method, &self.scope];
        let parameters = parameters.into_iter().chain([&self.state, &self.resource]).flatten();
        if parameters.chain([&self.client_id, &self.redirect_uri]).any(|text| text.len() > MAX_PARAMETER_BYTES) {
            return Err(Error::invalid("client_id", "the program sent a parameter that is too long"));
        }
        let client = clients::find(db, allowed, account, &self.client_id).await?;
        if !client.allows_redirect(&self.redirect_uri) {
            let detail = "the program asks to send you to an address that is not in its description";
            return Err(Error::invalid("redirect_uri", detail));
        }
        Ok(client)
    }

    /// Checks what a program asks for.
    pub(super) fn validate(&self, server: &AuthorizationServer, client: OAuthClient) -> Result<ValidRequest, Refusal> {
        let refuse = |error, description| Err(Refusal { error, description });
        match self.response_type.as_deref() {
            Some("code") => {}
            Some(_) => return refuse("unsupported_response_type", "response_type must be code"),
            None => return refuse("invalid_request", "response_type is missing"),
        }
        let challenge = self.code_challenge.as_deref().unwrap_or_default();
        let is_base64url = challenge.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        if self.code_challenge_method.as_deref() != Some("S256") || challenge.len() != CHALLENGE_LENGTH || !is_base64url
        {
            return refuse("invalid_request", "PKCE with S256 is required");
        }
        match self.resource.as_deref() {
            Some(resource) if server.is_resource(resource) => {}
            Some(_) => return refuse("invalid_target", "resource must be the URL of the MCP server"),
            None => return refuse("invalid_target", "resource is missing"),
        }
        let scopes: Vec<Scope> = match self.scope.as_deref().map(str::trim).filter(|scope| !scope.is_empty()) {
            Some(names) => {
                let names: Vec<&str> = names.split(' ').collect();
                SCOPES.into_iter().filter(|scope| names.contains(&scope.name())).collect()
            }
            None => SCOPES.into_iter().filter(|scope| !scope.is_write()).collect(),
        };
        if scopes.is_empty() {
            return refuse("invalid_scope", "none of these scopes can be granted to a program");
        }
        Ok(ValidRequest { client, code_challenge: challenge.to_owned(), scopes })
    }

    /// The URL that tells the program a result.
    pub(super) fn redirect_url(&self, server: &AuthorizationServer, result: &[(&str, &str)]) -> Result<String> {
        let mut url = parse_redirect_uri(&self.redirect_uri).ok_or(Error::NotFound("redirect URI"))?;
        {
            let mut query = url.query_pairs_mut();
            query.extend_pairs(result);
            if let Some(state) = &self.state {
                query.append_pair("state", state);
            }
            // RFC 9207: a program that uses several servers knows which one answers.
            query.append_pair("iss", &server.issuer);
        }
        Ok(url.into())
    }

    fn consent(&self, request: ValidRequest) -> Consent {
        let redirect = parse_redirect_uri(&self.redirect_uri);
        Consent {
            client_name: request.client.name,
            client_id: self.client_id.clone(),
            redirect_target: redirect.as_ref().map(describe_target).unwrap_or_default(),
            is_on_device: redirect.is_some_and(|url| url.scheme() != "https"),
            scopes: request.scopes,
        }
    }
}

/// Names who receives the browser: a host with its port, or the scheme of an app, whose host means
/// nothing.
fn describe_target(url: &Url) -> String {
    match (url.scheme(), url.host_str(), url.port()) {
        ("https" | "http", Some(host), Some(port)) => format!("{host}:{port}"),
        ("https" | "http", Some(host), None) => host.to_owned(),
        (scheme, ..) => scheme.to_owned(),
    }
}

/// Checks a request before the user is asked.
pub async fn check_request(
    db: &PgPool,
    allowed: &AllowedTargets,
    server: &AuthorizationServer,
    account: UserId,
    request: &AuthorizationRequest,
) -> Result<AuthorizationCheck> {
    let client = request.find_client(db, allowed, account).await?;
    let (consent, Refusal { error, description }) = match request.validate(server, client) {
        Ok(valid) => {
            (Some(request.consent(valid)), Refusal { error: "access_denied", description: "the user declined" })
        }
        Err(refusal) => (None, refusal),
    };
    let error_description = consent.is_none().then_some(description);
    let result = [("error", error), ("error_description", description)];
    Ok(AuthorizationCheck { consent, error_description, redirect_url: request.redirect_url(server, &result)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> AuthorizationServer {
        AuthorizationServer { issuer: "https://chat.example".into() }
    }

    fn request() -> AuthorizationRequest {
        AuthorizationRequest {
            client_id: "https://app.example/client.json".into(),
            redirect_uri: "https://app.example/callback?x=1".into(),
            response_type: Some("code".into()),
            code_challenge: Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM".into()),
            code_challenge_method: Some("S256".into()),
            scope: None,
            state: Some("a b&c".into()),
            resource: Some("https://chat.example/mcp".into()),
        }
    }

    fn validate(change: impl FnOnce(&mut AuthorizationRequest)) -> Result<Vec<Scope>, &'static str> {
        let mut request = request();
        change(&mut request);
        let client = OAuthClient { name: "App".into(), redirect_uris: Vec::new() };
        request.validate(&server(), client).map(|valid| valid.scopes).map_err(|refusal| refusal.error)
    }

    #[test]
    fn a_request_needs_a_code_pkce_the_resource_and_known_scopes() {
        let read = [Scope::ChatsRead, Scope::MessagesRead, Scope::UsersRead, Scope::SearchRead];
        assert_eq!(validate(|_| ()), Ok(read.to_vec()));
        assert_eq!(validate(|request| request.scope = Some(" ".into())), Ok(read.to_vec()));
        let some = validate(|request| request.scope = Some("messages:write openid chats:read chats:write".into()));
        assert_eq!(some, Ok(vec![Scope::ChatsRead, Scope::MessagesWrite]));
        let refused = |change: fn(&mut AuthorizationRequest)| validate(change).expect_err("refused");
        assert_eq!(refused(|request| request.response_type = None), "invalid_request");
        assert_eq!(refused(|request| request.response_type = Some("token".into())), "unsupported_response_type");
        assert_eq!(refused(|request| request.code_challenge = None), "invalid_request");
        assert_eq!(refused(|request| request.code_challenge = Some("x".repeat(42))), "invalid_request");
        assert_eq!(refused(|request| request.code_challenge = Some("=".repeat(43))), "invalid_request");
        assert_eq!(refused(|request| request.code_challenge_method = None), "invalid_request");
        assert_eq!(refused(|request| request.code_challenge_method = Some("plain".into())), "invalid_request");
        assert_eq!(refused(|request| request.resource = None), "invalid_target");
        assert_eq!(refused(|request| request.resource = Some("https://other.example/mcp".into())), "invalid_target");
        assert_eq!(refused(|request| request.scope = Some("openid".into())), "invalid_scope");
    }

    #[test]
    fn an_app_is_named_by_its_scheme() {
        let target = |uri: &str| describe_target(&Url::parse(uri).expect("a URL"));
        assert_eq!(target("com.evil.app://bank.example/callback"), "com.evil.app");
        assert_eq!(target("https://bank.example:8443/callback"), "bank.example:8443");
    }

    #[test]
    fn the_program_gets_its_state_and_the_issuer_back() {
        let url = request().redirect_url(&server(), &[("code", "c")]).expect("a URL");
        assert_eq!(url, "https://app.example/callback?x=1&code=c&state=a+b%26c&iss=https%3A%2F%2Fchat.example");
        let app = AuthorizationRequest { redirect_uri: "com.example.app:/cb".into(), state: None, ..request() };
        let url = app.redirect_url(&server(), &[("error", "access_denied")]).expect("a URL");
        assert_eq!(url, "com.example.app:/cb?error=access_denied&iss=https%3A%2F%2Fchat.example");
    }
}
