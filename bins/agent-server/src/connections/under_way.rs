use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use actix_http::{
    Payload, Request, Response,
    body::{BodySize, MessageBody},
    error::PayloadError,
};
use actix_service::{Service, ServiceFactory, fn_factory, fn_service};
use bytes::Bytes;
use futures_util::{FutureExt, Stream, StreamExt};
use pin_project_lite::pin_project;

use super::activity::{Activity, Call};

/// The same service, which tells each connection's [`Activity`] what is under way on it.
pub(super) fn told<S, B>(
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
                let call = request.conn_data::<Rc<Activity>>().map(Activity::begin);
                if let Some(activity) = request.conn_data::<Rc<Activity>>().cloned() {
                    let payload = request.take_payload();
                    *request.payload() = watched(payload, activity);
                }
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

fn watched(payload: Payload, activity: Rc<Activity>) -> Payload {
    if matches!(payload, Payload::None) {
        return payload;
    }
    let watched = Watched {
        payload,
        activity,
        ended: false,
    };
    Payload::Stream {
        payload: Box::pin(watched),
    }
}

/// A request's body.
struct Watched {
    payload: Payload,
    activity: Rc<Activity>,
    ended: bool,
}

impl Stream for Watched {
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

impl Drop for Watched {
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
