//! Every URL, once. The same table serves the requests and describes them in the OpenAPI document.

use actix_web::{
    FromRequest, Handler, HttpResponse, Resource, Responder, ResponseError, Route, guard,
    http::Method, web,
};
use paperclip::v2::schema::Apiv2Operation;

use crate::{
    conversations, error::Failure, events, extract::Dialect, health as about, socket, stream,
    webhooks as hooks,
};

/// Takes down routes: to serve them, or to describe them.
pub(crate) trait Table {
    fn route<F, Args>(&mut self, method: Method, path: &str, handler: F)
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
        F::Future: Apiv2Operation;
}

/// Where the conversations live, once for each dialect.
pub(crate) const CONVERSATIONS: [&str; 2] = ["/conversations", "/api/conversations"];
/// Where all conversations are followed, once for each dialect.
pub(crate) const EVENTS: [&str; 2] = ["/events", "/api/events"];
/// Where the webhooks are looked after, once for each dialect.
pub(crate) const WEBHOOKS: [&str; 2] = ["/webhooks", "/api/webhooks"];
/// Where the OpenHands dialect keeps its sockets.
pub(crate) const SOCKETS: &str = "/sockets";
/// How a socket's route ends; requests to become one authenticate inside.
pub(crate) const SOCKET_ROUTES: [&str; 6] = [
    "/conversations/{conversation_id}/events/socket",
    "/conversations/{conversation_id}/events/session",
    "/events/socket",
    "/sockets/events",
    "/sockets/events/{conversation_id}",
    "/sockets/session/{conversation_id}",
];

/// How an event stream's route ends.
pub(crate) const STREAM_ROUTE: &str = "/events/stream";

/// The routes of conversations, below `at`.
pub(crate) fn conversations(table: &mut impl Table, at: &str) {
    let path = |rest: &str| format!("{at}{rest}");
    table.route(Method::POST, at, conversations::create);
    table.route(Method::GET, at, conversations::batch);
    table.route(Method::GET, &path("/search"), conversations::search);
    table.route(Method::GET, &path("/count"), conversations::count);
    table.route(Method::GET, &path("/{conversation_id}"), conversations::get);
    table.route(
        Method::DELETE,
        &path("/{conversation_id}"),
        conversations::delete,
    );
    table.route(
        Method::POST,
        &path("/{conversation_id}/run"),
        conversations::run,
    );
    table.route(
        Method::POST,
        &path("/{conversation_id}/pause"),
        conversations::pause,
    );
    table.route(
        Method::POST,
        &path("/{conversation_id}/interrupt"),
        conversations::interrupt,
    );
    let last_words = path("/{conversation_id}/agent_final_response");
    table.route(Method::GET, &last_words, conversations::final_response);
    table.route(
        Method::GET,
        &path("/{conversation_id}/events"),
        events::list,
    );
    table.route(
        Method::POST,
        &path("/{conversation_id}/events"),
        events::send,
    );
    table.route(
        Method::GET,
        &path("/{conversation_id}/events/search"),
        events::search,
    );
    table.route(
        Method::GET,
        &path("/{conversation_id}/events/count"),
        events::count,
    );
    table.route(
        Method::GET,
        &path("/{conversation_id}/events/socket"),
        socket::open,
    );
    table.route(
        Method::GET,
        &path("/{conversation_id}/events/session"),
        socket::session,
    );
    table.route(
        Method::GET,
        &path("/{conversation_id}/events/stream"),
        stream::conversation,
    );
    let respond = path("/{conversation_id}/events/respond_to_confirmation");
    table.route(Method::POST, &respond, events::respond_to_confirmation);
    table.route(
        Method::GET,
        &path("/{conversation_id}/events/{event_id}"),
        events::get,
    );
}

/// The sockets of the OpenHands dialect, below `at`.
pub(crate) fn sockets(table: &mut impl Table, at: &str) {
    table.route(
        Method::GET,
        &format!("{at}/events/{{conversation_id}}"),
        socket::open,
    );
    table.route(
        Method::GET,
        &format!("{at}/session/{{conversation_id}}"),
        socket::session,
    );
    table.route(Method::GET, &format!("{at}/events"), socket::all);
}

/// What happens in all conversations, below `at`.
pub(crate) fn events(table: &mut impl Table, at: &str) {
    table.route(Method::GET, &format!("{at}/stream"), stream::all);
    table.route(Method::GET, &format!("{at}/socket"), socket::all);
}

/// Webhooks, below `at`.
pub(crate) fn webhooks(table: &mut impl Table, at: &str) {
    let path = |rest: &str| format!("{at}{rest}");
    table.route(Method::GET, at, hooks::list);
    table.route(Method::GET, &path("/{name}"), hooks::get);
    let deliveries = path("/{name}/deliveries");
    table.route(Method::GET, &deliveries, hooks::deliveries);
    let redeliver = path("/{name}/deliveries/{delivery_id}/redeliver");
    table.route(Method::POST, &redeliver, hooks::redeliver);
    table.route(Method::POST, &path("/{name}/test"), hooks::test);
    table.route(Method::POST, &path("/{name}/rewind"), hooks::rewind);
}

/// Whether the server is well, and what it is.
pub(crate) fn health(table: &mut impl Table) {
    table.route(Method::GET, "/health", about::health);
    table.route(Method::GET, "/alive", about::alive);
    table.route(Method::GET, "/ready", about::ready);
    table.route(Method::GET, "/server_info", about::server_info);
}

pub(crate) fn root(table: &mut impl Table) {
    table.route(Method::GET, "/", about::root);
}

/// The parts that are served as scopes, where the key is asked for before a path is looked up.
pub(crate) fn scopes() -> [(&'static str, Dialect, Served); 6] {
    let [mut readme, mut api, mut socket, mut everything, mut hooks] = <[Served; 5]>::default();
    conversations(&mut readme, "");
    conversations(&mut api, "/conversations");
    events(&mut api, "/events");
    sockets(&mut socket, "");
    events(&mut everything, "");
    webhooks(&mut hooks, "");
    webhooks(&mut api, "/webhooks");
    [
        ("/conversations", Dialect::Readme, readme),
        ("/events", Dialect::Readme, everything),
        ("/webhooks", Dialect::Readme, hooks),
        ("/api", Dialect::OpenHands, api),
        ("/v1", Dialect::OpenHands, Served::default()),
        (SOCKETS, Dialect::OpenHands, socket),
    ]
}

/// Every path, for an app that has no other routes.
pub(crate) const ELSEWHERE: &str = "/{elsewhere:.*}";

/// The methods of what can be read: the server leaves out the body of an answer to HEAD by itself.
pub(crate) const READS: &str = "GET, HEAD";

/// A route for a method, and with GET for HEAD too.
pub(crate) fn on(method: Method) -> Route {
    if method == Method::GET {
        web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
    } else {
        web::method(method)
    }
}

/// Answers methods other than those with 405.
pub(crate) fn refusing_methods(allow: String) -> Route {
    web::to(move || {
        let allow = allow.clone();
        async move { Failure::MethodNotAllowed { allow }.error_response() }
    })
}

pub(crate) async fn not_found() -> HttpResponse {
    Failure::NotFound.error_response()
}

/// Routes to serve, grouped by path.
#[derive(Default)]
pub(crate) struct Served(Vec<ServedPath>);

struct ServedPath {
    path: String,
    methods: Vec<String>,
    resource: Resource,
}

impl Table for Served {
    fn route<F, Args>(&mut self, method: Method, path: &str, handler: F)
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
        F::Future: Apiv2Operation,
    {
        let name = if method == Method::GET {
            READS.to_owned()
        } else {
            method.to_string()
        };
        let route = on(method).to(handler);
        match self.0.iter().position(|served| served.path == path) {
            Some(at) => {
                let served = self.0.remove(at);
                let mut methods = served.methods;
                methods.push(name);
                let resource = served.resource.route(route);
                self.0.insert(
                    at,
                    ServedPath {
                        path: served.path,
                        methods,
                        resource,
                    },
                );
            }
            None => self.0.push(ServedPath {
                path: path.to_owned(),
                methods: vec![name],
                resource: web::resource(path).route(route),
            }),
        }
    }
}

impl Served {
    /// One resource for each path, in the order of the table; each answers other methods with 405.
    pub(crate) fn into_resources(self) -> impl Iterator<Item = Resource> {
        self.0.into_iter().map(
            |ServedPath {
                 methods, resource, ..
             }| { resource.default_service(refusing_methods(methods.join(", "))) },
        )
    }
}
