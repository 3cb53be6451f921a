//! Who may create an account.

use std::{convert::Infallible, str::FromStr};

/// Who may create an account.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SignUpPolicy {
    /// Everybody.
    #[default]
    Open,
    /// Nobody.
    Closed,
    /// Whoever has an invite to a chat.
    Invite,
    /// Whoever an operator approves.
    Approval,
    /// Whoever has an email address in one of these domains, in lower case.
    Domains(Vec<String>),
}

impl FromStr for SignUpPolicy {
    type Err = Infallible;

    /// Parses `open`, `closed`, `invite`, `approval`, or a comma-separated list of domains.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text.trim().to_ascii_lowercase().as_str() {
            "open" => Self::Open,
            "closed" => Self::Closed,
            "invite" => Self::Invite,
            "approval" => Self::Approval,
            domains => {
                let domains = domains.split(',').map(|domain| domain.trim().trim_start_matches('@').to_owned());
                Self::Domains(domains.filter(|domain| !domain.is_empty()).collect())
            }
        })
    }
}

impl SignUpPolicy {
    /// The name of the policy.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Invite => "invite",
            Self::Approval => "approval",
            Self::Domains(_) => "domains",
        }
    }

    /// The allowed domains; empty if all are.
    pub fn domains(&self) -> &[String] {
        match self {
            Self::Domains(domains) => domains,
            _ => &[],
        }
    }

    /// Whether the policy allows the domain of an email address.
    pub fn allows_email(&self, email: &str) -> bool {
        let domain = email.rsplit('@').next().unwrap_or_default();
        match self {
            Self::Domains(domains) => domains.iter().any(|allowed| allowed.eq_ignore_ascii_case(domain)),
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_a_word_or_a_list_of_domains() {
        let parse = |text: &str| text.parse::<SignUpPolicy>().expect("a policy");
        assert_eq!(parse("open"), SignUpPolicy::Open);
        assert_eq!(parse(" Closed "), SignUpPolicy::Closed);
        assert_eq!(parse("invite"), SignUpPolicy::Invite);
        assert_eq!(parse("approval"), SignUpPolicy::Approval);
        let domains = parse("example.com, @Example.ORG,");
        assert_eq!(domains.domains(), ["example.com", "example.org"]);
        assert!(domains.allows_email("a@EXAMPLE.com") && domains.allows_email("a@example.org"));
        assert!(!domains.allows_email("a@sub.example.com") && !domains.allows_email("a@evil-example.com"));
        assert!(!parse("").allows_email("a@example.com"), "an empty list allows nobody");
    }
}
