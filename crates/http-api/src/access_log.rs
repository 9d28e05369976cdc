//! The middleware around every route: one log line a request, foreign hosts and pages refused, the
//! key asked for. Bodies, query strings and secrets are never logged; paths only as their templates.

use std::{sync::Arc, time::Instant};

use actix_web::{
    Error, ResponseError,
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
    auth::{self, Permit},
    configure::Shared,
    encoding,
    error::Failure,
    gathered::InPieces,
    query::Params,
    routes::{SOCKET_ROUTES, STREAM_ROUTE},
};

/// Answers of fewer bytes are not worth compressing.
const SMALL: u64 = 1024;
const IDENTITY: &str = "identity";

/// Whether a route asks for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Open,
    Keyed,
}

/// Outermost: refuses what comes by foreign hosts or from foreign pages, and writes the log line.
pub(crate) async fn edge<B: MessageBody>(
    shared: Arc<Shared>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let started = Instant::now();
    let span = telemetry::request(request.method().as_str());
    let checked = shared.hosts.check(request.head());
    let checked = checked.and_then(|()| shared.origins.check(request.head()));
    let mut response = match checked {
        Ok(()) => {
            let answered = next.call(request).instrument(span.clone()).await?;
            answered.map_into_left_body()
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
        route: request.match_pattern().as_deref(),
        status: response.status().as_u16(),
        elapsed: started.elapsed(),
        conversation: id.as_deref(),
    };
    served.emit(&span);
    Ok(response)
}

/// Asks for the key, before the path is looked up and before any body is read. Requests to become a
/// socket pass: they may show their key in the first frame.
pub(crate) async fn door<B: MessageBody>(
    shared: Arc<Shared>,
    door: Door,
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let open = door == Door::Open
        || becomes_socket(&request)
        || shared
            .keys
            .judge_with(request.headers(), key_in_url(&request).as_deref())
            == Permit::Granted;
    if open {
        return Ok(match encoding::check(&mut request) {
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

/// Innermost: hands answers over in pieces.
pub(crate) async fn in_pieces<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<InPieces<B>>, Error> {
    let response = next.call(request).await?;
    Ok(response.map_body(|_, body| InPieces::new(body)))
}

/// Around that: keeps small answers, and those of unknown size, from being compressed.
pub(crate) async fn leave_small_bodies<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let mut response = next.call(request).await?;
    let large = matches!(response.response().body().size(), BodySize::Sized(size) if size >= SMALL);
    if !large && !response.headers().contains_key(CONTENT_ENCODING) {
        let identity = HeaderValue::from_static(IDENTITY);
        response.headers_mut().insert(CONTENT_ENCODING, identity);
    }
    Ok(response)
}

/// Only event streams may bring one.
fn key_in_url(request: &ServiceRequest) -> Option<String> {
    let streams = request
        .match_pattern()
        .is_some_and(|route| route.ends_with(STREAM_ROUTE));
    streams.then(|| Params::parse(request.query_string()).text("session_api_key"))?
}

fn becomes_socket(request: &ServiceRequest) -> bool {
    request.method() == Method::GET
        && auth::is_upgrade(request.headers())
        && request
            .match_pattern()
            .is_some_and(|route| SOCKET_ROUTES.iter().any(|socket| route.ends_with(socket)))
}
