//! Templates: messages that another network has approved, and that can be sent at any time.

use super::{BridgeState, DISABLED, TemplateMessage, chats};
use crate::{
    ChatId, Error, Result, UserId,
    messages::{MessageExtra, MessageTemplate, NewMessage},
    values::Content,
};
use sqlx::PgConnection;

/// Maximum number of characters of a parameter.
const MAX_PARAMETER_CHARS: usize = 1_000;

/// Returns the message that sends a template. Its text is that of the template with its
/// parameters.
pub async fn build_template_message(
    db: &mut PgConnection,
    sender: UserId,
    chat: ChatId,
    template: TemplateMessage,
) -> Result<NewMessage> {
    let TemplateMessage { bridge_id, name, language, parameters, nonce } = template;
    let bridges = chats::list_for_chat(db, sender, chat).await?;
    let bridge = bridges.into_iter().find(|one| one.chat.bridge_id == bridge_id);
    let bridge = bridge.ok_or_else(|| Error::invalid("bridge_id", "this bridge does not connect this chat"))?;
    if bridge.state == BridgeState::Disabled {
        return Err(DISABLED);
    }
    let known = bridge.templates.into_iter().find(|one| one.name == name && one.language == language);
    let known = known.ok_or_else(|| Error::invalid("name", "there is no template with this name and language"))?;
    if parameters.len() != known.parameter_count {
        let detail = format!("this template has {} parameters", known.parameter_count);
        return Err(Error::invalid("parameters", detail));
    }
    if let Some(bad) = parameters.iter().find(|value| {
        value.trim().is_empty() || value.chars().count() > MAX_PARAMETER_CHARS || value.contains(['\n', '\t', '\0'])
    }) {
        let detail = format!(
            "a parameter must have 1 to 1000 characters in one line: {:?}",
            bad.chars().take(20).collect::<String>()
        );
        return Err(Error::invalid("parameters", detail));
    }
    let content =
        Content::try_from(known.fill_in(&parameters)).map_err(|detail| Error::invalid("parameters", detail))?;
    let template = MessageTemplate { bridge_id, name, language, parameters };
    let extra = MessageExtra { template: Some(template), ..MessageExtra::default() };
    Ok(NewMessage {
        chat_id: chat,
        sender_id: sender,
        content,
        files: Vec::new(),
        reply_to: None,
        nonce,
        has_mentions: false,
        extra: Some(Box::new(extra)),
    })
}
