//! The messages of WhatsApp that one message of Confab becomes.

use crate::bridges::text::{from_markdown, sender_prefix, split};
use chat_core::{
    bridges::relay::{RelayedFile, RelayedMessage},
    messages::MessageTemplate,
};
use serde_json::{Value, json};

/// Maximum number of characters of a text message.
const MAX_TEXT_CHARS: usize = 4_096;

/// Maximum number of characters of a caption.
const MAX_CAPTION_CHARS: usize = 1_024;

/// One message of WhatsApp.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outgoing {
    /// A text.
    Text(String),
    /// A file, with a text below it.
    Media { file: MediaFile, caption: Option<String> },
    /// A template.
    Template(MessageTemplate),
}

/// A file to upload.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MediaFile {
    /// The type of message: `image`, `video`, `audio` or `document`.
    pub(crate) kind: &'static str,
    pub(crate) blob_key: String,
    pub(crate) filename: String,
    pub(crate) mime_type: String,
    pub(crate) size: u64,
}

impl From<&RelayedFile> for MediaFile {
    fn from(file: &RelayedFile) -> Self {
        let RelayedFile { blob_key, filename, size, .. } = file.clone();
        let mime_type = file.mime_type.split(';').next().unwrap_or_default().to_owned();
        Self { kind: media_kind(&mime_type, size), blob_key, filename, mime_type, size }
    }
}

/// How WhatsApp shows a file: within its limits of types and sizes, and otherwise as a document.
fn media_kind(mime_type: &str, size: u64) -> &'static str {
    const MIB: u64 = 1024 * 1024;
    match mime_type {
        "image/jpeg" | "image/png" if size <= 5 * MIB => "image",
        "video/mp4" | "video/3gpp" if size <= 16 * MIB => "video",
        "audio/aac" | "audio/mp4" | "audio/mpeg" | "audio/amr" | "audio/ogg" if size <= 16 * MIB => "audio",
        _ => "document",
    }
}

/// Splits a message. The same message always becomes the same parts.
pub(crate) fn compose(message: &RelayedMessage, shows_name: bool) -> Vec<Outgoing> {
    if let Some(template) = &message.template {
        return vec![Outgoing::Template(template.clone())];
    }
    let name = if shows_name { sender_prefix(&message.sender_name) } else { String::new() };
    let text = match message.content.trim() {
        "" => String::new(),
        text => format!("{name}{}", from_markdown(text)),
    };
    let files: Vec<MediaFile> = message.files.iter().map(MediaFile::from).collect();
    match files.as_slice() {
        [file] if file.kind != "audio" && text.chars().count() <= MAX_CAPTION_CHARS => {
            let caption = if text.is_empty() { name.trim_end().to_owned() } else { text };
            vec![Outgoing::Media { file: file.clone(), caption: Some(caption).filter(|text| !text.is_empty()) }]
        }
        _ => {
            let texts = if text.is_empty() { Vec::new() } else { split(&text, MAX_TEXT_CHARS) };
            let texts = texts.into_iter().map(|text| Outgoing::Text(text.to_owned()));
            texts.chain(files.into_iter().map(|file| Outgoing::Media { file, caption: None })).collect()
        }
    }
}

/// The text that tells of an edit.
pub(crate) fn compose_edit(message: &RelayedMessage, shows_name: bool) -> Outgoing {
    let name = if shows_name { sender_prefix(&message.sender_name) } else { String::new() };
    let text = format!("{name}✏️ {}", from_markdown(message.content.trim()));
    Outgoing::Text(split(&text, MAX_TEXT_CHARS).first().map_or(String::new(), |text| (*text).to_owned()))
}

impl Outgoing {
    /// The type and the content of the request; `media_id` is that of an uploaded file.
    pub(crate) fn to_json(&self, media_id: Option<&str>) -> (&'static str, Value) {
        match self {
            Self::Text(text) => ("text", json!({ "body": text, "preview_url": true })),
            Self::Media { file, caption } => {
                let mut media = json!({ "id": media_id });
                if let Some(caption) = caption {
                    media["caption"] = json!(caption);
                }
                if file.kind == "document" {
                    media["filename"] = json!(file.filename);
                }
                (file.kind, media)
            }
            Self::Template(MessageTemplate { name, language, parameters, .. }) => {
                let parameters: Vec<Value> =
                    parameters.iter().map(|text| json!({ "type": "text", "text": text })).collect();
                let components = match parameters.is_empty() {
                    true => json!([]),
                    false => json!([{ "type": "body", "parameters": parameters }]),
                };
                ("template", json!({ "name": name, "language": { "code": language }, "components": components }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chat_core::users::UserKind;

    fn message(content: &str, files: &[(&str, u64)]) -> RelayedMessage {
        let file = |(mime_type, size): &(&str, u64)| RelayedFile {
            id: "1".parse().expect("an id"),
            blob_key: "key".into(),
            filename: "a.bin".into(),
            mime_type: (*mime_type).into(),
            size: *size,
        };
        RelayedMessage {
            id: "1".parse().expect("an id"),
            content: content.into(),
            sender_name: "Ann".into(),
            sender_kind: UserKind::Person,
            is_relayed: false,
            is_deleted: false,
            template: None,
            reply_to: None,
            reply_thread: None,
            files: files.iter().map(file).collect(),
        }
    }

    #[test]
    fn one_file_carries_the_text_and_several_follow_it() {
        let parts = compose(&message("**look**", &[("image/png", 10)]), true);
        let [Outgoing::Media { file, caption }] = parts.as_slice() else { panic!("{parts:?}") };
        assert_eq!((file.kind, caption.as_deref()), ("image", Some("*Ann*: *look*")));
        let parts = compose(&message("two", &[("image/webp", 10), ("video/mp4", 17 << 20)]), false);
        assert_eq!(parts.len(), 3);
        assert_eq!(parts[0], Outgoing::Text("two".into()));
        assert!(parts[1..].iter().all(|part| part.to_json(Some("7")).0 == "document"));
        let parts = compose(&message("hear", &[("audio/ogg", 10)]), true);
        assert!(matches!(parts.as_slice(), [Outgoing::Text(_), Outgoing::Media { caption: None, .. }]), "{parts:?}");
        assert_eq!(compose(&message(&"x".repeat(9_000), &[]), true).len(), 3);
    }
}
