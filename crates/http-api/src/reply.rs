//! What handlers give back, in a form that both answers the request and describes the answer.

use std::marker::PhantomData;

use actix_web::{HttpRequest, HttpResponse, Responder, body::BoxBody, http::StatusCode};
use serde::Serialize;

use crate::gathered::Gathered;

/// 200 with a JSON body.
pub(crate) struct Reply<T>(pub(crate) T);

/// 201 with a JSON body, or 200 when nothing had to be made.
pub(crate) struct Made<T> {
    pub(crate) value: T,
    pub(crate) existed: bool,
}

/// 200 with JSON that exists as bytes already; `T` describes it.
pub(crate) struct Verbatim<T> {
    json: Gathered,
    shape: PhantomData<T>,
}

/// 101: from here on it is a socket.
pub(crate) struct Upgraded(pub(crate) HttpResponse);

/// 200 with an event stream that goes on.
pub(crate) struct Streamed(pub(crate) HttpResponse);

/// 200 when ready, 503 when not.
pub(crate) struct Readiness<T> {
    pub(crate) body: T,
    pub(crate) ready: bool,
}

impl<T> Verbatim<T> {
    pub(crate) fn new(json: impl Into<Gathered>) -> Self {
        Self {
            json: json.into(),
            shape: PhantomData,
        }
    }
}

impl<T: Serialize> Responder for Reply<T> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        HttpResponse::Ok().json(self.0)
    }
}

impl<T: Serialize> Responder for Made<T> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        let status = if self.existed {
            StatusCode::OK
        } else {
            StatusCode::CREATED
        };
        HttpResponse::build(status).json(self.value)
    }
}

impl<T> Responder for Verbatim<T> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        HttpResponse::Ok()
            .content_type("application/json")
            .body(self.json)
    }
}

impl Responder for Upgraded {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        self.0
    }
}

impl Responder for Streamed {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        self.0
    }
}

impl<T: Serialize> Responder for Readiness<T> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        let status = if self.ready {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        HttpResponse::build(status).json(self.body)
    }
}
