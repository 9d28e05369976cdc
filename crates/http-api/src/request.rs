//! What handlers take: parts of the path, query parameters, JSON bodies. All of our own, so that the host
//! application's `JsonConfig`, `QueryConfig` and `PathConfig` neither apply here nor are changed.

mod body;
mod path;
pub(crate) mod query;

use std::{
    future::{Ready, ready},
    ops::Deref,
    sync::Arc,
};

use actix_web::{FromRequest, HttpRequest, dev, web};

use crate::{describe::describe, failure::Failure, operation::Dialect, state::ApiState};

pub(crate) use body::{Body, RawBody, RequestBody, SocketPayload};
pub(crate) use path::{Path, PathParameter, decoded};
pub(crate) use query::{
    FromQuery, Limit, MAX_BATCH, Parameter, Query, QueryReader, Required, not_an_integer, query,
    too_long, word,
};

/// The server behind a request.
pub(crate) struct Server(pub(crate) Arc<ApiState>);

impl Server {
    /// Where the API is mounted: as configured, or as this request for `path` was sent.
    pub(crate) fn prefix<'a>(&'a self, request: &'a HttpRequest, path: &str) -> &'a str {
        let configured = self.config.prefix.as_str();
        if configured.is_empty() {
            request.path().strip_suffix(path).unwrap_or_default()
        } else {
            configured
        }
    }
}

impl Deref for Server {
    type Target = ApiState;

    fn deref(&self) -> &ApiState {
        &self.0
    }
}

impl FromRequest for Server {
    type Error = Failure;
    type Future = Ready<Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        // Our routes are only ever mounted together with it.
        let state = request.app_data::<web::Data<ApiState>>().cloned();
        let server = state.map(|state| Self(state.into_inner()));
        ready(server.ok_or(Failure::NotFound))
    }
}

impl FromRequest for Dialect {
    type Error = Failure;
    type Future = Ready<Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        let dialect = request.app_data::<web::Data<Self>>();
        ready(Ok(dialect.map_or(Self::Readme, |found| *found.get_ref())))
    }
}

describe!(Server);
describe!(Dialect);
