//! One conversation as its clients use it: the handle, the reads, and the actor that is its only writer.

mod actor;
mod batch;
mod changes;
mod commit;
mod decide;
mod done;
mod end_of_turn;
mod goal;
mod goal_handle;
pub(crate) mod handle;
mod queue;
mod reads;
mod run_control;
mod spoken;
mod titling;
mod unanswered;
