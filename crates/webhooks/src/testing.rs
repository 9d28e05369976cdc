//! A store in memory and a receiver that follows a script, for tests on a paused clock.

mod memory;
mod receiver;

pub(crate) use memory::Memory;
pub(crate) use receiver::{Reaction, TestReceiver};
