//! Conversations in other forms, over the ports of [`core_model`].
//!
//! | module | holds |
//! |---|---|
//! | [`export`] | a log as its lines, or as a transcript in Markdown or HTML |
//! | [`import`] | conversations of the reference server, brought into a store |

#![warn(missing_docs)]

pub mod export;
pub mod import;
