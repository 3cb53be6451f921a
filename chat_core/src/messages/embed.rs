//! What a message shows besides its text: the name of its author, if a webhook chose one, and
//! embeds. The shapes and limits of embeds are those of Discord, which programs know.

use crate::{BridgeId, Error, Result, Time, values::is_bidi_control};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Maximum number of embeds of one message.
pub const MAX_EMBEDS: usize = 10;

/// Maximum number of fields of one embed.
const MAX_FIELDS: usize = 25;

/// Maximum number of characters in all texts of the embeds of one message.
pub const MAX_TOTAL_CHARS: usize = 6_000;

/// Maximum length of a URL, in bytes.
const MAX_URL_BYTES: usize = 2_048;

/// What a message has besides its text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MessageExtra {
    /// The author that the message shows instead of its sender.
    pub author: Option<MessageAuthor>,
    /// The embeds.
    pub embeds: Vec<Embed>,
    /// The template of another network that the message sends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<MessageTemplate>,
    /// The bridge that the message came from, if its sender is not a ghost. No bridge relays it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<BridgeId>,
}

/// A template of another network, with its parameters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageTemplate {
    /// The bridge that sends it.
    pub bridge_id: BridgeId,
    /// The name.
    pub name: String,
    /// The language.
    pub language: String,
    /// The parameters, in order.
    pub parameters: Vec<String>,
}

impl MessageExtra {
    /// About how much memory it takes, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let embed = |embed: &Embed| {
            let texts: usize = embed.texts().map(|(.., text)| text.len()).sum();
            size_of::<Embed>() + texts + embed.urls().map(|(_, url)| url.len()).sum::<usize>()
        };
        let template = self.template.as_ref().map_or(0, |one| one.parameters.iter().map(String::len).sum());
        size_of::<Self>() + template + self.embeds.iter().map(embed).sum::<usize>()
    }
}

/// The author that a message of a webhook shows instead of its sender.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MessageAuthor {
    /// The name.
    pub name: String,
    /// The image; that of the sender if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar_url: Option<String>,
}

/// A block of structured text below a message. All texts but the description and the values of
/// fields are plain; these may contain Markdown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Embed {
    /// The name above the title, such as that of a person or a repository.
    pub author: Option<EmbedAuthor>,
    /// The title.
    pub title: Option<String>,
    /// The page that the title opens.
    pub url: Option<String>,
    /// The text.
    pub description: Option<String>,
    /// The color of the edge, as 0xRRGGBB.
    pub color: Option<u32>,
    /// Pairs of a name and a value.
    pub fields: Vec<EmbedField>,
    /// The page of an image. Images of other servers are not loaded.
    pub image_url: Option<String>,
    /// The text below.
    pub footer: Option<String>,
    /// A time that is shown beside the footer.
    pub timestamp: Option<Time>,
}

/// The name above the title of an embed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EmbedAuthor {
    /// The name.
    pub name: String,
    /// The page that the name opens.
    pub url: Option<String>,
}

/// A pair of a name and a value in an embed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EmbedField {
    /// The name.
    pub name: String,
    /// The value.
    pub value: String,
    /// Whether the field may stand beside others.
    pub inline: bool,
}

impl Embed {
    /// Whether the embed shows nothing.
    fn is_empty(&self) -> bool {
        self.image_url.is_none() && self.texts().all(|(.., text)| text.trim().is_empty())
    }

    /// Number of characters in all texts.
    pub fn count_chars(&self) -> usize {
        self.texts().map(|(.., text)| text.chars().count()).sum()
    }

    /// The texts with their names and limits in characters.
    fn texts(&self) -> impl Iterator<Item = (&'static str, usize, &str)> {
        let fixed = [
            ("title", 256, self.title.as_deref()),
            ("description", 4_096, self.description.as_deref()),
            ("footer.text", 2_048, self.footer.as_deref()),
            ("author.name", 256, self.author.as_ref().map(|author| author.name.as_str())),
        ];
        let fields = self.fields.iter().flat_map(|field| {
            [("fields.name", 256, field.name.as_str()), ("fields.value", 1_024, field.value.as_str())]
        });
        fixed.into_iter().filter_map(|(name, limit, text)| Some((name, limit, text?))).chain(fields)
    }

    fn urls(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let urls = [
            ("url", self.url.as_deref()),
            ("image.url", self.image_url.as_deref()),
            ("author.url", self.author.as_ref().and_then(|author| author.url.as_deref())),
        ];
        urls.into_iter().filter_map(|(name, url)| Some((name, url?)))
    }

    fn validate(&self, nth: usize) -> Result<()> {
        let field = |name: &str| format!("embeds[{nth}].{name}");
        for (name, limit, text) in self.texts() {
            if text.chars().count() > limit {
                return Err(Error::invalid(field(name), format!("must have at most {limit} characters")));
            }
            let has_control =
                text.chars().any(|c| is_bidi_control(c) || c.is_control() && c != '\n' && c != '\t' && c != '\r');
            if has_control {
                return Err(Error::invalid(field(name), "cannot contain control characters"));
            }
        }
        for (name, url) in self.urls() {
            let is_web = url.starts_with("https://") || url.starts_with("http://");
            if !is_web
                || url.len() > MAX_URL_BYTES
                || url.chars().any(|c| c.is_control() || c.is_whitespace() || is_bidi_control(c))
            {
                return Err(Error::invalid(field(name), "must be an http or https URL"));
            }
        }
        if self.color.is_some_and(|color| color > 0xFF_FF_FF) {
            return Err(Error::invalid(field("color"), "must be from 0 to 16777215"));
        }
        if self.fields.len() > MAX_FIELDS {
            return Err(Error::invalid(field("fields"), format!("must be at most {MAX_FIELDS}")));
        }
        Ok(())
    }
}

/// Validates the embeds of one message, and drops those that show nothing.
pub fn validate_embeds(embeds: Vec<Embed>) -> Result<Vec<Embed>> {
    if embeds.len() > MAX_EMBEDS {
        return Err(Error::invalid("embeds", format!("must be at most {MAX_EMBEDS}")));
    }
    for (nth, embed) in embeds.iter().enumerate() {
        embed.validate(nth)?;
    }
    if embeds.iter().map(Embed::count_chars).sum::<usize>() > MAX_TOTAL_CHARS {
        return Err(Error::invalid("embeds", format!("must have at most {MAX_TOTAL_CHARS} characters in all")));
    }
    Ok(embeds.into_iter().filter(|embed| !embed.is_empty()).collect())
}
