//! Prompts: texts with which a user starts a conversation with a model.

use rmcp::{
    ErrorData,
    model::{GetPromptRequestParams, GetPromptResult, Prompt, PromptArgument, PromptMessage, Role},
};

const CATCH_UP: &str = "catch_up";
const SUMMARIZE_CHAT: &str = "summarize_chat";

/// Lists the prompts.
pub(crate) fn list() -> Vec<Prompt> {
    let mut chat = PromptArgument::new("chat_id");
    chat.description = Some("The id of the chat".into());
    chat.required = Some(true);
    vec![
        Prompt::new(CATCH_UP, Some("Tell me what I have missed"), None),
        Prompt::new(SUMMARIZE_CHAT, Some("Summarize a chat"), Some(vec![chat])),
    ]
}

/// Returns the text of a prompt.
pub(crate) fn get(request: &GetPromptRequestParams) -> Result<GetPromptResult, ErrorData> {
    let text = match request.name.as_str() {
        CATCH_UP => {
            "Use catch_up to read my unread messages. Tell me in a few sentences what matters, what mentions me \
                     and what waits for my answer, with the chat and the author of each. Do not mark anything as read."
                .to_owned()
        }
        SUMMARIZE_CHAT => {
            let chat = request.arguments.as_ref().and_then(|arguments| arguments.get("chat_id"));
            let chat = chat.map(|chat| chat.as_str().map_or_else(|| chat.to_string(), str::to_owned));
            let chat = chat.filter(|chat| chat.bytes().all(|byte| byte.is_ascii_digit()) && !chat.is_empty());
            let chat = chat.ok_or_else(|| ErrorData::invalid_params("chat_id must be the id of a chat", None))?;
            format!(
                "Use read_messages to read the newest messages of chat {chat}. Summarize what was discussed, what was \
                 decided and what is open, with the authors."
            )
        }
        _ => return Err(ErrorData::invalid_params("no prompt with this name", None)),
    };
    Ok(GetPromptResult::new(vec![PromptMessage::new_text(Role::User, text)]))
}
