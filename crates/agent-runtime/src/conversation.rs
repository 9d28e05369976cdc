//! One conversation as its clients use it: the handle, the reads, and the actor that is its only writer.

pub(crate) mod actor;
pub(crate) mod batch;
mod commit;
pub(crate) mod decide;
pub(crate) mod handle;
mod reads;
pub(crate) mod recover;
