//! The languages of mail.

use serde::{Deserialize, Serialize};

/// A language in which mail is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Language {
    /// English.
    #[default]
    En,
    /// German.
    De,
}

impl Language {
    /// All languages.
    pub const ALL: [Self; 2] = [Self::En, Self::De];

    /// The code of BCP 47.
    pub fn code(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::De => "de",
        }
    }

    /// The language that an `Accept-Language` header prefers (RFC 9110 §12.5.4), or English.
    pub fn preferred(accept_language: &str) -> Self {
        let mut preferred = (Self::default(), 0.0);
        for part in accept_language.split(',') {
            let mut parameters = part.split(';').map(str::trim);
            let range = parameters.next().unwrap_or_default();
            let weight = parameters.find_map(|parameter| parameter.strip_prefix("q=")?.parse().ok()).unwrap_or(1.0);
            let primary = range.split('-').next().unwrap_or_default();
            let language = Self::ALL.into_iter().find(|language| primary.eq_ignore_ascii_case(language.code()));
            if let Some(language) = language.filter(|_| weight > preferred.1) {
                preferred = (language, weight);
            }
        }
        preferred.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_with_the_highest_weight_is_preferred() {
        for (header, expected) in [
            ("", Language::En),
            ("de", Language::De),
            ("de-AT,en;q=0.5", Language::De),
            ("en;q=0.5, DE;q=0.8", Language::De),
            ("fr, en;q=0.3, de;q=0.2", Language::En),
            ("fr", Language::En),
            ("de;q=0", Language::En),
            ("de;q=x", Language::De),
            (";;,,", Language::En),
        ] {
            assert_eq!(Language::preferred(header), expected, "{header}");
        }
    }
}
