//! What programs need that drive a server of this protocol from outside: where it is, a lean
//! connection to it, and the server's process itself.

mod api;
mod connection;
mod process;
mod target;

pub use api::Api;
pub use connection::{Answer, Connection};
pub use process::{Server, find_binary};
pub use target::{Dialect, Target};
