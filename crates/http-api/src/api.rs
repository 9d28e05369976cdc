use std::sync::Arc;

use actix_web::{
    middleware::{Compress, from_fn},
    web::{self, ServiceConfig},
};
use agent_runtime::Runtime;
use serde_json::Value;

use crate::{
    access,
    config::ApiConfig,
    error::ApiError,
    middleware, openapi, operations,
    routes::{self, EVERY_PATH},
    state::ApiState,
};

/// Wraps a scope or a resource in the middleware, innermost first. Compressing costs memory and time: what
/// needs no key is not compressed, or was compressed once.
macro_rules! wrap_service {
    ($state:expr, $service:expr, keyed) => {{
        let service = $service
            .wrap(from_fn(middleware::chunk_bodies))
            .wrap(from_fn(middleware::leave_small_bodies))
            .wrap(Compress::default());
        wrap_service!($state, service, needs_key = true)
    }};
    ($state:expr, $service:expr, open) => {
        wrap_service!(
            $state,
            $service.wrap(from_fn(middleware::chunk_bodies)),
            needs_key = false
        )
    };
    ($state:expr, $service:expr, needs_key = $needs_key:literal) => {{
        let (for_log, for_key) = ($state.clone(), $state.clone());
        $service
            .app_data(web::Data::from($state.clone()))
            .wrap(from_fn(move |request, next| {
                middleware::require_key(for_key.clone(), $needs_key, request, next)
            }))
            .wrap(access::cors(&$state.access.origins))
            .wrap(from_fn(move |request, next| {
                middleware::log_request(for_log.clone(), request, next)
            }))
    }};
}

/// The API of one runtime. Built once, outside the app factory, and cloned into each worker.
#[derive(Clone)]
pub struct Api(Arc<ApiState>);

impl Api {
    /// # Errors
    /// When a setting is not well formed: see [`ApiConfig::check`].
    pub fn new(runtime: Runtime, config: ApiConfig) -> Result<Self, ApiError> {
        ApiState::new(runtime, config, operations::ALL).map(Self)
    }

    /// Mounts every route into an app, or into a `web::scope` of one. Each piece is a service of
    /// its own with its own settings and middleware, so that what the host configured for itself
    /// stays as it is, and paths that are not ours still go to the host.
    pub fn configure(&self, cfg: &mut ServiceConfig) {
        let (scopes, outside) = routes::routes(&self.0.operations);
        for routes in scopes {
            let scope = web::scope(routes.path)
                .app_data(web::Data::new(routes.dialect))
                .default_service(web::to(routes::not_found));
            let scope = routes
                .into_resources()
                .fold(scope, actix_web::Scope::service);
            cfg.service(wrap_service!(self.0, scope, keyed));
        }
        for resource in outside {
            cfg.service(wrap_service!(self.0, resource, open));
        }
    }

    /// Mounts every route into an app that has no others: an unknown path is answered as one below the API
    /// is, and logged like it. A host with routes or a default service of its own uses [`Api::configure`].
    pub fn configure_alone(&self, cfg: &mut ServiceConfig) {
        self.configure(cfg);
        let unknown = web::resource(EVERY_PATH).route(web::to(routes::not_found));
        cfg.service(wrap_service!(self.0, unknown, open));
    }

    /// The OpenAPI 3.1 document, with `servers` as the configured prefix says.
    ///
    /// # Errors
    /// When it cannot be generated.
    pub fn openapi(&self) -> Result<Value, ApiError> {
        openapi::document(&self.0.operations, &self.0.config.prefix)
    }
}
