//! What sockets and event streams send: pages of a follower, encoded for the connection, which pulls them
//! as the body of a response, to an end with a reason.

mod close_reason;
mod frame_body;
mod frame_encoding;
mod frame_source;
mod frame_stream;
mod slots;

pub(crate) use close_reason::CloseReason;
pub(crate) use frame_body::FrameSender;
pub(crate) use frame_encoding::FrameEncoding;
pub(crate) use frame_source::FrameSource;
pub(crate) use frame_stream::frame_chunks;
pub(crate) use slots::{FollowerSlot, FollowerSlots, SlotFor};
