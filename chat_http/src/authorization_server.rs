//! At which URL programs are authorized (`chat_core::oauth`).

use crate::{settings::PublicUrl, web_policy::AllowedHosts};
use axum::http::{HeaderMap, header, uri::Authority};
use chat_core::oauth::AuthorizationServer;

/// Returns the authorization server as the client of a request reaches it: at the public URL of the
/// server; without one only at a loopback name, because a name in a request proves nothing.
pub fn authorization_server(public_url: Option<&PublicUrl>, headers: &HeaderMap) -> Option<AuthorizationServer> {
    if let Some(url) = public_url {
        return Some(AuthorizationServer { issuer: url.as_str().to_owned() });
    }
    let host: Authority = headers.get(header::HOST)?.to_str().ok()?.parse().ok()?;
    let is_loopback = AllowedHosts::Loopback.contains(host.host());
    is_loopback.then(|| AuthorizationServer { issuer: format!("http://{host}") })
}
