use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use actix_http::{
    Payload, Request, Response,
    body::{BodySize, MessageBody},
    error::PayloadError,
    header::{CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING, UPGRADE},
};
use actix_service::{Service, ServiceFactory, fn_factory, fn_service};
use bytes::Bytes;
use futures_util::{FutureExt, Stream, StreamExt};
use pin_project_lite::pin_project;

use super::activity::{Activity, Call};

/// The same service, which reports to each connection's [`Activity`] what is under way on it.
pub(super) fn tracked<S, B>(
    service: S,
) -> impl ServiceFactory<
    Request,
    Config = (),
    Response = Response<Answer<B>>,
    Error = S::Error,
    InitError = S::InitError,
    Service = impl Service<Request, Response = Response<Answer<B>>, Error = S::Error, Future: 'static>,
    Future: 'static,
>
where
    S: ServiceFactory<Request, Config = ()> + 'static,
    S::Response: Into<Response<B>>,
    B: MessageBody + 'static,
{
    fn_factory(move || {
        let service = service.new_service(());
        async move {
            let service = Rc::new(service.await?);
            Ok(fn_service(move |mut request: Request| {
                let service = Rc::clone(&service);
                let activity = request.conn_data::<Rc<Activity>>().cloned();
                let call = activity.map(|activity| {
                    let payload = request.take_payload();
                    let call = activity.begin(body_length(&payload, &request.head().headers));
                    *request.payload() = track_body(payload, activity);
                    call
                });
                async move {
                    let response = service.call(request).await?.into();
                    Ok(response.map_body(|_, body| Answer { body, call }))
                }
            }))
        }
    })
}

pin_project! {
    /// An answer's body. The request is under way until it is dropped.
    pub(super) struct Answer<B> {
        #[pin]
        body: B,
        call: Option<Call>,
    }
}

impl<B: MessageBody> MessageBody for Answer<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        self.project().body.poll_next(cx)
    }
}

/// How many bytes of body follow the head; none when the length is unknown until the body's end.
fn body_length(payload: &Payload, headers: &HeaderMap) -> Option<u64> {
    if matches!(payload, Payload::None) {
        return Some(0);
    }
    if headers.contains_key(TRANSFER_ENCODING) || headers.contains_key(UPGRADE) {
        return None;
    }
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn track_body(payload: Payload, activity: Rc<Activity>) -> Payload {
    if matches!(payload, Payload::None) {
        return payload;
    }
    let tracked = TrackedBody {
        payload,
        activity,
        ended: false,
    };
    Payload::Stream {
        payload: Box::pin(tracked),
    }
}

/// A request's body.
struct TrackedBody {
    payload: Payload,
    activity: Rc<Activity>,
    ended: bool,
}

impl Stream for TrackedBody {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.payload.poll_next_unpin(cx);
        match polled {
            Poll::Pending => self.activity.want_body(),
            Poll::Ready(None | Some(Err(_))) => self.ended = true,
            Poll::Ready(Some(Ok(_))) => {}
        }
        polled
    }
}

impl Drop for TrackedBody {
    fn drop(&mut self) {
        while !self.ended {
            match self.payload.next().now_or_never() {
                Some(Some(Ok(_))) => {}
                Some(Some(Err(_)) | None) => self.ended = true,
                None => {
                    self.activity.leave_body();
                    return;
                }
            }
        }
    }
}
