//! The messages of Slack's incoming webhooks, which Mattermost and Rocket.Chat also accept.
//! <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>

use super::{WebhookMessage, fit, fit_embeds, fit_url, parse_object};
use chat_core::{
    Error, Result,
    messages::{Embed, EmbedAuthor, EmbedField},
};
use serde::Deserialize;
use serde_json::Value;

/// A message to post.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct SlackMessage {
    text: Option<String>,
    username: Option<String>,
    icon_url: Option<String>,
    attachments: Option<Vec<Attachment>>,
    blocks: Option<Vec<Value>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Attachment {
    pretext: Option<String>,
    fallback: Option<String>,
    author_name: Option<String>,
    author_link: Option<String>,
    title: Option<String>,
    title_link: Option<String>,
    text: Option<String>,
    color: Option<String>,
    fields: Option<Vec<Field>>,
    image_url: Option<String>,
    thumb_url: Option<String>,
    footer: Option<String>,
    blocks: Option<Vec<Value>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Field {
    title: Option<String>,
    value: Value,
    short: Option<bool>,
}

impl SlackMessage {
    /// Parses JSON.
    pub(crate) fn parse(body: &[u8]) -> Result<Self> {
        parse_object(body)
    }

    /// Finds the message in the fields of a form.
    pub(crate) fn from_fields(fields: impl IntoIterator<Item = (String, String)>) -> Result<Self> {
        let payload = fields.into_iter().find(|(name, _)| name == "payload");
        let (_, payload) =
            payload.ok_or_else(|| Error::invalid_with_code("payload", "missing", "payload is missing"))?;
        Self::parse(payload.as_bytes())
    }
}

impl From<SlackMessage> for WebhookMessage {
    fn from(message: SlackMessage) -> Self {
        let SlackMessage { text, username, icon_url, attachments, blocks } = message;
        let blocks = blocks.unwrap_or_default();
        // With blocks, the text is only for notifications.
        let content = match read_blocks(&blocks) {
            text if !text.is_empty() => text,
            _ => text.as_deref().map(to_markdown).unwrap_or_default(),
        };
        let mut content = vec![content];
        let mut embeds = Vec::new();
        for attachment in attachments.unwrap_or_default() {
            content.extend(attachment.pretext.as_deref().map(to_markdown));
            embeds.push(attachment.into_embed());
        }
        content.retain(|text| !text.is_empty());
        let embeds = fit_embeds(embeds);
        Self {
            content: content.join("\n"),
            author: username,
            avatar_url: icon_url,
            embeds,
            has_mentions: true,
            nonce: None,
        }
    }
}

impl Attachment {
    fn into_embed(self) -> Embed {
        let blocks = read_blocks(self.blocks.as_deref().unwrap_or_default());
        let text = self.text.or(self.fallback.filter(|_| self.title.is_none())).map(|text| to_markdown(&text));
        let texts: Vec<String> = text.into_iter().chain([blocks]).filter(|text| !text.is_empty()).collect();
        let description = Some(texts.join("\n")).filter(|text| !text.is_empty());
        Embed {
            author: self.author_name.map(|name| EmbedAuthor { name: fit(&name, 256), url: fit_url(self.author_link) }),
            title: self.title.map(|title| fit(&to_plain(&title), 256)),
            url: fit_url(self.title_link),
            description: description.map(|text| fit(&text, 4_096)),
            color: self.color.as_deref().and_then(parse_color),
            fields: self.fields.unwrap_or_default().into_iter().take(25).map(Field::into_field).collect(),
            image_url: fit_url(self.image_url.or(self.thumb_url)),
            footer: self.footer.map(|footer| fit(&to_plain(&footer), 2_048)),
            timestamp: None,
        }
    }
}

impl Field {
    fn into_field(self) -> EmbedField {
        let value = match self.value {
            Value::String(text) => text,
            Value::Null => String::new(),
            other => other.to_string(),
        };
        EmbedField {
            name: fit(&to_plain(&self.title.unwrap_or_default()), 256),
            value: fit(&to_markdown(&value), 1_024),
            inline: self.short.unwrap_or(false),
        }
    }
}

/// Parses `#36a64f`, `good`, `warning` or `danger`.
fn parse_color(text: &str) -> Option<u32> {
    match text {
        "good" => Some(0x2E_B8_86),
        "warning" => Some(0xDA_A0_38),
        "danger" => Some(0xA3_02_00),
        hex => u32::from_str_radix(hex.strip_prefix('#')?, 16).ok().filter(|color| *color <= 0xFF_FF_FF),
    }
}

/// The text of blocks, one line for each.
fn read_blocks(blocks: &[Value]) -> String {
    let lines = blocks.iter().filter_map(|block| {
        let text = |object: &Value| {
            let text = object["text"].as_str()?;
            Some(if object["type"] == "mrkdwn" { to_markdown(text) } else { to_plain(text) })
        };
        match block["type"].as_str()? {
            "header" => text(&block["text"]).map(|text| format!("**{text}**")),
            "section" => {
                let fields = block["fields"].as_array().map(Vec::as_slice).unwrap_or_default();
                let lines: Vec<String> =
                    text(&block["text"]).into_iter().chain(fields.iter().filter_map(text)).collect();
                Some(lines.join("\n"))
            }
            "context" => {
                let elements = block["elements"].as_array()?.iter().filter_map(text);
                Some(elements.collect::<Vec<_>>().join(" "))
            }
            "rich_text" => Some(read_rich_text(block)),
            "divider" => Some("---".to_owned()),
            "image" => block["alt_text"].as_str().map(str::to_owned),
            _ => None,
        }
    });
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

/// The plain text of a rich text block, one line for each section and item of a list.
fn read_rich_text(element: &Value) -> String {
    let field = |name: &str| element[name].as_str();
    let own = field("text").or_else(|| field("url")).map(str::to_owned);
    let own = own.or_else(|| field("name").map(|name| format!(":{name}:"))).unwrap_or_default();
    let nested = element["elements"].as_array().map(Vec::as_slice).unwrap_or_default();
    let separator = if matches!(field("type"), Some("rich_text" | "rich_text_list")) { "\n" } else { "" };
    own + &nested.iter().map(read_rich_text).collect::<Vec<_>>().join(separator)
}

/// Removes Slack's escapes.
fn unescape(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

/// Converts Slack's markup to plain text: the labels of links, without other marks.
fn to_plain(text: &str) -> String {
    convert_links(text, |_, label| label.to_owned(), str::to_owned)
}

/// Converts Slack's markup to Markdown: links, bold and struck text. The rest is the same.
fn to_markdown(text: &str) -> String {
    let link = |url: &str, label: &str| match label == url {
        true => url.to_owned(),
        false => format!("[{}]({url})", convert_marks(label)),
    };
    // Inside code nothing is markup.
    let parts = text.split('`').enumerate().map(|(nth, part)| match nth % 2 {
        0 => convert_links(part, link, convert_marks),
        _ => to_plain(part),
    });
    parts.collect::<Vec<_>>().join("`")
}

/// Doubles the marks `*` and `~` around words.
fn convert_marks(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(['*', '~']) {
        let (before, from_mark) = rest.split_at(start);
        let mark = if from_mark.starts_with('*') { '*' } else { '~' };
        result.push_str(before);
        let inner = &from_mark[1..];
        let end = inner.find(mark).filter(|end| {
            let word = &inner[..*end];
            !word.is_empty() && !word.contains('\n') && word.trim() == word
        });
        let opens = !before.ends_with(|c: char| c.is_alphanumeric());
        match end.filter(|_| opens) {
            Some(end) => {
                let double: String = [mark, mark].iter().collect();
                result.push_str(&double);
                result.push_str(&inner[..end]);
                result.push_str(&double);
                rest = &inner[end + 1..];
            }
            None => {
                result.push(mark);
                rest = inner;
            }
        }
    }
    result + rest
}

/// Replaces `<url>`, `<url|label>`, `<!channel>` and `<@U123|name>`, and converts the text between
/// them.
fn convert_links(text: &str, link: impl Fn(&str, &str) -> String, convert: impl Fn(&str) -> String) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        let (before, from_bracket) = rest.split_at(start);
        result.push_str(&convert(&unescape(before)));
        let Some(end) = from_bracket.find('>') else {
            rest = from_bracket;
            break;
        };
        let inner = &from_bracket[1..end];
        let (target, label) = inner.split_once('|').unwrap_or((inner, inner));
        let (target, label) = (unescape(target), unescape(label));
        match target.chars().next() {
            Some('!') => result.push_str(&format!("@{}", label.trim_start_matches('!'))),
            Some('@' | '#') => result.push_str(&label),
            _ => result.push_str(&link(&target, &label)),
        }
        rest = &from_bracket[end + 1..];
    }
    result + &convert(&unescape(rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn markup_becomes_markdown() {
        for (slack, markdown) in [
            ("*bold* and _italic_ and ~struck~", "**bold** and _italic_ and ~~struck~~"),
            ("2 * 3 * 4 and a*b*c", "2 * 3 * 4 and a*b*c"),
            ("`*code*` *bold*", "`*code*` **bold**"),
            ("<https://a.example|A page> <https://b.example>", "[A page](https://a.example) https://b.example"),
            ("1 &lt; 2 &amp;&amp; 3 &gt; 2", "1 < 2 && 3 > 2"),
            ("<!channel> <@U123|ann> <#C1|general>", "@channel ann general"),
            ("not closed <https://a.example", "not closed <https://a.example"),
            ("*two\nlines*", "*two\nlines*"),
            ("<https://h/~a|x> <https://h/~b|y>", "[x](https://h/~a) [y](https://h/~b)"),
            ("<https://h/~a/~b> *é* <https://h/*c*|*d*>", "https://h/~a/~b **é** [**d**](https://h/*c*)"),
            ("", ""),
        ] {
            assert_eq!(to_markdown(slack), markdown, "{slack}");
        }
    }

    #[test]
    fn blocks_replace_the_text() {
        let message = SlackMessage::parse(
            json!({
                "text": "for notifications",
                "blocks": [
                    { "type": "header", "text": { "type": "plain_text", "text": "Deploy" } },
                    { "type": "section", "text": { "type": "mrkdwn", "text": "*done*" }, "fields": [{ "type": "mrkdwn", "text": "v1" }] },
                    { "type": "unknown" },
                ],
                "attachments": [{ "color": "good", "title": "Build", "title_link": "https://ci.example", "fields": [{ "title": "n", "value": 7, "short": true }] }],
            })
            .to_string()
            .as_bytes(),
        );
        let message = WebhookMessage::from(message.expect("a message"));
        assert_eq!(message.content, "**Deploy**\n**done**\nv1");
        assert_eq!(message.embeds[0].color, Some(0x2E_B8_86));
        assert_eq!(message.embeds[0].fields[0], EmbedField { name: "n".into(), value: "7".into(), inline: true });
    }
}
