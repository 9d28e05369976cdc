//! A store in memory and a receiver that answers as it is told, for tests on a paused clock.

mod follower_table;
mod log;
mod memory;
mod receiver;

pub(crate) use memory::Memory;
pub(crate) use receiver::{Reaction, Receiver};
