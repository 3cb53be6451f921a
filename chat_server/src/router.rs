//! All routes of the API, in one table.

use crate::{
    AppState,
    limits::{MAX_FILE_BYTES, MAX_FILES_PER_UPLOAD, MAX_JSON_BYTES, MAX_NETWORK_BYTES},
    openapi::{Document, OperationHandler},
    request_guard::{self, RequestGuard},
    routes::{
        accounts, auth, bans, bots, bridges, channels, chats, config, events, files, inbox, invites, mail, members,
        messages, notifications, oauth, operator, presence, push, receipts, saved_messages, search, sign_up, tokens,
        users, webhook_endpoints, webhooks,
    },
};
use axum::{
    Router,
    extract::{DefaultBodyLimit, MatchedPath, Request},
    handler::Handler,
    http::Method,
    middleware,
    routing::{MethodFilter, MethodRouter, delete, get, on, patch, post},
};
use chat_core::auth::Scope;
use chat_http::{extract::buffer_body, rate_limit::RouteClass};
use serde_json::Value;
use std::{collections::HashMap, sync::Arc, time::Duration};
use tower_http::timeout::RequestBodyTimeoutLayer;

/// The routes: rate limit class, who can call it, method, path, handler and summary. The types
/// of a handler determine its input and its output.
#[rustfmt::skip]
pub fn routes() -> Routes {
    use Access::{Network, Public, SignedIn, Webhook};
    use RouteClass::{Audited, Auth, Edit, Profile, Read, Refresh, Upload, Write};
    use Scope::{
        ChatsRead, ChatsWrite, EventsRead, MessagesRead, MessagesWrite, PresenceWrite, ReactionsWrite, ReceiptsWrite,
        SearchRead, UsersRead,
    };
    const GET: Method = Method::GET;
    const POST: Method = Method::POST;
    const PUT: Method = Method::PUT;
    const PATCH: Method = Method::PATCH;
    const DELETE: Method = Method::DELETE;

    Routes::new()
        .on(Auth,    Public,         POST,   "/api/signup",                                         sign_up::signup,                "Create an account and sign in, or send a verification link by mail.")
        .on(Auth,    Public,         POST,   "/api/signup/confirmation",                            sign_up::confirm,               "Finish a sign-up with the token of a mail.")
        .on(Auth,    Public,         POST,   "/api/signin",                                         auth::signin,                   "Sign in.")
        .on(Refresh, Public,         POST,   "/api/token/refresh",                                  auth::refresh,                  "Exchange a refresh token for a new pair of tokens.")
        .on(Write,   SignedIn,       POST,   "/api/signout",                                        auth::signout,                  "Sign out.")
        .on(Read,    SignedIn,       GET,    "/api/sessions",                                       auth::list_sessions,            "List the caller's sessions.")
        .on(Write,   SignedIn,       DELETE, "/api/sessions",                                       auth::revoke_other_sessions,    "Sign out all other sessions of the caller.")
        .on(Write,   SignedIn,       DELETE, "/api/sessions/{session_id}",                          auth::revoke_session,           "Revoke one of the caller's sessions.")

        .on(Read,    UsersRead,      GET,    "/api/me",                                             users::get_me,                  "Get the caller's profile.")
        .on(Profile, SignedIn,       PATCH,  "/api/me",                                             users::update,                  "Update the caller's profile.")
        .on(Audited, SignedIn,       GET,    "/api/me/export",                                      accounts::export,               "Export the caller's data.")
        .on(Auth,    SignedIn,       DELETE, "/api/me",                                             accounts::delete,               "Delete the caller's account; messages stay under an anonymous name.")
        .on(Auth,    SignedIn,       PUT,    "/api/me/password",                                    auth::change_password,          "Change the password and sign out all other sessions.")
        .on(Auth,    Public,         POST,   "/api/password-resets",                                mail::request_password_reset,   "Send a link by mail to reset a password; the response is the same without an account.")
        .on(Auth,    Public,         POST,   "/api/password-resets/confirmation",                   mail::reset_password,           "Reset a password with the token of a mail, and sign out all devices.")
        .on(Auth,    SignedIn,       PUT,    "/api/me/email",                                       mail::request_email_change,     "Send a link by mail to the new email address of the caller, or to the current one to verify it.")
        .on(Auth,    Public,         POST,   "/api/me/email/confirmation",                          mail::confirm_email,            "Change or verify an email address with the token of a mail.")
        .on(Auth,    Public,         GET,    "/api/mail/unsubscribe",                               mail::show_unsubscribe,         "Show the page that asks whether to unsubscribe.")
        .on(Auth,    Public,         POST,   "/api/mail/unsubscribe",                               mail::unsubscribe,              "Unsubscribe with the token of a mail (RFC 8058).")
        .on(Read,    SignedIn,       GET,    "/api/tokens",                                         tokens::list,                   "List the API tokens of the caller and of the caller's bots, newest first.")
        .on(Audited, SignedIn,       POST,   "/api/tokens",                                         tokens::create,                 "Create an API token for the caller or for one of the caller's bots.")
        .on(Audited, SignedIn,       DELETE, "/api/tokens/{token_id}",                              tokens::revoke,                 "Revoke an API token, and close its streams.")
        .on(Read,    Public,         GET,    mcp_server::RESOURCE_METADATA_PATH,                    oauth::get_resource_metadata,   "Get the OAuth metadata of the MCP server (RFC 9728).")
        .on(Read,    Public,         GET,    "/.well-known/oauth-authorization-server",             oauth::get_server_metadata,     "Get the metadata of the authorization server (RFC 8414).")
        .on(Audited, SignedIn,       POST,   "/api/oauth/requests",                                 oauth::check,                   "Check an authorization request of a program.")
        .on(Audited, SignedIn,       POST,   "/api/oauth/authorizations",                           oauth::authorize,               "Authorize a program to act for the caller.")
        .on(Refresh, Public,         POST,   oauth::TOKEN_PATH,                                     oauth::issue_tokens,            "Exchange a code or a refresh token of a program for tokens (RFC 6749).")
        .on(Refresh, Public,         POST,   oauth::REVOKE_PATH,                                    oauth::revoke,                  "Revoke the tokens of a program (RFC 7009).")
        .on(Read,    SignedIn,       GET,    "/api/push/key",                                        push::get_key,                  "Get the key with which browsers subscribe to pushes.")
        .on(Read,    SignedIn,       GET,    "/api/push/subscription",                               push::get_subscription,         "Get the push subscription of the caller's device.")
        .on(Write,   SignedIn,       PUT,    "/api/push/subscription",                               push::set_subscription,         "Subscribe the caller's device to pushes; the subscription ends with the session.")
        .on(Write,   SignedIn,       PUT,    "/api/push/native-subscription",                        push::set_native_subscription,  "Subscribe the caller's device, which runs a native app, to pushes through FCM.")
        .on(Refresh, Public,         POST,   "/api/push/subscription/renewal",                       push::renew_subscription,       "Renew a push subscription that the browser replaced; the secret of the old one authorizes the request.")
        .on(Write,   SignedIn,       DELETE, "/api/push/subscription",                               push::delete_subscription,      "End the push subscription of the caller's device.")
        .on(Read,    SignedIn,       GET,    "/api/notification-settings",                          notifications::get_settings,    "Get the caller's notification settings.")
        .on(Write,   SignedIn,       PATCH,  "/api/notification-settings",                          notifications::update_settings, "Update the caller's notification settings.")
        .on(Read,    SignedIn,       GET,    "/api/inbox",                                          inbox::list,                    "List the caller's inbox, newest first: mentions, replies, reactions, and chats to which others added the caller.")
        .on(Profile, SignedIn,       PUT,    "/api/inbox/seen",                                     inbox::mark_seen,               "Mark the items of the inbox as seen, up to an item.")
        .on(Read,    SignedIn,       GET,    "/api/bots",                                           bots::list,                     "List the caller's bots.")
        .on(Audited, SignedIn,       POST,   "/api/bots",                                           bots::create,                   "Create a bot.")
        .on(Profile, SignedIn,       PATCH,  "/api/bots/{user_id}",                                 bots::update,                   "Update the profile of one of the caller's bots.")
        .on(Audited, SignedIn,       DELETE, "/api/bots/{user_id}",                                 bots::delete,                   "Delete a bot; its messages stay under an anonymous name.")
        .on(Read,    SignedIn,       GET,    "/api/webhook-endpoints",                              webhook_endpoints::list,        "List the endpoints of outgoing webhooks of the caller and of the caller's bots.")
        .on(Audited, SignedIn,       POST,   "/api/webhook-endpoints",                              webhook_endpoints::create,      "Create an endpoint, to which events are sent.")
        .on(Audited, SignedIn,       PATCH,  "/api/webhook-endpoints/{endpoint_id}",                webhook_endpoints::update,      "Change, enable or disable an endpoint.")
        .on(Audited, SignedIn,       DELETE, "/api/webhook-endpoints/{endpoint_id}",                webhook_endpoints::delete,      "Delete an endpoint.")
        .on(Audited, SignedIn,       POST,   "/api/webhook-endpoints/{endpoint_id}/secret",         webhook_endpoints::rotate_secret, "Replace the secret of an endpoint; the previous one signs too for a day.")
        .on(Profile, SignedIn,       POST,   "/api/webhook-endpoints/{endpoint_id}/test",           webhook_endpoints::test,        "Send a test event to an endpoint.")
        .on(Profile, SignedIn,       POST,   "/api/webhook-endpoints/{endpoint_id}/replay",         webhook_endpoints::replay,      "Send the events after a cursor to an endpoint again.")
        .on(Read,    SignedIn,       GET,    "/api/webhook-endpoints/{endpoint_id}/deliveries",     webhook_endpoints::list_deliveries, "List the deliveries to an endpoint, newest first.")
        .on(Profile, SignedIn,       POST,   "/api/webhook-endpoints/{endpoint_id}/deliveries/{delivery_id}/retry", webhook_endpoints::retry, "Send a delivery again, before all others that wait.")
        .on(Read,    SignedIn,       GET,    "/api/bridges",                                        bridges::list,                  "List the caller's bridges.")
        .on(Audited, SignedIn,       POST,   "/api/bridges",                                        bridges::create,                "Create a bridge to another network.")
        .on(Read,    SignedIn,       GET,    "/api/bridges/{bridge_id}",                            bridges::get,                   "Get a bridge.")
        .on(Audited, SignedIn,       PATCH,  "/api/bridges/{bridge_id}",                            bridges::update,                "Change, enable or disable a bridge.")
        .on(Audited, SignedIn,       DELETE, "/api/bridges/{bridge_id}",                            bridges::delete,                "Delete a bridge; its chats and messages stay.")
        .on(Read,    SignedIn,       GET,    "/api/bridges/{bridge_id}/chats",                      bridges::list_chats,            "List the chats that a bridge connects, newest first.")
        .on(Profile, SignedIn,       POST,   "/api/bridges/{bridge_id}/chats",                      bridges::connect_chat,          "Connect a remote user on the other network to a chat, or to a new group.")
        .on(Profile, SignedIn,       PATCH,  "/api/bridges/{bridge_id}/chats/{bridge_chat_id}",     bridges::update_chat,           "Pause a connected chat, or make it send again.")
        .on(Profile, SignedIn,       DELETE, "/api/bridges/{bridge_id}/chats/{bridge_chat_id}",     bridges::disconnect_chat,       "Disconnect a chat from its remote user; the messages stay.")
        .on(Read,    SignedIn,       GET,    "/api/bridges/{bridge_id}/failures",                   bridges::list_failures,         "List the failed deliveries of a bridge, newest first.")
        .on(Profile, SignedIn,       POST,   "/api/bridges/{bridge_id}/failures/{delivery_id}/retry", bridges::retry,               "Send a failed delivery again.")
        .on(Read,    SignedIn,       GET,    "/api/me/activity",                                    auth::list_activity,            "List the caller's sign-ins, changes of the password and of API tokens, bots, endpoints of webhooks and bridges, and exports, newest first.")
        .on(Read,    UsersRead,      GET,    "/api/users",                                          users::list,                    "List the users with the given ids.")
        .on(Read,    UsersRead,      GET,    "/api/users/search",                                   users::search,                  "Search users by the beginnings of the words of their names, and by an exact name those who share no chat with the caller.")
        .on(Read,    UsersRead,      GET,    "/api/users/directory",                                users::list_directory,          "List the people and bots of the user directory, by username.")
        .on(Read,    ChatsRead,      GET,    "/api/users/{user_id}/chats",                          users::list_shared_chats,       "List the chats that the caller shares with a user.")
        .on(Read,    UsersRead,      GET,    "/api/users/{user_id}",                                users::get,                     "Get a user.")
        .on(Read,    SignedIn,       GET,    "/api/blocks",                                         users::list_blocked,            "List blocked users.")
        .on(Write,   SignedIn,       PUT,    "/api/users/{user_id}/block",                          users::block,                   "Block a user.")
        .on(Write,   SignedIn,       DELETE, "/api/users/{user_id}/block",                          users::unblock,                 "Unblock a user.")

        .on(Write,   PresenceWrite,  PUT,    "/api/presence",                                       presence::update,               "Set the caller's status.")
        .on(Read,    UsersRead,      GET,    "/api/presence",                                       presence::list,                 "List the presence of the users with the given ids.")
        .on(Read,    UsersRead,      GET,    "/api/presence/{user_id}",                             presence::get,                  "Get the presence of a user.")

        .on(Read,    ChatsRead,      GET,    "/api/channels",                                       channels::list,                 "List public channels.")
        .on(Read,    ChatsRead,      GET,    "/api/channels/{chat_id}",                              channels::get,                  "Get a public channel.")
        .on(Write,   ChatsWrite,     POST,   "/api/chats/{chat_id}/join",                           channels::join,                 "Join a public channel.")
        .on(Write,   ChatsWrite,     POST,   "/api/chats/{chat_id}/leave",                          channels::leave,                "Leave a chat.")

        .on(Write,   ChatsWrite,     POST,   "/api/chats",                                          chats::create,                  "Create a chat.")
        .on(Read,    ChatsRead,      GET,    "/api/chats",                                          chats::list,                    "List the caller's chats, most recently active first.")
        .on(Read,    ChatsRead,      GET,    "/api/chats/{chat_id}",                                chats::get,                     "Get a chat.")
        .on(Write,   ChatsWrite,     PATCH,  "/api/chats/{chat_id}",                                chats::update,                  "Update a chat's name, description, topic or retention.")
        .on(Write,   ChatsWrite,     DELETE, "/api/chats/{chat_id}",                                chats::delete,                  "Delete a chat and everything in it.")
        .on(Write,   ChatsWrite,     PUT,    "/api/chats/{chat_id}/mute",                           notifications::mute,            "Mute a chat, for good or until a time.")
        .on(Write,   ChatsWrite,     DELETE, "/api/chats/{chat_id}/mute",                           notifications::unmute,          "Unmute a chat.")
        .on(Write,   ChatsWrite,     PUT,    "/api/chats/{chat_id}/notification-level",             notifications::set_level,       "Choose which messages of a chat notify the caller.")
        .on(Read,    SignedIn,       GET,    "/api/chats/{chat_id}/notification",                   notifications::get,             "Get the notification of a chat's unread messages, if there is one.")

        .on(Read,    ChatsRead,      GET,    "/api/chats/{chat_id}/members",                        members::list,                  "List the members of a chat, ordered by user id.")
        .on(Write,   ChatsWrite,     POST,   "/api/chats/{chat_id}/members",                        members::add,                   "Add a member.")
        .on(Audited, ChatsWrite,     PATCH,  "/api/chats/{chat_id}/members/{user_id}",              members::update,                "Change a member's role.")
        .on(Write,   ChatsWrite,     DELETE, "/api/chats/{chat_id}/members/{user_id}",              members::remove,                "Remove a member.")
        .on(Audited, ChatsWrite,     POST,   "/api/chats/{chat_id}/transfer",                       members::transfer,              "Transfer ownership of a chat.")
        .on(Read,    ChatsRead,      GET,    "/api/chats/{chat_id}/bans",                           bans::list,                     "List the bans of a chat.")
        .on(Audited, ChatsWrite,     PUT,    "/api/chats/{chat_id}/bans/{user_id}",                 bans::create,                   "Ban a user.")
        .on(Audited, ChatsWrite,     DELETE, "/api/chats/{chat_id}/bans/{user_id}",                 bans::delete,                   "Unban a user.")
        .on(Write,   ChatsWrite,     POST,   "/api/chats/{chat_id}/invites",                        invites::create,                "Create an invite.")
        .on(Audited, SignedIn,       POST,   "/api/chats/{chat_id}/invitations",                    invites::send,                  "Invite somebody to a chat by mail.")
        .on(Read,    ChatsRead,      GET,    "/api/chats/{chat_id}/invites",                        invites::list,                  "List the active invites of a chat.")
        .on(Write,   ChatsWrite,     DELETE, "/api/chats/{chat_id}/invites/{code}",                 invites::revoke,                "Revoke an invite.")
        .on(Read,    ChatsRead,      GET,    "/api/chats/{chat_id}/webhooks",                       webhooks::list,                 "List the webhooks of a chat.")
        .on(Audited, SignedIn,       POST,   "/api/chats/{chat_id}/webhooks",                       webhooks::create,               "Create a webhook, to which programs post messages.")
        .on(Profile, SignedIn,       PATCH,  "/api/chats/{chat_id}/webhooks/{webhook_id}",          webhooks::update,               "Change the name, the avatar and the secret of GitHub of a webhook.")
        .on(Audited, SignedIn,       POST,   "/api/chats/{chat_id}/webhooks/{webhook_id}/token",    webhooks::renew,                "Replace the URL of a webhook.")
        .on(Audited, SignedIn,       DELETE, "/api/chats/{chat_id}/webhooks/{webhook_id}",          webhooks::delete,               "Delete a webhook; its messages stay.")
        .on(Read,    ChatsRead,      GET,    "/api/chats/{chat_id}/bridges",                        bridges::list_for_chat,         "List the bridges of a chat, and the messages that did not arrive.")
        .on(Write,   MessagesWrite,  POST,   "/api/chats/{chat_id}/templates",                      bridges::send_template,         "Send a template of another network.")
        .on(RouteClass::Webhook, Network, GET, "/in/whatsapp/{bridge_id}",                          bridges::verify_whatsapp,       "Verify the URL of the webhook of a bridge.")
        .on(RouteClass::Webhook, Network, POST, "/in/whatsapp/{bridge_id}",                         bridges::receive_whatsapp,      "Receive a webhook of WhatsApp.")
        .on(RouteClass::Webhook, Network, POST, "/in/google-chat/{bridge_id}/{webhook_token}",      bridges::receive_google_chat,   "Receive an event of Google Chat or of Google Pub/Sub.")
        .on(Read,    ChatsRead,      GET,    "/api/invites/{code}",                                 invites::preview,               "Preview an invite.")
        .on(Read,    Public,         GET,    "/api/invites/{code}/summary",                         invites::summarize,             "Summarize an invite, without an account.")
        .on(Write,   ChatsWrite,     POST,   "/api/invites/{code}",                                 invites::accept,                "Accept an invite.")

        .on(Write,   MessagesWrite,  POST,   "/api/chats/{chat_id}/messages",                       messages::create,               "Send a message; a repeated nonce returns the first message.")
        .on(Read,    MessagesRead,   GET,    "/api/chats/{chat_id}/messages",                       messages::list,                 "List the messages of a chat, newest first.")
        .on(Read,    MessagesRead,   GET,    "/api/chats/{chat_id}/pins",                           messages::list_pins,            "List the pinned messages of a chat, most recently pinned first.")
        .on(Write,   ReceiptsWrite,  PUT,    "/api/chats/{chat_id}/read",                           receipts::mark_read,            "Mark all messages up to a message as read.")
        .on(Write,   ReceiptsWrite,  PUT,    "/api/chats/{chat_id}/unread",                          receipts::mark_unread,          "Mark a message and all after it as unread, only for the caller.")
        .on(Write,   ReceiptsWrite,  PUT,    "/api/chats/{chat_id}/delivered",                      receipts::mark_delivered,       "Mark all messages up to a message as delivered.")
        .on(Write,   PresenceWrite,  POST,   "/api/chats/{chat_id}/typing",                         presence::notify_typing,        "Send a typing indicator.")
        .on(Read,    MessagesRead,   GET,    "/api/messages/{message_id}",                          messages::get,                  "Get a message.")
        .on(Edit,    MessagesWrite,  PATCH,  "/api/messages/{message_id}",                          messages::update,               "Edit a message.")
        .on(Write,   MessagesWrite,  DELETE, "/api/messages/{message_id}",                          messages::delete,               "Delete a message.")
        .on(Read,    MessagesRead,   GET,    "/api/messages/{message_id}/edits",                    messages::list_revisions,       "List the revisions of a message.")
        .on(Read,    MessagesRead,   GET,    "/api/messages/{message_id}/replies",                  messages::list_replies,         "List the replies to a message, newest first.")
        .on(Read,    MessagesRead,   GET,    "/api/messages/{message_id}/receipts",                 messages::list_receipts,        "List the receipts of one of the caller's messages.")
        .on(Read,    MessagesRead,   GET,    "/api/messages/{message_id}/reactions/{emoji}",        messages::list_reacting_users,  "List the users who reacted with an emoji.")
        .on(Write,   ReactionsWrite, PUT,    "/api/messages/{message_id}/reactions/{emoji}",        messages::react,                "Add a reaction.")
        .on(Write,   ReactionsWrite, DELETE, "/api/messages/{message_id}/reactions/{emoji}",        messages::unreact,              "Remove a reaction.")
        .on(Write,   MessagesWrite,  PUT,    "/api/messages/{message_id}/pin",                      messages::pin,                  "Pin a message.")
        .on(Write,   MessagesWrite,  DELETE, "/api/messages/{message_id}/pin",                      messages::unpin,                "Unpin a message.")
        .on(Write,   SignedIn,       PUT,    "/api/messages/{message_id}/saved",                    saved_messages::save,           "Save a message for later.")
        .on(Write,   SignedIn,       DELETE, "/api/messages/{message_id}/saved",                    saved_messages::unsave,         "Unsave a message.")
        .on(Read,    SignedIn,       GET,    "/api/saved-messages",                                 saved_messages::list,           "List the messages that the caller has saved, the last saved first.")
        .on(RouteClass::Webhook, Webhook, POST, "/api/webhooks/{webhook_id}/{webhook_token}",       webhooks::post,                 "Post a message to a webhook, in Discord's format.")
        .on(RouteClass::Webhook, Webhook, GET, "/api/webhooks/{webhook_id}/{webhook_token}",        webhooks::get,                  "Get the webhook of a URL.")
        .on(RouteClass::Webhook, Webhook, POST, "/api/webhooks/{webhook_id}/{webhook_token}/slack", webhooks::post_slack,           "Post a message to a webhook, in Slack's format.")
        .on(RouteClass::Webhook, Webhook, POST, "/api/webhooks/{webhook_id}/{webhook_token}/github", webhooks::post_github,         "Post an event of GitHub to a webhook.")
        .on(RouteClass::Webhook, Webhook, GET, "/api/webhooks/{webhook_id}/{webhook_token}/messages/{message_id}", webhooks::get_message, "Get a message of a webhook.")
        .on(RouteClass::Webhook, Webhook, PATCH, "/api/webhooks/{webhook_id}/{webhook_token}/messages/{message_id}", webhooks::update_message, "Edit a message of a webhook.")
        .on(RouteClass::Webhook, Webhook, DELETE, "/api/webhooks/{webhook_id}/{webhook_token}/messages/{message_id}", webhooks::delete_message, "Delete a message of a webhook.")
        .with_webhook_aliases()

        .on(Read,    SearchRead,     GET,    "/api/search",                                         search::messages,               "Search messages, best match first.")

        .on(Upload,  MessagesWrite,  POST,   "/api/upload",                                         files::upload,                  "Upload files; a file is private until a message attaches it.")
        .on(Read,    MessagesRead,   GET,    "/api/files/{file_id}",                                files::download,                "Download a file.")
        .on(Read,    Public,         GET,    "/api/files/{file_id}/shared",                         files::download_shared,         "Download a file with a link that a bridge sent to another network.")
        .on(Read,    MessagesRead,   GET,    "/api/files/{file_id}/thumbnail",                      files::download_thumbnail,      "Download the thumbnail of an image.")

        .on(Read,    SignedIn,       GET,    "/api/operator/users",                                 operator::list_users,           "List users, as an operator.")
        .on(Write,   SignedIn,       PUT,    "/api/operator/users/{user_id}/suspension",            operator::suspend,              "Suspend an account.")
        .on(Write,   SignedIn,       DELETE, "/api/operator/users/{user_id}/suspension",            operator::end_suspension,       "End the suspension of an account.")
        .on(Write,   SignedIn,       PUT,    "/api/operator/users/{user_id}/approval",              operator::approve,              "Approve an account that waits for it.")
        .on(Write,   SignedIn,       DELETE, "/api/operator/users/{user_id}/approval",              operator::reject,               "Reject an account that waits for approval, and delete it.")
        .on(Write,   SignedIn,       DELETE, "/api/operator/users/{user_id}/sessions",              operator::end_sessions,         "Sign a user out everywhere.")
        .on(Write,   SignedIn,       DELETE, "/api/operator/users/{user_id}/profile",               operator::remove_profile,       "Remove a user's display name, bio and avatar.")
        .on(Write,   SignedIn,       DELETE, "/api/operator/messages/{message_id}",                 operator::remove_message,       "Delete a message of any chat.")
        .on(Write,   SignedIn,       DELETE, "/api/operator/chats/{chat_id}",                       operator::remove_chat,          "Delete any chat with everything in it.")
        .on(Read,    SignedIn,       GET,    "/api/operator/default-channels",                      operator::list_default_channels, "List the default channels, which new users join.")
        .on(Write,   SignedIn,       PUT,    "/api/operator/default-channels/{chat_id}",            operator::add_default_channel,  "Add a default channel.")
        .on(Write,   SignedIn,       DELETE, "/api/operator/default-channels/{chat_id}",            operator::remove_default_channel, "Remove a default channel.")
        .on(Read,    SignedIn,       GET,    "/api/operator/audit",                                 operator::list_audit,           "List the audit log, newest first.")

        .on(Read,    EventsRead,     GET,    "/api/bootstrap",                                      events::bootstrap,              "Get the initial state, and the cursor to resume from.")
        .on(Read,    EventsRead,     GET,    "/api/events",                                         events::list,                   "List the events after a cursor.")
        .on(Write,   EventsRead,     POST,   "/api/events/ticket",                                  events::create_ticket,          "Create a single-use ticket for an event stream.")
        .on(Read,    Public,         GET,    "/api/config",                                         config::get,                    "Get the server's name, limits and features.")
}

/// Adds the routes of webhooks under a path of Discord's API.
macro_rules! add_webhook_aliases {
    ($routes:ident, $($api:literal),*) => {
        $routes$(
            .with_webhook_alias(Method::POST, concat!($api, "/webhooks/{webhook_id}/{webhook_token}"), post(webhooks::post))
            .with_webhook_alias(Method::GET, concat!($api, "/webhooks/{webhook_id}/{webhook_token}"), get(webhooks::get))
            .with_webhook_alias(
                Method::GET,
                concat!($api, "/webhooks/{webhook_id}/{webhook_token}/messages/{message_id}"),
                get(webhooks::get_message),
            )
            .with_webhook_alias(
                Method::PATCH,
                concat!($api, "/webhooks/{webhook_id}/{webhook_token}/messages/{message_id}"),
                patch(webhooks::update_message),
            )
            .with_webhook_alias(
                Method::DELETE,
                concat!($api, "/webhooks/{webhook_id}/{webhook_token}/messages/{message_id}"),
                delete(webhooks::delete_message),
            )
        )*
    };
}

/// How long a body may pause before the request fails.
const BODY_TIMEOUT: Duration = Duration::from_secs(20);

/// Maximum size of an upload, in bytes. JSON bodies have another limit (`buffer_body`).
const MAX_UPLOAD_BYTES: usize = MAX_FILE_BYTES as usize * MAX_FILES_PER_UPLOAD + MAX_JSON_BYTES;

/// Who can call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Public,
    /// Users who have signed in, but no API token.
    SignedIn,
    /// Users who have signed in, and API tokens with this scope.
    Scope(Scope),
    /// Programs that know the URL of a webhook.
    Webhook,
    /// Other networks, whose requests contain a secret that the handler verifies.
    Network,
}

impl From<Scope> for Access {
    fn from(scope: Scope) -> Self {
        Self::Scope(scope)
    }
}

/// One route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path, with parameters in braces.
    pub path: &'static str,
    /// Who can call it.
    pub access: Access,
}

/// A router, with the list, the classes and the description of its routes.
pub struct Routes {
    router: Router<Arc<AppState>>,
    list: Vec<Route>,
    table: RouteTable,
    document: Document,
}

impl Routes {
    fn new() -> Self {
        Self { router: Router::new(), list: Vec::new(), table: RouteTable::default(), document: Document::new() }
    }

    fn on<H, T, A>(
        mut self,
        class: RouteClass,
        access: impl Into<Access>,
        method: Method,
        path: &'static str,
        handler: H,
        summary: &str,
    ) -> Self
    where
        H: Handler<T, Arc<AppState>> + OperationHandler<A>,
        T: 'static,
    {
        let access = access.into();
        let filter = MethodFilter::try_from(method.clone()).expect("MethodFilter supports the methods above");
        self.router = self.router.route(path, on(filter, handler));
        let is_private = self.document.add::<H, A>(&method, path, summary, access);
        let needs_caller = matches!(access, Access::SignedIn | Access::Scope(_));
        assert_eq!(is_private, needs_caller, "{method} {path}: exactly the routes for users take a `Caller`");
        self.table.insert(method.clone(), path, RouteInfo { class, access });
        self.list.push(Route { method, path, access });
        self
    }

    /// Adds the routes of webhooks under the versions of Discord's API that its clients use, and
    /// at the path that clients of Mattermost append.
    fn with_webhook_aliases(self) -> Self {
        let mattermost = "/api/webhooks/{webhook_id}/hooks/{webhook_token}";
        add_webhook_aliases!(self, "/api/v9", "/api/v10").with_webhook_alias(
            Method::POST,
            mattermost,
            post(webhooks::post_slack),
        )
    }

    /// Adds a route of webhooks at another path too, at which clients expect it.
    fn with_webhook_alias(mut self, method: Method, path: &'static str, handler: MethodRouter<Arc<AppState>>) -> Self {
        self.router = self.router.route(path, handler);
        self.table.insert(method, path, RouteInfo { class: RouteClass::Webhook, access: Access::Webhook });
        self
    }

    /// The routes in order.
    pub fn list(&self) -> &[Route] {
        &self.list
    }

    pub(crate) fn into_document(self) -> Value {
        self.document.finish()
    }

    pub(crate) fn into_router(self, state: Arc<AppState>) -> Router {
        let guard = Arc::new(RequestGuard { routes: self.table, state: Arc::clone(&state) });
        self.router
            .layer(middleware::from_fn(|request: Request, next| {
                let is_of_network = request.uri().path().starts_with("/in/");
                buffer_body(if is_of_network { MAX_NETWORK_BYTES } else { MAX_JSON_BYTES }, request, next)
            }))
            .layer(DefaultBodyLimit::max(MAX_UPLOAD_BYTES))
            .layer(RequestBodyTimeoutLayer::new(BODY_TIMEOUT))
            .layer(middleware::from_fn_with_state(guard, request_guard::guard))
            .with_state(state)
    }
}

/// What the guard of requests knows of a route.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RouteInfo {
    pub(crate) class: RouteClass,
    pub(crate) access: Access,
}

/// The routes by path pattern and method.
#[derive(Debug, Default)]
pub(crate) struct RouteTable(HashMap<&'static str, Vec<(Method, RouteInfo)>>);

impl RouteTable {
    fn insert(&mut self, method: Method, path: &'static str, info: RouteInfo) {
        self.0.entry(path).or_default().push((method, info));
    }

    /// Finds the route of a request.
    pub(crate) fn find(&self, request: &Request) -> Option<RouteInfo> {
        let path = request.extensions().get::<MatchedPath>()?;
        // The routes of GET also serve HEAD.
        let method = if *request.method() == Method::HEAD { &Method::GET } else { request.method() };
        let mut routes = self.0.get(path.as_str())?.iter();
        routes.find(|(of, _)| of == method).map(|(_, info)| *info)
    }
}
