//! What handlers give back, in a form that both answers the request and describes the answer.

mod document;
mod encoded;

use actix_web::{HttpRequest, HttpResponse, Responder, body::BoxBody, http::StatusCode};
use paperclip::v2::models::DefaultOperationRaw;
use schemars::JsonSchema;
use serde::Serialize;

use crate::describe::{self, describe};

pub(crate) use document::{Document, DocumentCache};
pub(crate) use encoded::{Encoded, RawJson, WriteJson, write_page};

/// 200 with a JSON body.
pub(crate) struct Reply<T>(pub(crate) T);

/// 201 with a JSON body, or 200 when it existed already.
pub(crate) struct Created<T> {
    pub(crate) value: T,
    pub(crate) existed: bool,
}

/// 101: the connection is a socket from here on.
pub(crate) struct Upgraded(pub(crate) HttpResponse);

/// 200 with an event stream.
pub(crate) struct EventStream(pub(crate) HttpResponse);

/// 200 with a file.
pub(crate) struct Download(pub(crate) HttpResponse);

/// 200 when ready, 503 when not.
pub(crate) struct Readiness<T> {
    pub(crate) body: T,
    pub(crate) ready: bool,
}

/// `{"success": true}`.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Success {
    success: bool,
}

impl Success {
    pub(crate) fn new() -> Self {
        Self { success: true }
    }
}

impl<T> Created<T> {
    pub(crate) fn status(&self) -> StatusCode {
        if self.existed {
            StatusCode::OK
        } else {
            StatusCode::CREATED
        }
    }
}

impl<T: Serialize> Responder for Reply<T> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        HttpResponse::Ok().json(self.0)
    }
}

impl<T: Serialize> Responder for Created<T> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        HttpResponse::build(self.status()).json(self.value)
    }
}

impl Responder for Upgraded {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        self.0
    }
}

impl Responder for EventStream {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        self.0
    }
}

impl Responder for Download {
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

describe!(T: JsonSchema; Reply<T> {
    fn update_response(op: &mut DefaultOperationRaw) {
        describe::answer::<T>(op, "200", "Done");
    }
});

describe!(T: JsonSchema; Created<T> {
    fn update_response(op: &mut DefaultOperationRaw) {
        describe::answer::<T>(op, "201", "Created");
        describe::answer::<T>(op, "200", "It existed already; nothing was changed");
    }
});

describe!(T: JsonSchema; Readiness<T> {
    fn update_response(op: &mut DefaultOperationRaw) {
        describe::answer::<T>(op, "200", "Ready");
        describe::answer::<T>(op, "503", "Not ready; `reason` says why");
    }
});

describe!(EventStream {
    fn update_response(op: &mut DefaultOperationRaw) {
        describe::other_answer(op, "200", "An event stream that continues until one side closes it");
    }
});

describe!(Download {
    fn update_response(op: &mut DefaultOperationRaw) {
        describe::other_answer(op, "200", "The file");
    }
});

describe!(Upgraded {
    fn update_response(op: &mut DefaultOperationRaw) {
        describe::other_answer(op, "101", "The connection is a WebSocket from here on");
    }
});
