//! OAuth 2.1: programs, such as MCP clients, learn where to get a token, the consent page lets the user
//! decide, and the program exchanges a code for its tokens.

use crate::{
    AppState,
    extract::{Caller, ClientInfo, Json, OAuthForm, OAuthServer},
    openapi::{Operation, OperationOutput},
};
use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use chat_core::{
    auth::Scope,
    cluster_key::ClusterKey,
    oauth::{
        self, AUTHORIZE_PATH, AuthorizationCheck, AuthorizationRequest, SCOPES,
        grants::{self, NewAuthorization, Redirection},
        tokens::{self, ProgramTokens, TokenError},
    },
};
use chat_http::{Result, problem::KeepBody};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;

/// The path at which programs exchange codes and refresh tokens.
pub(crate) const TOKEN_PATH: &str = "/api/oauth/token";

/// The path at which programs revoke their tokens.
pub(crate) const REVOKE_PATH: &str = "/api/oauth/revoke";

/// Where programs get tokens for the MCP server (RFC 9728).
#[derive(Serialize, JsonSchema)]
pub(crate) struct ResourceMetadata {
    /// The URL of the MCP server.
    resource: String,
    resource_name: &'static str,
    authorization_servers: [String; 1],
    scopes_supported: [Scope; SCOPES.len()],
    bearer_methods_supported: [&'static str; 1],
}

/// Returns where programs get tokens for the MCP server.
pub(crate) async fn get_resource_metadata(OAuthServer(server): OAuthServer) -> Result<Json<ResourceMetadata>> {
    Ok(Json(ResourceMetadata {
        resource: server.resource(),
        resource_name: "Confab",
        authorization_servers: [server.issuer],
        scopes_supported: SCOPES,
        bearer_methods_supported: ["header"],
    }))
}

/// How programs get tokens (RFC 8414).
#[derive(Serialize, JsonSchema)]
pub(crate) struct ServerMetadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    revocation_endpoint: String,
    scopes_supported: [Scope; SCOPES.len()],
    response_types_supported: [&'static str; 1],
    response_modes_supported: [&'static str; 1],
    grant_types_supported: [&'static str; 2],
    token_endpoint_auth_methods_supported: [&'static str; 1],
    revocation_endpoint_auth_methods_supported: [&'static str; 1],
    code_challenge_methods_supported: [&'static str; 1],
    /// A program is named by the URL of a document that describes it.
    client_id_metadata_document_supported: bool,
    authorization_response_iss_parameter_supported: bool,
}

/// Returns how programs get tokens.
pub(crate) async fn get_server_metadata(OAuthServer(server): OAuthServer) -> Result<Json<ServerMetadata>> {
    let issuer = server.issuer;
    Ok(Json(ServerMetadata {
        authorization_endpoint: format!("{issuer}{AUTHORIZE_PATH}"),
        token_endpoint: format!("{issuer}{TOKEN_PATH}"),
        revocation_endpoint: format!("{issuer}{REVOKE_PATH}"),
        issuer,
        scopes_supported: SCOPES,
        response_types_supported: ["code"],
        response_modes_supported: ["query"],
        grant_types_supported: ["authorization_code", "refresh_token"],
        token_endpoint_auth_methods_supported: ["none"],
        revocation_endpoint_auth_methods_supported: ["none"],
        code_challenge_methods_supported: ["S256"],
        client_id_metadata_document_supported: true,
        authorization_response_iss_parameter_supported: true,
    }))
}

/// Checks what a program asks for, before the consent page asks the user.
pub(crate) async fn check(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    OAuthServer(server): OAuthServer,
    Json(request): Json<AuthorizationRequest>,
) -> Result<Json<AuthorizationCheck>> {
    // The caller chooses which server is waited for.
    let _slot = state.document_slots.acquire(caller.account_id).await?;
    Ok(Json(oauth::check_request(&state.db, &state.outgoing, &server, caller.account_id, &request).await?))
}

/// Lets a program act for the caller, and returns where to send the browser.
pub(crate) async fn authorize(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    ClientInfo(client): ClientInfo,
    OAuthServer(server): OAuthServer,
    Json(new): Json<NewAuthorization>,
) -> Result<Json<Redirection>> {
    let _slot = state.document_slots.acquire(caller.account_id).await?;
    let (claims, account) = (caller.claims(), caller.account_id);
    Ok(Json(grants::create(&state.db, &state.outgoing, &server, claims, account, &client, new).await?))
}

/// Exchanges a code or a refresh token for tokens.
pub(crate) async fn issue_tokens(
    State(state): State<Arc<AppState>>,
    ClientInfo(client): ClientInfo,
    OAuthServer(server): OAuthServer,
    OAuthForm(request): OAuthForm,
) -> Result<OAuthResponse> {
    let issue = async {
        let request = request?;
        if let Some(token) = request.refresh_token() {
            state.rate_limiter.charge_refresh(token)?;
        }
        let key = state.cluster_key.get_or_try_init(|| ClusterKey::load(&state.db)).await?;
        tokens::issue(&state.db, &state.signer, key, &server, &client, &request).await
    };
    OAuthResponse::new(issue.await.map(Some))
}

/// Revokes what a user granted to a program. Idempotent.
pub(crate) async fn revoke(
    State(state): State<Arc<AppState>>,
    ClientInfo(client): ClientInfo,
    OAuthForm(request): OAuthForm,
) -> Result<OAuthResponse> {
    let revoke = async {
        let request = request?;
        tokens::revoke(&state.db, state.authenticator.verifier(), &client, &request).await
    };
    let revoked = revoke.await;
    if let Ok(Some(session)) = &revoked {
        state.authenticator.sessions.remove(*session);
    }
    OAuthResponse::new(revoked.map(|_| None))
}

/// The response to a program, in the form of RFC 6749.
pub(crate) enum OAuthResponse {
    Tokens(ProgramTokens),
    Revoked,
    Refused { error: &'static str, description: &'static str },
}

impl OAuthResponse {
    fn new(result: Result<Option<ProgramTokens>, TokenError>) -> Result<Self> {
        match result {
            Ok(Some(tokens)) => Ok(Self::Tokens(tokens)),
            Ok(None) => Ok(Self::Revoked),
            Err(TokenError::Refused(error, description)) => Ok(Self::Refused { error, description }),
            Err(TokenError::Failed(error)) => Err(error.into()),
        }
    }
}

impl IntoResponse for OAuthResponse {
    fn into_response(self) -> Response {
        let mut response = match self {
            Self::Tokens(tokens) => Json(tokens).into_response(),
            Self::Revoked => Json(json!({})).into_response(),
            Self::Refused { error, description } => {
                let body = json!({ "error": error, "error_description": description });
                let mut response = (StatusCode::BAD_REQUEST, Json(body)).into_response();
                response.extensions_mut().insert(KeepBody);
                response
            }
        };
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

impl OperationOutput for OAuthResponse {
    fn describe_output(operation: &mut Operation<'_>) {
        let object = || Some(("application/json", json!({ "type": "object" })));
        operation.add_response(200, "OK, as RFC 6749 and RFC 7009 describe.", object());
        operation.add_response(400, "The program made a mistake: `error` and `error_description`.", object());
    }
}
