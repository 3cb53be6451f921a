//! The texts of mail, in each language.

use chat_core::mail::Language;
use serde::Deserialize;
use std::sync::LazyLock;

/// The texts of one language. `{name}` is replaced.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Texts {
    pub(super) greeting: String,
    pub(super) confirm_sign_up: Text,
    pub(super) account_exists: Text,
    pub(super) reset_password: Text,
    pub(super) confirm_email: Text,
    pub(super) password_changed: Text,
    pub(super) email_changed: Text,
    pub(super) new_sign_in: Text,
    pub(super) account_approved: Text,
    pub(super) invitation: Text,
    pub(super) digest: Text,
    pub(super) unsubscribe_digests: String,
    pub(super) unsubscribe_invitations: String,
    pub(super) unknown: String,
}

/// The text of one kind of mail.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Text {
    pub(super) subject: String,
    /// The paragraphs before the link.
    pub(super) text: Vec<String>,
    /// The name of the link.
    pub(super) button: String,
    /// The paragraph after the link; may be empty.
    pub(super) note: String,
}

static EN: LazyLock<Texts> = LazyLock::new(|| parse(include_str!("texts/en.json")));
static DE: LazyLock<Texts> = LazyLock::new(|| parse(include_str!("texts/de.json")));

fn parse(json: &str) -> Texts {
    serde_json::from_str(json).expect("complete texts")
}

/// Returns the texts of a language.
pub(super) fn texts(language: Language) -> &'static Texts {
    match language {
        Language::En => &EN,
        Language::De => &DE,
    }
}

/// Replaces each `{name}` by its value, once: what a value contains is not replaced.
pub(super) fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let value = after.split_once('}').and_then(|(name, after)| {
            values.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value, after))
        });
        match value {
            Some((value, after)) => {
                filled.push_str(value);
                rest = after;
            }
            None => {
                filled.push('{');
                rest = after;
            }
        }
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::collections::BTreeMap;

    /// The placeholders of each text, by its path.
    fn placeholders(value: &Value, path: &str, found: &mut BTreeMap<String, Vec<String>>) {
        match value {
            Value::String(text) => {
                let mut names: Vec<String> =
                    text.split('{').skip(1).filter_map(|part| Some(part.split_once('}')?.0.to_owned())).collect();
                names.sort();
                found.insert(path.to_owned(), names);
            }
            Value::Array(items) => {
                items
                    .iter()
                    .enumerate()
                    .for_each(|(index, item)| placeholders(item, &format!("{path}/{index}"), found));
            }
            Value::Object(fields) => {
                fields.iter().for_each(|(name, field)| placeholders(field, &format!("{path}/{name}"), found));
            }
            _ => {}
        }
    }

    #[test]
    fn all_languages_have_the_same_texts_with_the_same_placeholders() {
        let found = [include_str!("texts/en.json"), include_str!("texts/de.json")].map(|json| {
            let mut found = BTreeMap::new();
            placeholders(&serde_json::from_str(json).expect("JSON"), "", &mut found);
            found
        });
        assert!(found[0].len() > 40);
        assert_eq!(found[0], found[1]);
        Language::ALL.into_iter().for_each(|language| assert!(!texts(language).greeting.is_empty()));
    }

    #[test]
    fn a_value_is_not_a_template() {
        let values = [("a", "{b}"), ("b", "wrong")];
        assert_eq!(fill("{a} {c} {", &values), "{b} {c} {");
    }
}
