//! The middleware around every route: one log line a request, foreign hosts and pages refused, the key
//! checked. Bodies, query strings and secrets are never logged; paths only as their templates.

use std::{sync::Arc, time::Instant};

use actix_web::{
    Error, HttpMessage, ResponseError,
    body::{BodySize, EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Method,
        header::{CONTENT_ENCODING, HeaderValue, WWW_AUTHENTICATE},
    },
    middleware::Next,
};
use core_model::ConversationId;
use telemetry::RequestServed;
use tracing::Instrument;

use crate::{
    access::{KeyCheck, check_accept_encoding},
    buf_list::Chunked,
    failure::Failure,
    headers::is_upgrade,
    operation::Operation,
    request::QueryReader,
    state::ApiState,
};

/// Answers of fewer bytes are not worth compressing.
const MIN_COMPRESSED_BYTES: u64 = 1024;
const IDENTITY: &str = "identity";

/// The operation that a request is for. None: its path or its method is unknown.
#[derive(Clone, Copy)]
struct Matched(Option<&'static Operation>);

/// Outermost: refuses what was sent to a foreign host or by a foreign page, and logs the request.
pub(crate) async fn log_request<B: MessageBody>(
    state: Arc<ApiState>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let started = Instant::now();
    let route = request.match_pattern();
    let operation = route.as_deref().and_then(|route| {
        let operations = &state.operations;
        operations.of_route(route, request.method())
    });
    request.extensions_mut().insert(Matched(operation));
    let span = telemetry::request(request.method().as_str(), route.as_deref());
    let mut response = match state.access.check_head(request.head()) {
        Ok(()) => {
            let answered = next.call(request).instrument(span.clone());
            answered.await?.map_into_left_body()
        }
        Err(refused) => request
            .into_response(refused.error_response())
            .map_into_right_body(),
    };
    let headers = response.headers_mut();
    if headers
        .get(CONTENT_ENCODING)
        .is_some_and(|encoding| encoding == IDENTITY)
    {
        headers.remove(CONTENT_ENCODING);
    }
    let request = response.request();
    let id = request.match_info().get("conversation_id");
    let id = id
        .and_then(|text| text.parse::<ConversationId>().ok())
        .map(|id| id.to_string());
    let served = RequestServed {
        method: request.method().as_str(),
        route: route.as_deref(),
        operation: operation.map(|operation| operation.id),
        status: response.status().as_u16(),
        elapsed: started.elapsed(),
        conversation: id.as_deref(),
    };
    served.emit(&span);
    Ok(response)
}

/// Checks the key, before the path is looked up and before any body is read. Requests to become a socket
/// pass: they may present their key in the first frame. `by_default` is for what is not an operation.
pub(crate) async fn require_key<B: MessageBody>(
    state: Arc<ApiState>,
    by_default: bool,
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let matched = request.extensions().get::<Matched>().copied();
    let operation = matched.and_then(|matched| matched.0);
    let needs_key = operation.map_or(by_default, |operation| operation.needs_key);
    let may_pass = !needs_key || becomes_socket(operation, &request) || {
        let in_url = operation
            .filter(|operation| operation.is_stream())
            .and_then(|_| QueryReader::new(request.query_string()).text("session_api_key"));
        let check = state
            .access
            .keys
            .check(request.headers(), in_url.as_deref());
        check == KeyCheck::Passed
    };
    if may_pass {
        return Ok(match check_accept_encoding(&mut request) {
            Ok(()) => next.call(request).await?.map_into_left_body(),
            Err(refused) => request
                .into_response(refused.error_response())
                .map_into_right_body(),
        });
    }
    let mut response = Failure::Unauthorized.error_response();
    response
        .headers_mut()
        .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    Ok(request.into_response(response).map_into_right_body())
}

/// Innermost: hands answers over in chunks.
pub(crate) async fn chunk_bodies<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<Chunked<B>>, Error> {
    let response = next.call(request).await?;
    Ok(response.map_body(|_, body| Chunked::new(body)))
}

/// Around that: keeps small answers, and those of unknown size, from being compressed.
pub(crate) async fn leave_small_bodies<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let mut response = next.call(request).await?;
    let size = response.response().body().size();
    let large = matches!(size, BodySize::Sized(size) if size >= MIN_COMPRESSED_BYTES);
    if !large && !response.headers().contains_key(CONTENT_ENCODING) {
        let identity = HeaderValue::from_static(IDENTITY);
        response.headers_mut().insert(CONTENT_ENCODING, identity);
    }
    Ok(response)
}

fn becomes_socket(operation: Option<&Operation>, request: &ServiceRequest) -> bool {
    operation.is_some_and(Operation::is_socket)
        && request.method() == Method::GET
        && is_upgrade(request.headers())
}
