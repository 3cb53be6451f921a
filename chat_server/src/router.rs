//! Every route of the API, on one screen.

use crate::{
    Api, extract,
    limits::{MAX_FILE_BYTES, MAX_FILES_PER_UPLOAD, MAX_JSON_BYTES},
    openapi::{Describe, Document},
    routes::{
        accounts, auth, bans, channels, chats, config, events, files, invites, marks, members, messages, presence,
        search, users,
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
use serde_json::Value;
use std::{sync::Arc, time::Duration};
use tower_http::timeout::RequestBodyTimeoutLayer;

/// The routes: what each is for and which handler answers it. Whether it needs a
/// token, and what it reads and answers, the handler's types say.
#[rustfmt::skip]
pub fn routes() -> Routes {
    const GET: Method = Method::GET;
    const POST: Method = Method::POST;
    const PUT: Method = Method::PUT;
    const PATCH: Method = Method::PATCH;
    const DELETE: Method = Method::DELETE;

    Routes::new()
        .on(POST,   "/api/signup",                                        auth::signup,          "Makes an account and signs it in.")
        .on(POST,   "/api/signin",                                        auth::signin,          "Opens a session.")
        .on(POST,   "/api/token/refresh",                                 auth::refresh,         "Trades a refresh token for the next pair of tokens.")
        .on(POST,   "/api/signout",                                       auth::signout,         "Ends the session.")
        .on(GET,    "/api/sessions",                                      auth::sessions,        "The caller's signed-in devices.")
        .on(DELETE, "/api/sessions/{session_id}",                         auth::end_session,     "Ends one of the caller's sessions.")

        .on(GET,    "/api/me",                                            users::me,             "The caller.")
        .on(PATCH,  "/api/me",                                            users::update,         "Changes what others see of the caller.")
        .on(GET,    "/api/me/export",                                     accounts::export,      "Everything that is known of the caller, and everything they said.")
        .on(DELETE, "/api/me",                                            accounts::close,       "Closes the account for good; what was said stays, without a name.")
        .on(PUT,    "/api/me/password",                                   auth::change_password, "Changes the password; every other session ends.")
        .on(GET,    "/api/users",                                         users::list,           "People, by their ids.")
        .on(GET,    "/api/users/search",                                  users::search,         "People whose name starts with a text.")
        .on(GET,    "/api/users/{user_id}",                               users::find,           "A person.")
        .on(GET,    "/api/blocks",                                        users::blocks,         "Whom the caller has blocked.")
        .on(PUT,    "/api/users/{user_id}/block",                         users::block,          "Blocks a person.")
        .on(DELETE, "/api/users/{user_id}/block",                         users::unblock,        "Takes a block back.")

        .on(PUT,    "/api/presence",                                      presence::update,      "Says how the caller wishes to be seen.")
        .on(GET,    "/api/presence",                                      presence::list,        "Which of some people are here.")
        .on(GET,    "/api/presence/{user_id}",                            presence::find,        "Whether a person is here.")

        .on(GET,    "/api/channels",                                      channels::list,        "Public channels, by name.")
        .on(POST,   "/api/chats/{chat_id}/join",                          channels::join,        "Joins a public channel.")
        .on(POST,   "/api/chats/{chat_id}/leave",                         channels::leave,       "Leaves any chat but a direct one.")

        .on(POST,   "/api/chats",                                         chats::create,         "Creates a chat of any kind.")
        .on(GET,    "/api/chats",                                         chats::list,           "The caller's chats, the most recently active first.")
        .on(GET,    "/api/chats/{chat_id}",                               chats::find,           "A chat.")
        .on(PATCH,  "/api/chats/{chat_id}",                               chats::update,         "Changes the name, the description or the topic.")
        .on(DELETE, "/api/chats/{chat_id}",                               chats::delete,         "Deletes a chat with everything in it.")
        .on(PUT,    "/api/chats/{chat_id}/mute",                          chats::mute,           "Does not want to be disturbed.")
        .on(DELETE, "/api/chats/{chat_id}/mute",                          chats::unmute,         "... and does again.")

        .on(GET,    "/api/chats/{chat_id}/members",                       members::list,         "The members, by id.")
        .on(POST,   "/api/chats/{chat_id}/members",                       members::add,          "Brings a person in.")
        .on(PATCH,  "/api/chats/{chat_id}/members/{user_id}",             members::update,       "Gives a member another role.")
        .on(DELETE, "/api/chats/{chat_id}/members/{user_id}",             members::remove,       "Takes a person out.")
        .on(POST,   "/api/chats/{chat_id}/transfer",                      members::transfer,     "Hands the chat over.")
        .on(GET,    "/api/chats/{chat_id}/bans",                          bans::list,            "Who is kept out.")
        .on(PUT,    "/api/chats/{chat_id}/bans/{user_id}",                bans::create,          "Takes a person out and keeps them out.")
        .on(DELETE, "/api/chats/{chat_id}/bans/{user_id}",                bans::lift,            "Lets a person come in again.")
        .on(POST,   "/api/chats/{chat_id}/invites",                       invites::create,       "Makes a link that lets people in.")
        .on(GET,    "/api/chats/{chat_id}/invites",                       invites::list,         "The links that still open.")
        .on(DELETE, "/api/chats/{chat_id}/invites/{code}",                invites::revoke,       "Takes a link back.")
        .on(GET,    "/api/invites/{code}",                                invites::preview,      "Where a link leads.")
        .on(POST,   "/api/invites/{code}",                                invites::accept,       "Follows a link into its chat.")

        .on(POST,   "/api/chats/{chat_id}/messages",                      messages::create,      "Sends a message; the same nonce again is the same message.")
        .on(GET,    "/api/chats/{chat_id}/messages",                      messages::list,        "A page of history, newest first.")
        .on(GET,    "/api/chats/{chat_id}/pins",                          messages::pins,        "The pinned messages, the last pinned first.")
        .on(PUT,    "/api/chats/{chat_id}/read",                          marks::read,           "Everything up to a message was read.")
        .on(PUT,    "/api/chats/{chat_id}/delivered",                     marks::delivered,      "Everything up to a message reached a device.")
        .on(POST,   "/api/chats/{chat_id}/typing",                        presence::types,       "The caller types, now.")
        .on(GET,    "/api/messages/{message_id}",                         messages::find,        "A message.")
        .on(PATCH,  "/api/messages/{message_id}",                         messages::update,      "Changes the text of one's own message.")
        .on(DELETE, "/api/messages/{message_id}",                         messages::delete,      "Deletes a message: its place stays.")
        .on(GET,    "/api/messages/{message_id}/edits",                   messages::edits,       "What a message said before it was edited.")
        .on(GET,    "/api/messages/{message_id}/replies",                 messages::replies,     "The answers to a message.")
        .on(GET,    "/api/messages/{message_id}/receipts",                messages::receipts,    "Whom a message has reached, and who has read it.")
        .on(PUT,    "/api/messages/{message_id}/reactions/{emoji}",       messages::react,       "Reacts with an emoji.")
        .on(DELETE, "/api/messages/{message_id}/reactions/{emoji}",       messages::unreact,     "Takes a reaction back.")
        .on(PUT,    "/api/messages/{message_id}/pin",                     messages::pin,         "Pins a message.")
        .on(DELETE, "/api/messages/{message_id}/pin",                     messages::unpin,       "Takes a pin off.")
        .on(GET,    "/api/search",                                        search::messages,      "Messages that have these words, best first.")

        .on(POST,   "/api/upload",                                        files::upload,         "Stores files, private until a message shows them.")
        .on(GET,    "/api/files/{file_id}",                               files::download,       "A file's bytes.")
        .on(GET,    "/api/files/{file_id}/thumbnail",                     files::thumbnail,      "A small copy of a picture.")

        .on(GET,    "/api/bootstrap",                                     events::bootstrap,     "Everything for a first screen, and the cursor to go on from.")
        .on(GET,    "/api/events",                                        events::list,          "The events after a cursor.")
        .on(POST,   "/api/events/ticket",                                 events::ticket,        "A ticket that opens one stream, once.")
        .on(GET,    "/api/config",                                        config::show,          "The name, the limits and what is there to use.")
}

/// How long a body may pause before it is given up.
const BODY_TIMEOUT: Duration = Duration::from_secs(20);

/// The largest upload. A JSON body has a limit of its own (`extract::body_first`).
const MAX_UPLOAD_BYTES: usize = MAX_FILE_BYTES as usize * MAX_FILES_PER_UPLOAD + MAX_JSON_BYTES;

/// One route, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path, with parameters in braces.
    pub path: &'static str,
}

/// A router that knows what is in it.
pub struct Routes {
    router: Router<Arc<Api>>,
    list: Vec<Route>,
    document: Document,
}

impl Routes {
    fn new() -> Self {
        Self { router: Router::new(), list: Vec::new(), document: Document::new() }
    }

    fn on<H, T, A>(mut self, method: Method, path: &'static str, handler: H, summary: &str) -> Self
    where
        H: Handler<T, Arc<Api>> + Describe<A>,
        T: 'static,
    {
        let filter = MethodFilter::try_from(method.clone()).expect("the methods above are the common ones");
        self.router = self.router.route(path, on(filter, handler));
        self.document.add::<H, A>(&method, path, summary);
        self.list.push(Route { method, path });
        self
    }

    /// What is in it.
    pub fn list(&self) -> &[Route] {
        &self.list
    }

    pub(crate) fn into_document(self) -> Value {
        self.document.finish()
    }

    pub(crate) fn into_router(self) -> Router<Arc<Api>> {
        self.router
            .layer(middleware::from_fn(extract::body_first))
            .layer(DefaultBodyLimit::max(MAX_UPLOAD_BYTES))
            .layer(RequestBodyTimeoutLayer::new(BODY_TIMEOUT))
    }
}
