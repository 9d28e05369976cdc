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
use actix_server::Server;
use actix_service::{
    IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt, fn_factory, fn_service,
    map_config,
};
use actix_web::{Error, dev::AppConfig};
use tokio::net::TcpStream;

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

/// Serves `app`, which is created once for each worker, on a listener.
///
/// # Errors
/// When the listener cannot be used.
pub fn serve<F, I, S, B>(
    listener: TcpListener,
    app: F,
    limits: ConnectionLimits,
    workers: usize,
    shutdown_timeout: Duration,
) -> io::Result<Server>
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
    let builder = Server::build()
        .workers(workers)
        .worker_max_blocking_threads(COMPRESSING_THREADS)
        .max_concurrent_connections(PER_WORKER)
        .shutdown_timeout(shutdown_timeout.as_secs())
        .disable_signals();
    let signal = builder.graceful_shutdown_signal();
    let server = builder.listen("http", listener, move || {
        let app = app()
            .into_factory()
            .map_err(|error: Error| Response::from(error.error_response().map_into_boxed_body()));
        let signal = signal.clone();
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let signal = signal.clone();
                async move { signal.notified().await }
            })
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
            let places = Arc::clone(&places);
            async move {
                let http = Rc::new(http.await?);
                Ok::<_, ()>(fn_service(move |connection: TcpStream| {
                    let (http, places) = (Rc::clone(&http), Arc::clone(&places));
                    async move {
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
                    }
                }))
            }
        })
    })?;
    Ok(server.run())
}
