//! Every route of the API, on one screen.

use crate::{
    Api, extract,
    limits::{MAX_FILE_BYTES, MAX_FILES_PER_UPLOAD, MAX_JSON_BYTES},
    routes::{auth, bans, channels, chats, config, events, files, invites, marks, members, messages, search, users},
};
use axum::{
    Router,
    extract::DefaultBodyLimit,
    handler::Handler,
    http::Method,
    middleware,
    routing::{MethodFilter, on},
};
use std::{sync::Arc, time::Duration};
use tower_http::timeout::RequestBodyTimeoutLayer;

/// The routes. Those marked ○ need no token.
#[rustfmt::skip]
pub fn routes() -> Routes {
    const GET: Method = Method::GET;
    const POST: Method = Method::POST;
    const PUT: Method = Method::PUT;
    const PATCH: Method = Method::PATCH;
    const DELETE: Method = Method::DELETE;

    Routes::default()
        .on(POST,   "/api/signup",                                      auth::signup)           // ○
        .on(POST,   "/api/signin",                                      auth::signin)           // ○
        .on(POST,   "/api/token/refresh",                               auth::refresh)          // ○
        .on(POST,   "/api/signout",                                     auth::signout)
        .on(GET,    "/api/sessions",                                    auth::sessions)
        .on(DELETE, "/api/sessions/{session_id}",                       auth::end_session)

        .on(GET,    "/api/me",                                          users::me)
        .on(PATCH,  "/api/me",                                          users::update)
        .on(PUT,    "/api/me/password",                                 auth::change_password)
        .on(GET,    "/api/users/search",                                users::search)
        .on(GET,    "/api/users/{user_id}",                             users::find)
        .on(GET,    "/api/blocks",                                      users::blocks)
        .on(PUT,    "/api/users/{user_id}/block",                       users::block)
        .on(DELETE, "/api/users/{user_id}/block",                       users::unblock)

        .on(GET,    "/api/channels",                                    channels::list)
        .on(POST,   "/api/chats/{chat_id}/join",                        channels::join)
        .on(POST,   "/api/chats/{chat_id}/leave",                       channels::leave)

        .on(POST,   "/api/chats",                                       chats::create)
        .on(GET,    "/api/chats",                                       chats::list)
        .on(GET,    "/api/chats/{chat_id}",                             chats::find)
        .on(PATCH,  "/api/chats/{chat_id}",                             chats::update)
        .on(DELETE, "/api/chats/{chat_id}",                             chats::delete)
        .on(PUT,    "/api/chats/{chat_id}/mute",                        chats::mute)
        .on(DELETE, "/api/chats/{chat_id}/mute",                        chats::unmute)

        .on(GET,    "/api/chats/{chat_id}/members",                     members::list)
        .on(POST,   "/api/chats/{chat_id}/members",                     members::add)
        .on(PATCH,  "/api/chats/{chat_id}/members/{user_id}",           members::update)
        .on(DELETE, "/api/chats/{chat_id}/members/{user_id}",           members::remove)
        .on(POST,   "/api/chats/{chat_id}/transfer",                    members::transfer)
        .on(GET,    "/api/chats/{chat_id}/bans",                        bans::list)
        .on(PUT,    "/api/chats/{chat_id}/bans/{user_id}",              bans::create)
        .on(DELETE, "/api/chats/{chat_id}/bans/{user_id}",              bans::lift)
        .on(POST,   "/api/chats/{chat_id}/invites",                     invites::create)
        .on(GET,    "/api/chats/{chat_id}/invites",                     invites::list)
        .on(DELETE, "/api/chats/{chat_id}/invites/{code}",              invites::revoke)
        .on(GET,    "/api/invites/{code}",                              invites::preview)
        .on(POST,   "/api/invites/{code}",                              invites::accept)

        .on(POST,   "/api/chats/{chat_id}/messages",                    messages::create)
        .on(GET,    "/api/chats/{chat_id}/messages",                    messages::list)
        .on(GET,    "/api/chats/{chat_id}/pins",                        messages::pins)
        .on(PUT,    "/api/chats/{chat_id}/read",                        marks::read)
        .on(PUT,    "/api/chats/{chat_id}/delivered",                   marks::delivered)
        .on(GET,    "/api/messages/{message_id}",                       messages::find)
        .on(PATCH,  "/api/messages/{message_id}",                       messages::update)
        .on(DELETE, "/api/messages/{message_id}",                       messages::delete)
        .on(GET,    "/api/messages/{message_id}/edits",                 messages::edits)
        .on(GET,    "/api/messages/{message_id}/replies",               messages::replies)
        .on(GET,    "/api/messages/{message_id}/receipts",              messages::receipts)
        .on(PUT,    "/api/messages/{message_id}/reactions/{emoji}",     messages::react)
        .on(DELETE, "/api/messages/{message_id}/reactions/{emoji}",     messages::unreact)
        .on(PUT,    "/api/messages/{message_id}/pin",                   messages::pin)
        .on(DELETE, "/api/messages/{message_id}/pin",                   messages::unpin)
        .on(GET,    "/api/search",                                      search::messages)

        .on(POST,   "/api/upload",                                      files::upload.layer(upload_limit()))
        .on(GET,    "/api/files/{file_id}",                             files::download)

        .on(GET,    "/api/bootstrap",                                   events::bootstrap)
        .on(GET,    "/api/events",                                      events::list)
        .on(POST,   "/api/events/ticket",                               events::ticket)
        .on(GET,    "/api/config",                                      config::show)           // ○
}

/// How long a body may pause before it is given up.
const BODY_TIMEOUT: Duration = Duration::from_secs(20);

fn upload_limit() -> DefaultBodyLimit {
    // Each file has its own cap; this is for everything around them too.
    let files = MAX_FILE_BYTES as usize * MAX_FILES_PER_UPLOAD;
    DefaultBodyLimit::max(files + MAX_JSON_BYTES)
}

/// One route, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path, with parameters in braces.
    pub path: &'static str,
}

/// A router that knows what is in it.
#[derive(Default)]
pub struct Routes {
    router: Router<Arc<Api>>,
    list: Vec<Route>,
}

impl Routes {
    fn on<H: Handler<T, Arc<Api>>, T: 'static>(mut self, method: Method, path: &'static str, handler: H) -> Self {
        let filter = MethodFilter::try_from(method.clone()).expect("the methods above are the common ones");
        self.router = self.router.route(path, on(filter, handler));
        self.list.push(Route { method, path });
        self
    }

    /// What is in it.
    pub fn list(&self) -> &[Route] {
        &self.list
    }

    pub(crate) fn into_router(self) -> Router<Arc<Api>> {
        self.router
            .layer(middleware::from_fn(extract::body_first))
            .layer(DefaultBodyLimit::max(MAX_JSON_BYTES))
            .layer(RequestBodyTimeoutLayer::new(BODY_TIMEOUT))
    }
}
