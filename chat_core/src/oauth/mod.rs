//! OAuth 2.1 for programs of other people, such as MCP clients: a user lets a program act for them
//! without giving it a password or a token by hand.
//!
//! The program sends the browser to the consent page. `clients` finds out who the program is, `request`
//! checks what it asks for, `grants` issues a code when the user agrees, and `tokens` exchanges the
//! code, refreshes and revokes. Programs are public clients: they prove with PKCE that the code is
//! theirs. A grant is an API token, so users see and revoke it among their tokens.

pub mod clients;
pub mod grants;
mod request;
pub mod tokens;

pub use request::{AuthorizationCheck, AuthorizationRequest, Consent, check_request};

use crate::auth::Scope;

/// The scopes that a program can ask for: those of the MCP tools.
pub const SCOPES: [Scope; 7] = [
    Scope::ChatsRead,
    Scope::MessagesRead,
    Scope::MessagesWrite,
    Scope::ReactionsWrite,
    Scope::ReceiptsWrite,
    Scope::UsersRead,
    Scope::SearchRead,
];

/// The names of [`SCOPES`], separated by spaces.
pub fn scope_names() -> String {
    SCOPES.map(Scope::name).join(" ")
}

/// The path of the page that asks the user.
pub const AUTHORIZE_PATH: &str = "/oauth/authorize";

/// The URLs of a server at which programs are authorized.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizationServer {
    /// The public URL of the server, without a path: it names the issuer of tokens.
    pub issuer: String,
}

impl AuthorizationServer {
    /// The URL of the MCP server, the audience of all tokens.
    pub fn resource(&self) -> String {
        format!("{}/mcp", self.issuer)
    }

    /// Whether a program means the MCP server. The scheme and the host may be written in any case.
    fn is_resource(&self, uri: &str) -> bool {
        let normalize = |uri: &str| url::Url::parse(uri).map(|url| url.as_str().trim_end_matches('/').to_owned());
        matches!((normalize(uri), normalize(&self.resource())), (Ok(uri), Ok(resource)) if uri == resource)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resource_is_the_mcp_server() {
        let server = AuthorizationServer { issuer: "https://chat.example".into() };
        for same in ["https://chat.example/mcp", "HTTPS://Chat.Example/mcp", "https://chat.example:443/mcp/"] {
            assert!(server.is_resource(same), "{same}");
        }
        for other in [
            "",
            "https://chat.example",
            "https://other.example/mcp",
            "http://chat.example/mcp",
            "https://chat.example/mcp#x",
        ] {
            assert!(!server.is_resource(other), "{other}");
        }
    }
}
