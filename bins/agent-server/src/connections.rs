//! The HTTP server around the API, which limits what connections cost. actix-web's own server reads all
//! requests that a client sends ahead, however few of their answers it reads, and accepts as many
//! connections as there are descriptors.
//!
//! | module | holds |
//! |---|---|
//! | `places` | how many connections are open, in all and per address |
//! | `stream` | the connection: reads no more than is processed, ends when a request head does not come |
//! | `heads` | finds where request heads end |
//! | `activity` | the state that a connection's stream and its requests share |
//! | `under_way` | reports requests, their bodies and answers to the stream |
//! | `refusal` | answers without a handler |

mod activity;
mod heads;
mod places;
mod refusal;
mod stream;
mod under_way;

use std::{fmt, io, net::TcpListener, rc::Rc, sync::Arc, time::Duration};

use actix_http::{HttpService, Protocol, Request, Response, body::MessageBody};
use actix_server::{Server, ServerHandle};
use actix_service::{
    IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt, fn_factory, fn_service,
    map_config,
};
use actix_web::{Error, dev::AppConfig};
use tokio::{net::TcpStream, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{places::Places, refusal::Refusal, stream::BoundedStream};

pub use self::places::ConnectionLimits;

/// Bytes that a connection buffers before it writes them; a client that does not read costs not much more
/// here.
const WRITE_BUFFER: usize = 16 << 10;

/// Connections that one worker serves: more than there can be, because the limit on all connections comes first.
const PER_WORKER: usize = 1 << 20;

/// How long a client may take to read an answer that was sent before the whole request was read.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Threads of a worker that compress answers.
const COMPRESSING_THREADS: usize = 4;

/// Accepts connections and ends them.
pub struct Connections {
    server: ServerHandle,
    open: TaskTracker,
    /// Tells connections to end after the answers that are under way.
    ending: CancellationToken,
}

/// Serves `app`, which is created once for each worker, on a listener. The first part of what it returns has to
/// be polled.
///
/// # Errors
/// When the listener cannot be used.
pub fn serve<F, I, S, B>(
    listener: TcpListener,
    app: F,
    limits: ConnectionLimits,
    workers: usize,
) -> io::Result<(Server, Connections)>
where
    F: Fn() -> I + Send + Clone + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig, Error = Error> + 'static,
    S::InitError: fmt::Debug,
    S::Response: Into<Response<B>> + 'static,
    B: MessageBody + 'static,
{
    let head_timeout = limits.head_timeout;
    let places = Places::new(limits);
    let (open, ending) = (TaskTracker::new(), CancellationToken::new());
    let (tracker, signal) = (open.clone(), ending.clone());
    let builder = Server::build()
        .workers(workers)
        .worker_max_blocking_threads(COMPRESSING_THREADS)
        .max_concurrent_connections(PER_WORKER)
        .disable_signals();
    let server = builder.listen("http", listener, move || {
        let app = app()
            .into_factory()
            .map_err(|error: Error| Response::from(error.error_response().map_into_boxed_body()));
        let (tracker, signal) = (tracker.clone(), signal.clone());
        let http = HttpService::build()
            .graceful_shutdown_signal(move || signal.clone().cancelled_owned())
            // The stream does that, for each head and not only for the first.
            .client_request_timeout(Duration::ZERO)
            .client_disconnect_timeout(DISCONNECT_TIMEOUT)
            .h1_write_buffer_size(WRITE_BUFFER)
            .on_connect_ext(|stream: &BoundedStream, data| {
                data.insert(stream.activity());
            })
            .finish(under_way::tracked(map_config(app, |()| {
                AppConfig::default()
            })));
        let places = Arc::clone(&places);
        fn_factory(move || {
            let http = http.new_service(());
            let (places, tracker) = (Arc::clone(&places), tracker.clone());
            async move {
                let http = Rc::new(http.await?);
                Ok::<_, ()>(fn_service(move |connection: TcpStream| {
                    let (http, places) = (Rc::clone(&http), Arc::clone(&places));
                    tracker.track_future(async move {
                        let Ok(peer) = connection.peer_addr() else {
                            // The client has disconnected already.
                            return Ok(());
                        };
                        match places.take(peer.ip()) {
                            Ok(place) => {
                                let stream = BoundedStream::new(connection, place, head_timeout);
                                http.call((stream, Protocol::Http1, Some(peer))).await
                            }
                            Err(()) => {
                                refusal::send(Refusal::NoPlace, connection).await;
                                Ok(())
                            }
                        }
                    })
                }))
            }
        })
    })?;
    let server = server.run();
    let connections = Connections {
        server: server.handle(),
        open,
        ending,
    };
    Ok((server, connections))
}

impl Connections {
    /// Accepts no more of them. Some may still reach a worker afterwards.
    pub async fn pause(&self) {
        self.server.pause().await;
    }

    /// Ends all connections: those with an answer under way after it, or after `answers_timeout`. Then the
    /// server ends.
    pub async fn end(&self, answers_timeout: Duration) {
        self.ending.cancel();
        self.open.close();
        // Waits for them here, because a worker that is stopped with open connections looks for their end only
        // once a second.
        let all_ended = timeout(answers_timeout, self.open.wait()).await.is_ok();
        self.server.stop(all_ended).await;
    }
}
