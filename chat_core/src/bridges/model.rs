//! The types of bridges, as the API describes them.

use crate::{
    BridgeChatId, BridgeId, ChatId, DeliveryId, Error, MessageId, Result, Time, UserId,
    values::{
        BridgeName, CredentialText, DisplayName, PhoneNumber, ProjectNumber, RemoteAccountId, ServiceAccountKeyText,
        SpaceName,
    },
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Maximum number of people who are added to the chat of a new remote user.
pub(super) const MAX_AGENTS: usize = 20;

/// A network to which bridges lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[schemars(rename = "BridgeNetwork")]
pub enum Network {
    /// WhatsApp, by the Business Cloud API.
    Whatsapp,
    /// Google Chat, by a Chat app.
    GoogleChat,
}

impl Network {
    /// The name that people know.
    pub fn title(self) -> &'static str {
        match self {
            Self::Whatsapp => "WhatsApp",
            Self::GoogleChat => "Google Chat",
        }
    }

    /// The name in paths and usernames.
    pub(super) fn slug(self) -> &'static str {
        match self {
            Self::Whatsapp => "whatsapp",
            Self::GoogleChat => "google-chat",
        }
    }
}

/// Whether a bridge works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum BridgeState {
    /// The network has not confirmed the credentials yet.
    Connecting,
    /// It relays messages.
    Connected,
    /// The network refuses the account. Messages wait until the owner has changed the bridge.
    Stopped,
    /// It is disabled; messages are not relayed.
    Disabled,
}

/// When the remote user is told that their messages were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReadReceipts {
    /// When the first member has read them.
    First,
    /// When the owner of the bridge has read them.
    Owner,
    /// Never.
    Never,
}

/// The account of a business at WhatsApp, with its secrets.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWhatsappAccount {
    /// The id of the phone number.
    pub phone_number_id: RemoteAccountId,
    /// The id of the WhatsApp Business Account, which has the templates.
    pub business_account_id: RemoteAccountId,
    /// The token of a system user.
    pub access_token: CredentialText,
    /// The app secret, which signs webhooks.
    pub app_secret: CredentialText,
}

/// A Chat app at Google, with its key.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewGoogleChatAccount {
    /// The number of the Google Cloud project of the app.
    pub project_number: ProjectNumber,
    /// The key file of the service account of the app, in JSON.
    pub service_account_key: ServiceAccountKeyText,
}

/// A bridge to be created, with an account at one network.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBridge {
    /// The name that its owner sees.
    pub name: BridgeName,
    /// The account at WhatsApp.
    pub whatsapp: Option<NewWhatsappAccount>,
    /// The app at Google Chat.
    pub google_chat: Option<NewGoogleChatAccount>,
    /// The users who are added to the chat of a new remote user, besides the owner.
    #[serde(default)]
    #[schemars(length(max = MAX_AGENTS))]
    pub member_ids: Vec<UserId>,
}

/// New secrets of the account at WhatsApp; absent ones stay.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WhatsappSecretsPatch {
    /// The token of a system user.
    pub access_token: Option<CredentialText>,
    /// The app secret, which signs webhooks.
    pub app_secret: Option<CredentialText>,
}

/// Changes of a Chat app at Google; absent fields stay unchanged.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GoogleChatPatch {
    /// The number of the Google Cloud project of the app.
    pub project_number: Option<ProjectNumber>,
    /// A new key file of the same service account, in JSON.
    pub service_account_key: Option<ServiceAccountKeyText>,
}

/// Changes to a bridge; absent fields stay unchanged.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BridgePatch {
    /// The name that its owner sees.
    pub name: Option<BridgeName>,
    /// New secrets of the account at WhatsApp.
    pub whatsapp: Option<WhatsappSecretsPatch>,
    /// Changes of the app at Google Chat.
    pub google_chat: Option<GoogleChatPatch>,
    /// The users who are added to the chat of a new remote user, besides the owner.
    #[schemars(length(max = MAX_AGENTS))]
    pub member_ids: Option<Vec<UserId>>,
    /// When the remote user is told that their messages were read.
    pub read_receipts: Option<ReadReceipts>,
    /// Whether messages begin with the name of their sender.
    pub shows_names: Option<bool>,
    /// Whether messages of bots are relayed.
    pub relays_bots: Option<bool>,
    /// Whether an edit is sent as a new message, because the network has none.
    pub sends_edits: Option<bool>,
    /// Whether messages are relayed. True also makes a stopped bridge try again.
    pub is_enabled: Option<bool>,
}

/// The account at WhatsApp, without its secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WhatsappSettings {
    /// The id of the phone number.
    pub phone_number_id: RemoteAccountId,
    /// The id of the WhatsApp Business Account.
    pub business_account_id: RemoteAccountId,
}

/// The Chat app at Google, without its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GoogleChatSettings {
    /// The number of the Google Cloud project.
    pub project_number: ProjectNumber,
    /// The e-mail address of the service account.
    pub service_account: String,
}

/// What the owner of a bridge chose, without secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BridgeSettings {
    /// The account at WhatsApp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whatsapp: Option<WhatsappSettings>,
    /// The app at Google Chat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub google_chat: Option<GoogleChatSettings>,
    /// The users who are added to a new chat, besides the owner.
    pub member_ids: Vec<UserId>,
    /// When the remote user is told that their messages were read.
    pub read_receipts: ReadReceipts,
    /// Whether messages begin with the name of their sender.
    pub shows_names: bool,
    /// Whether messages of bots are relayed.
    pub relays_bots: bool,
    /// Whether an edit is sent as a new message to a network that has none.
    pub sends_edits: bool,
}

/// The secrets of an account.
#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum BridgeSecrets {
    /// At WhatsApp.
    Whatsapp(WhatsappSecrets),
    /// At Google.
    GoogleChat(GoogleChatSecrets),
}

/// The secrets of an account at WhatsApp.
#[derive(Clone, Serialize, Deserialize)]
pub struct WhatsappSecrets {
    /// The token of a system user.
    pub access_token: CredentialText,
    /// The app secret, which signs webhooks.
    pub app_secret: CredentialText,
    /// The token with which the network verifies the URL of the webhook.
    pub verify_token: String,
}

/// The secrets of an app at Google Chat.
#[derive(Clone, Serialize, Deserialize)]
pub struct GoogleChatSecrets {
    /// The key of its service account.
    pub key: ServiceAccountKey,
    /// The secret part of the URL of its webhook: tokens of Google do not say from which app they are.
    pub webhook_token: String,
}

/// The part of the key file of a service account that is needed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceAccountKey {
    /// The e-mail address of the service account.
    pub client_email: String,
    /// The private key: RSA, PKCS#8 in PEM.
    pub private_key: String,
    /// The id of the key.
    pub private_key_id: String,
}

impl BridgeSecrets {
    /// The secrets of an account at WhatsApp.
    pub fn whatsapp(&self) -> Result<&WhatsappSecrets> {
        match self {
            Self::Whatsapp(secrets) => Ok(secrets),
            Self::GoogleChat(_) => Err(Error::NotFound("bridge")),
        }
    }

    /// The secrets of an app at Google Chat.
    pub fn google_chat(&self) -> Result<&GoogleChatSecrets> {
        match self {
            Self::GoogleChat(secrets) => Ok(secrets),
            Self::Whatsapp(_) => Err(Error::NotFound("bridge")),
        }
    }
}

impl std::fmt::Debug for BridgeSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BridgeSecrets(…)")
    }
}

/// What the network reported about the account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BridgeProfile {
    /// The phone number at WhatsApp, as the network writes it.
    #[serde(default)]
    pub phone_number: Option<String>,
    /// The name that remote users see, or the service account.
    pub name: String,
    /// The spaces of Google Chat to which the app was added, at most 1,000.
    #[serde(default)]
    pub spaces: Vec<RemoteSpace>,
}

/// A space of Google Chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RemoteSpace {
    /// Its name in the API of Google, such as `spaces/AAAABBBB`.
    pub name: String,
    /// The name that people see; null if it has none, such as a direct message.
    pub title: Option<String>,
    /// Whether it is a direct message of one person and the app.
    pub is_direct: bool,
}

/// A template: a message that the network has approved, and that can be sent at any time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Template {
    /// The name.
    pub name: String,
    /// The language, such as `en_US`.
    pub language: String,
    /// The text, with the parameters `{{1}}`, `{{2}}` …
    pub body: String,
    /// The number of parameters.
    pub parameter_count: usize,
}

impl Template {
    /// Fills in the parameters.
    pub fn fill_in(&self, parameters: &[String]) -> String {
        let (mut text, mut rest) = (String::new(), self.body.as_str());
        // In one pass, so that a value is never taken for another parameter.
        while let Some((before, after)) = rest.split_once("{{") {
            text.push_str(before);
            let value = after.split_once("}}").and_then(|(number, after)| {
                let index = number.parse::<usize>().ok()?.checked_sub(1)?;
                Some((parameters.get(index)?, after))
            });
            rest = match value {
                Some((value, after)) => {
                    text.push_str(value);
                    after
                }
                None => {
                    text.push_str("{{");
                    after
                }
            };
        }
        text + rest
    }
}

/// A bridge, as its owner sees it.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Bridge {
    /// The id.
    pub id: BridgeId,
    /// The network.
    pub network: Network,
    /// The name that its owner sees.
    pub name: String,
    /// What the owner chose.
    pub settings: BridgeSettings,
    /// What the network told of the account; null until it is connected.
    pub profile: Option<BridgeProfile>,
    /// The templates that the network has approved.
    pub templates: Vec<Template>,
    /// Whether it works.
    pub state: BridgeState,
    /// Why it is stopped or disabled.
    pub state_detail: Option<String>,
    /// When the state last changed.
    pub state_changed_at: Time,
    /// The path of the webhook to which the network sends: it follows the public URL of the
    /// server. That of Google Chat contains a secret.
    pub webhook_path: String,
    /// The token with which WhatsApp verifies the webhook; null for another network, and if the
    /// server cannot open it.
    pub verify_token: Option<String>,
    /// The number of received webhooks that could not be processed.
    pub failed_webhooks: i64,
    /// When it was created.
    pub created_at: Time,
}

/// A chat to be connected to a remote user, or to a space.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBridgeChat {
    /// The phone number of the remote user at WhatsApp, with the code of the country.
    pub phone: Option<PhoneNumber>,
    /// The space of Google Chat: one of those to which the app was added.
    pub space: Option<SpaceName>,
    /// The name of the remote user or of the space; the phone number, or the name of the space, if
    /// absent.
    pub name: Option<DisplayName>,
    /// The group or channel to connect; a new group if absent.
    pub chat_id: Option<ChatId>,
}

/// A chat that a bridge connects to a remote user.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, sqlx::FromRow)]
pub struct BridgeChat {
    /// The id.
    pub id: BridgeChatId,
    /// The bridge.
    pub bridge_id: BridgeId,
    /// The chat.
    pub chat_id: ChatId,
    /// The user who stands for the remote user, or for the space.
    pub ghost_id: UserId,
    /// The key of the other side: of the remote user, or of the space.
    pub remote_key: String,
    /// Whether the other side is a space with several people.
    pub is_space: bool,
    /// Which events a bridge to Google Chat may read; null until it is known, and for other networks.
    pub event_access: Option<EventAccess>,
    /// The phone number of the remote user, in digits; null if it is unknown.
    pub phone: Option<String>,
    /// Until when the network accepts messages that are not templates; null before the first
    /// message of the remote user.
    pub window_until: Option<Time>,
    /// Why nothing is sent; null while messages are sent.
    pub paused_reason: Option<PausedReason>,
    /// When it was connected.
    pub created_at: Time,
}

/// Which events of a space Google Chat lets a bridge read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum EventAccess {
    /// Messages, their changes, and reactions.
    Everything,
    /// Messages and their changes.
    Messages,
    /// Only messages that mention the app, and direct messages.
    Mentions,
}

/// Why a bridge does not send to a remote user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum PausedReason {
    /// The owner of the bridge paused it.
    Owner,
    /// More than 40 messages that were written in a minute: two programs may answer each other.
    TooManyMessages,
    /// The same text five times in a row from one sender, within a minute.
    RepeatedMessage,
    /// The app was removed from the space.
    Removed,
}

impl PausedReason {
    /// The name, as the API writes it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::TooManyMessages => "too_many_messages",
            Self::RepeatedMessage => "repeated_message",
            Self::Removed => "removed",
        }
    }
}

/// Changes to a chat that a bridge connects.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BridgeChatPatch {
    /// Whether messages wait. False makes a paused chat send again.
    pub is_paused: bool,
}

/// How far a message got on the other network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum RelayState {
    /// The network has accepted it.
    Sent,
    /// It reached a device of the remote user.
    Delivered,
    /// The remote user has read it.
    Read,
    /// It will not arrive.
    Failed,
}

/// A message that did not arrive on the other network.
#[derive(Debug, Serialize, Deserialize, JsonSchema, sqlx::FromRow)]
pub struct FailedRelay {
    /// The message.
    pub message_id: MessageId,
    /// Why.
    pub error: Option<String>,
}

/// What a network can do with messages that Confab sent.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
pub struct BridgeCapabilities {
    /// Whether a message can be changed. If not, an edit can be sent as a new message.
    pub edits: bool,
    /// Whether a message can be withdrawn.
    pub deletes: bool,
    /// Whether the remote user sees reactions.
    pub reactions: bool,
    /// Whether each member has a reaction of their own. If not, the remote user sees only the last.
    pub member_reactions: bool,
    /// Whether the network tells that a message was delivered and read.
    pub receipts: bool,
    /// Whether the network accepts messages only for a day after the last one of the remote user,
    /// except templates.
    pub needs_templates: bool,
}

impl Network {
    /// What the network can do.
    pub fn capabilities(self) -> BridgeCapabilities {
        match self {
            Self::Whatsapp => BridgeCapabilities {
                edits: false,
                deletes: false,
                reactions: true,
                member_reactions: false,
                receipts: true,
                needs_templates: true,
            },
            Self::GoogleChat => BridgeCapabilities {
                edits: true,
                deletes: true,
                reactions: false,
                member_reactions: false,
                receipts: false,
                needs_templates: false,
            },
        }
    }
}

/// A bridge of a chat, as a member of the chat sees it.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ChatBridge {
    /// The connected chat.
    #[serde(flatten)]
    pub chat: BridgeChat,
    /// The network.
    pub network: Network,
    /// Whether the bridge is the caller's.
    pub is_own: bool,
    /// Whether the bridge works.
    pub state: BridgeState,
    /// What the network can do.
    pub capabilities: BridgeCapabilities,
    /// The templates that can be sent.
    pub templates: Vec<Template>,
    /// The last messages that did not arrive, newest first, at most 100.
    pub failed: Vec<FailedRelay>,
}

/// A template to be sent.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TemplateMessage {
    /// The bridge.
    pub bridge_id: BridgeId,
    /// The name of the template.
    #[schemars(length(max = 512))]
    pub name: String,
    /// The language of the template.
    #[schemars(length(max = 16))]
    pub language: String,
    /// The values of its parameters, in order.
    #[serde(default)]
    #[schemars(length(max = 20))]
    pub parameters: Vec<String>,
    /// Makes the send idempotent, as for other messages.
    pub nonce: Option<crate::values::Nonce>,
}

/// A delivery that failed.
#[derive(Debug, Serialize, Deserialize, JsonSchema, sqlx::FromRow)]
pub struct FailedDelivery {
    /// The id.
    pub id: DeliveryId,
    /// The chat.
    pub chat_id: ChatId,
    /// The message; null if it is another event.
    pub message_id: Option<MessageId>,
    /// The type of the event.
    pub event_type: String,
    /// When it was accepted or given up.
    pub settled_at: Time,
    /// Why.
    pub error: Option<String>,
}
