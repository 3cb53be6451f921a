//! Checks an account: its credentials, its phone number and its templates.

use super::graph::Graph;
use crate::bridges::jobs::CheckError;
use chat_core::bridges::{BridgeProfile, Template, WhatsappSettings};
use serde_json::Value;

/// Maximum number of templates of an account that are kept.
const MAX_TEMPLATES: usize = 100;

/// Maximum number of characters of a template.
const MAX_BODY_CHARS: usize = 2_000;

/// Loads what the network tells of an account.
pub(crate) async fn check(
    graph: &Graph,
    token: &str,
    settings: &WhatsappSettings,
) -> Result<(BridgeProfile, Vec<Template>), CheckError> {
    let path = format!("{}?fields=display_phone_number,verified_name", settings.phone_number_id.as_str());
    let profile = graph.get(token, &path).await?;
    let text = |value: &Value| value.as_str().unwrap_or_default().chars().take(100).collect();
    let profile = BridgeProfile {
        phone_number: Some(text(&profile["display_phone_number"])),
        name: text(&profile["verified_name"]),
        spaces: Vec::new(),
    };
    let path = format!(
        "{}/message_templates?status=APPROVED&fields=name,language,components&limit=200",
        settings.business_account_id.as_str()
    );
    let templates = graph.get(token, &path).await?;
    let templates = templates["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    Ok((profile, templates.iter().filter_map(read_template).take(MAX_TEMPLATES).collect()))
}

/// Reads a template. `None` if it needs more than texts for its body.
fn read_template(template: &Value) -> Option<Template> {
    let components = template["components"].as_array()?;
    let mut body = None;
    for component in components {
        let text = component["text"].as_str().unwrap_or_default();
        match component["type"].as_str()?.to_ascii_uppercase().as_str() {
            "BODY" => body = Some(text.to_owned()),
            "HEADER" if component["format"].as_str() != Some("TEXT") || text.contains("{{") => return None,
            "BUTTONS" if component.to_string().contains("{{") => return None,
            _ => {}
        }
    }
    let body = body.filter(|body| !body.is_empty() && body.chars().count() <= MAX_BODY_CHARS)?;
    let parameter_count = (1..=20).take_while(|nth| body.contains(&format!("{{{{{nth}}}}}"))).count();
    // Parameters with names.
    (body.matches("{{").count() >= parameter_count && !has_other_parameters(&body, parameter_count)).then(|| Template {
        name: template["name"].as_str().unwrap_or_default().to_owned(),
        language: template["language"].as_str().unwrap_or_default().to_owned(),
        body,
        parameter_count,
    })
}

fn has_other_parameters(body: &str, count: usize) -> bool {
    let known: Vec<String> = (1..=count).map(|nth| nth.to_string()).collect();
    body.split("{{").skip(1).any(|rest| {
        let name = rest.split("}}").next().unwrap_or_default();
        !known.iter().any(|known| known == name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn template(components: Value) -> Option<Template> {
        read_template(&json!({ "name": "hello", "language": "en_US", "components": components }))
    }

    #[test]
    fn only_templates_with_texts_are_offered() {
        let known = template(json!([{ "type": "BODY", "text": "Hello {{1}}, your order {{2}} is here" }]));
        let known = known.expect("a template");
        assert_eq!(known.parameter_count, 2);
        assert_eq!(known.fill_in(&["Eve".into(), "7".into()]), "Hello Eve, your order 7 is here");
        let nested = known.fill_in(&["{{2}}{{1}}".into(), "x".into()]);
        assert_eq!(nested, "Hello {{2}}{{1}}, your order x is here", "a value is no parameter");
        for other in [
            json!([{ "type": "HEADER", "format": "IMAGE" }, { "type": "BODY", "text": "x" }]),
            json!([{ "type": "BODY", "text": "Hello {{name}}" }]),
            json!([{ "type": "BODY", "text": "x" }, { "type": "BUTTONS", "buttons": [{ "url": "https://a/{{1}}" }] }]),
            json!([{ "type": "FOOTER", "text": "x" }]),
        ] {
            assert_eq!(template(other.clone()), None, "{other}");
        }
    }
}
