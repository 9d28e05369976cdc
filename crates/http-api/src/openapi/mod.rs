//! The OpenAPI 3.1 document. paperclip walks the routes and finds paths, parameters and operations;
//! schemars describes the bodies; `bridge` lets the one refer to the other and `finish` puts both
//! together.

mod bridge;
mod examples;
mod finish;
mod refusals;
mod streams;

use actix_web::App;
use paperclip::actix::{OpenApiExt, web as described};
use serde_json::{Value, json};

use crate::{
    configure::Surface,
    error::ApiError,
    routes::{self, Table},
};

/// The document of everything that `surface` leaves switched on, without `servers`.
///
/// # Errors
/// When paperclip gives back something other than a document.
pub(crate) fn document(surface: Surface) -> Result<Value, ApiError> {
    let mut raw = None;
    let schemas = bridge::recording(|| {
        // An app that serves nobody: routes are only walked. Its type does not matter, only what
        // paperclip notes down on the way.
        let app = App::new()
            .wrap_api()
            .configure(|cfg| describe(cfg, surface));
        drop(app.with_raw_json_spec_v3(|app, document| {
            raw = Some(document);
            app
        }));
    });
    let raw = raw.ok_or_else(|| ApiError::Document("no document was made".to_owned()))?;
    finish::finish(raw, schemas)
}

/// Where the API is, as the document says it.
pub(crate) fn servers(prefix: &str) -> Value {
    let url = if prefix.is_empty() { "/" } else { prefix };
    json!([{ "url": url, "description": "This server" }])
}

fn describe(cfg: &mut described::ServiceConfig<'_>, surface: Surface) {
    let mut table = Described(cfg);
    for at in routes::CONVERSATIONS {
        routes::conversations(&mut table, at);
    }
    for at in routes::EVENTS {
        routes::events(&mut table, at);
    }
    for at in routes::WEBHOOKS {
        routes::webhooks(&mut table, at);
    }
    routes::sockets(&mut table, routes::SOCKETS);
    if surface.health {
        routes::health(&mut table);
    }
    if surface.root {
        routes::root(&mut table);
    }
}

struct Described<'a, 'b>(&'a mut described::ServiceConfig<'b>);

impl Table for Described<'_, '_> {
    fn route<F, Args>(&mut self, method: actix_web::http::Method, path: &str, handler: F)
    where
        F: actix_web::Handler<Args>,
        Args: actix_web::FromRequest + 'static,
        F::Output: actix_web::Responder + 'static,
        F::Future: paperclip::v2::schema::Apiv2Operation,
    {
        self.0.route(path, described::method(method).to(handler));
    }
}
