//! What programs need that drive a server of this protocol from outside: where it is, a lean
//! connection to it, the server's process itself, and a receiver for its webhooks.

mod api;
mod connection;
mod process;
mod receiver;
mod target;

pub use api::Api;
pub use connection::{Answer, Connection};
pub use process::{Server, Sleeps, find_binary};
pub use receiver::{Bodies, Receiver, Reply, Request};
pub use target::{Dialect, Target};
