//! All routes of the API, in one table.

use crate::{
    AppState,
    body_guard::{self, BodyGuard, RouteTable},
    limits::{MAX_FILE_BYTES, MAX_FILES_PER_UPLOAD, MAX_JSON_BYTES},
    openapi::{Document, OperationHandler},
    routes::{
        accounts, auth, bans, channels, chats, config, events, files, invites, members, messages, operator, presence,
        receipts, search, users,
    },
};
use axum::{
    Router,
    extract::DefaultBodyLimit,
    handler::Handler,
    http::Method,
    middleware,
    routing::{MethodFilter, on},
};
use chat_core::auth::Verifier;
use chat_http::{
    extract::buffer_body,
    rate_limit::{RouteClass, RouteClasses},
};
use serde_json::Value;
use std::{sync::Arc, time::Duration};
use tower_http::timeout::RequestBodyTimeoutLayer;

/// The routes: rate limit class, method, path, handler and summary. The types of a
/// handler determine whether the route requires a token, its input and its output.
#[rustfmt::skip]
pub fn routes() -> Routes {
    use RouteClass::{Audited, Auth, Edit, Profile, Read, Refresh, Upload, Write};
    const GET: Method = Method::GET;
    const POST: Method = Method::POST;
    const PUT: Method = Method::PUT;
    const PATCH: Method = Method::PATCH;
    const DELETE: Method = Method::DELETE;

    Routes::new()
        .on(Auth,   POST,   "/api/signup",                                  auth::signup,              "Create an account and sign in.")
        .on(Auth,   POST,   "/api/signin",                                  auth::signin,              "Sign in.")
        .on(Refresh, POST,  "/api/token/refresh",                           auth::refresh,             "Exchange a refresh token for a new pair of tokens.")
        .on(Write,  POST,   "/api/signout",                                 auth::signout,             "Sign out.")
        .on(Read,   GET,    "/api/sessions",                                auth::list_sessions,       "List the caller's sessions.")
        .on(Write,  DELETE, "/api/sessions",                                auth::revoke_other_sessions, "Sign out all other sessions of the caller.")
        .on(Write,  DELETE, "/api/sessions/{session_id}",                   auth::revoke_session,      "Revoke one of the caller's sessions.")

        .on(Read,   GET,    "/api/me",                                      users::get_me,             "Get the caller's profile.")
        .on(Profile, PATCH, "/api/me",                                      users::update,             "Update the caller's profile.")
        .on(Audited, GET,    "/api/me/export",                               accounts::export,          "Export the caller's data.")
        .on(Auth,   DELETE, "/api/me",                                      accounts::delete,          "Delete the caller's account; messages stay under an anonymous name.")
        .on(Auth,   PUT,    "/api/me/password",                             auth::change_password,     "Change the password and sign out all other sessions.")
        .on(Read,   GET,    "/api/me/activity",                             auth::list_activity,       "List the caller's sign-ins, changes of the password and exports, newest first.")
        .on(Read,   GET,    "/api/users",                                   users::list,               "List the users with the given ids.")
        .on(Read,   GET,    "/api/users/search",                            users::search,             "Search users by the beginnings of the words of their names, and by an exact name those who share no chat with the caller.")
        .on(Read,   GET,    "/api/users/{user_id}",                         users::get,                "Get a user.")
        .on(Read,   GET,    "/api/blocks",                                  users::list_blocked,       "List blocked users.")
        .on(Write,  PUT,    "/api/users/{user_id}/block",                   users::block,              "Block a user.")
        .on(Write,  DELETE, "/api/users/{user_id}/block",                   users::unblock,            "Unblock a user.")

        .on(Write,  PUT,    "/api/presence",                                presence::update,          "Set the caller's status.")
        .on(Read,   GET,    "/api/presence",                                presence::list,            "List the presence of the users with the given ids.")
        .on(Read,   GET,    "/api/presence/{user_id}",                      presence::get,             "Get the presence of a user.")

        .on(Read,   GET,    "/api/channels",                                channels::list,            "List public channels.")
        .on(Write,  POST,   "/api/chats/{chat_id}/join",                    channels::join,            "Join a public channel.")
        .on(Write,  POST,   "/api/chats/{chat_id}/leave",                   channels::leave,           "Leave a chat.")

        .on(Write,  POST,   "/api/chats",                                   chats::create,             "Create a chat.")
        .on(Read,   GET,    "/api/chats",                                   chats::list,               "List the caller's chats, most recently active first.")
        .on(Read,   GET,    "/api/chats/{chat_id}",                         chats::get,                "Get a chat.")
        .on(Write,  PATCH,  "/api/chats/{chat_id}",                         chats::update,             "Update a chat's name, description, topic or retention.")
        .on(Write,  DELETE, "/api/chats/{chat_id}",                         chats::delete,             "Delete a chat and everything in it.")
        .on(Write,  PUT,    "/api/chats/{chat_id}/mute",                    chats::mute,               "Mute a chat.")
        .on(Write,  DELETE, "/api/chats/{chat_id}/mute",                    chats::unmute,             "Unmute a chat.")

        .on(Read,   GET,    "/api/chats/{chat_id}/members",                 members::list,             "List the members of a chat, ordered by user id.")
        .on(Write,  POST,   "/api/chats/{chat_id}/members",                 members::add,              "Add a member.")
        .on(Audited, PATCH,  "/api/chats/{chat_id}/members/{user_id}",       members::update,           "Change a member's role.")
        .on(Write,  DELETE, "/api/chats/{chat_id}/members/{user_id}",       members::remove,           "Remove a member.")
        .on(Audited, POST,   "/api/chats/{chat_id}/transfer",                members::transfer,         "Transfer ownership of a chat.")
        .on(Read,   GET,    "/api/chats/{chat_id}/bans",                    bans::list,                "List the bans of a chat.")
        .on(Audited, PUT,    "/api/chats/{chat_id}/bans/{user_id}",          bans::create,              "Ban a user.")
        .on(Audited, DELETE, "/api/chats/{chat_id}/bans/{user_id}",          bans::delete,              "Unban a user.")
        .on(Write,  POST,   "/api/chats/{chat_id}/invites",                 invites::create,           "Create an invite.")
        .on(Read,   GET,    "/api/chats/{chat_id}/invites",                 invites::list,             "List the active invites of a chat.")
        .on(Write,  DELETE, "/api/chats/{chat_id}/invites/{code}",          invites::revoke,           "Revoke an invite.")
        .on(Read,   GET,    "/api/invites/{code}",                          invites::preview,          "Preview an invite.")
        .on(Write,  POST,   "/api/invites/{code}",                          invites::accept,           "Accept an invite.")

        .on(Write,  POST,   "/api/chats/{chat_id}/messages",                messages::create,          "Send a message; a repeated nonce returns the first message.")
        .on(Read,   GET,    "/api/chats/{chat_id}/messages",                messages::list,            "List the messages of a chat, newest first.")
        .on(Read,   GET,    "/api/chats/{chat_id}/pins",                    messages::list_pins,       "List the pinned messages of a chat, most recently pinned first.")
        .on(Write,  PUT,    "/api/chats/{chat_id}/read",                    receipts::mark_read,       "Mark all messages up to a message as read.")
        .on(Write,  PUT,    "/api/chats/{chat_id}/delivered",               receipts::mark_delivered,  "Mark all messages up to a message as delivered.")
        .on(Write,  POST,   "/api/chats/{chat_id}/typing",                  presence::notify_typing,   "Send a typing indicator.")
        .on(Read,   GET,    "/api/messages/{message_id}",                   messages::get,             "Get a message.")
        .on(Edit,   PATCH,  "/api/messages/{message_id}",                   messages::update,          "Edit a message.")
        .on(Write,  DELETE, "/api/messages/{message_id}",                   messages::delete,          "Delete a message.")
        .on(Read,   GET,    "/api/messages/{message_id}/edits",             messages::list_revisions,  "List the revisions of a message.")
        .on(Read,   GET,    "/api/messages/{message_id}/replies",           messages::list_replies,    "List the replies to a message, newest first.")
        .on(Read,   GET,    "/api/messages/{message_id}/receipts",          messages::list_receipts,   "List the receipts of one of the caller's messages.")
        .on(Write,  PUT,    "/api/messages/{message_id}/reactions/{emoji}", messages::react,           "Add a reaction.")
        .on(Write,  DELETE, "/api/messages/{message_id}/reactions/{emoji}", messages::unreact,         "Remove a reaction.")
        .on(Write,  PUT,    "/api/messages/{message_id}/pin",               messages::pin,             "Pin a message.")
        .on(Write,  DELETE, "/api/messages/{message_id}/pin",               messages::unpin,           "Unpin a message.")
        .on(Read,   GET,    "/api/search",                                  search::messages,          "Search messages, best match first.")

        .on(Upload, POST,   "/api/upload",                                  files::upload,             "Upload files; a file is private until a message attaches it.")
        .on(Read,   GET,    "/api/files/{file_id}",                         files::download,           "Download a file.")
        .on(Read,   GET,    "/api/files/{file_id}/thumbnail",               files::download_thumbnail, "Download the thumbnail of an image.")

        .on(Read,   GET,    "/api/operator/users",                          operator::list_users,      "List users, as an operator.")
        .on(Write,  PUT,    "/api/operator/users/{user_id}/suspension",     operator::suspend,         "Suspend an account.")
        .on(Write,  DELETE, "/api/operator/users/{user_id}/suspension",     operator::end_suspension,  "End the suspension of an account.")
        .on(Write,  PUT,    "/api/operator/users/{user_id}/approval",       operator::approve,         "Approve an account that waits for it.")
        .on(Write,  DELETE, "/api/operator/users/{user_id}/approval",       operator::reject,          "Reject an account that waits for approval, and delete it.")
        .on(Write,  DELETE, "/api/operator/users/{user_id}/sessions",       operator::end_sessions,    "Sign a user out everywhere.")
        .on(Write,  DELETE, "/api/operator/users/{user_id}/profile",        operator::remove_profile,  "Remove a user's display name, bio and avatar.")
        .on(Write,  DELETE, "/api/operator/messages/{message_id}",          operator::remove_message,  "Delete a message of any chat.")
        .on(Write,  DELETE, "/api/operator/chats/{chat_id}",                operator::remove_chat,     "Delete any chat with everything in it.")
        .on(Read,   GET,    "/api/operator/audit",                          operator::list_audit,      "List the audit log, newest first.")

        .on(Read,   GET,    "/api/bootstrap",                               events::bootstrap,         "Get the initial state, and the cursor to resume from.")
        .on(Read,   GET,    "/api/events",                                  events::list,              "List the events after a cursor.")
        .on(Write,  POST,   "/api/events/ticket",                           events::create_ticket,     "Create a single-use ticket for an event stream.")
        .on(Read,   GET,    "/api/config",                                  config::get,               "Get the server's name, limits and features.")
}

/// How long a body may pause before the request fails.
const BODY_TIMEOUT: Duration = Duration::from_secs(20);

/// Maximum size of an upload, in bytes. JSON bodies have another limit (`buffer_body`).
const MAX_UPLOAD_BYTES: usize = MAX_FILE_BYTES as usize * MAX_FILES_PER_UPLOAD + MAX_JSON_BYTES;

/// One route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path, with parameters in braces.
    pub path: &'static str,
}

/// A router, with the list, the classes and the description of its routes.
pub struct Routes {
    router: Router<Arc<AppState>>,
    list: Vec<Route>,
    classes: RouteClasses,
    table: RouteTable,
    document: Document,
}

impl Routes {
    fn new() -> Self {
        Self {
            router: Router::new(),
            list: Vec::new(),
            classes: RouteClasses::default(),
            table: RouteTable::default(),
            document: Document::new(),
        }
    }

    fn on<H, T, A>(mut self, class: RouteClass, method: Method, path: &'static str, handler: H, summary: &str) -> Self
    where
        H: Handler<T, Arc<AppState>> + OperationHandler<A>,
        T: 'static,
    {
        let filter = MethodFilter::try_from(method.clone()).expect("MethodFilter supports the methods above");
        self.router = self.router.route(path, on(filter, handler));
        self.classes.insert(method.clone(), path, class);
        let is_private = self.document.add::<H, A>(&method, path, summary);
        self.table.insert(method.clone(), path, is_private);
        self.list.push(Route { method, path });
        self
    }

    /// The routes in order.
    pub fn list(&self) -> &[Route] {
        &self.list
    }

    pub(crate) fn classes(&self) -> &RouteClasses {
        &self.classes
    }

    pub(crate) fn into_document(self) -> Value {
        self.document.finish()
    }

    pub(crate) fn into_router(self, verifier: Verifier) -> Router<Arc<AppState>> {
        let guard = Arc::new(BodyGuard { routes: self.table, verifier });
        self.router
            .layer(middleware::from_fn(|request, next| buffer_body(MAX_JSON_BYTES, request, next)))
            .layer(DefaultBodyLimit::max(MAX_UPLOAD_BYTES))
            .layer(RequestBodyTimeoutLayer::new(BODY_TIMEOUT))
            .layer(middleware::from_fn_with_state(guard, body_guard::reject_anonymous))
    }
}
