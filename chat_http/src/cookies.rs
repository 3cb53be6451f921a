//! The cookies that sign-in sets. JavaScript cannot read them, and browsers send them to
//! one path only.

use axum::http::{HeaderMap, header};

/// A cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cookie {
    name: &'static str,
    secure_name: &'static str,
    path: &'static str,
}

/// Authenticates event streams and nothing else, so that a page can call
/// `new EventSource('/events')`.
pub const STREAM: Cookie = Cookie { name: "confab_stream", secure_name: "__Secure-confab_stream", path: "/events" };

/// Makes a device known to the throttle of failed sign-ins.
pub const DEVICE: Cookie = Cookie { name: "confab_device", secure_name: "__Secure-confab_device", path: "/api/signin" };

impl Cookie {
    /// The name. Over https, browsers accept the name only from https pages.
    pub fn name(self, is_https: bool) -> &'static str {
        if is_https { self.secure_name } else { self.name }
    }

    /// Returns the value that a request has.
    pub fn find(self, headers: &HeaderMap, is_https: bool) -> Option<&str> {
        let name = self.name(is_https);
        headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|line| line.split(';'))
            .find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
    }

    /// Returns the `Set-Cookie` header that sets the value for `seconds`.
    pub fn to_header(self, value: &str, seconds: i64, is_https: bool) -> String {
        let (name, secure) = (self.name(is_https), if is_https { "; Secure" } else { "" });
        format!("{name}={value}; Path={}; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}", self.path)
    }
}
