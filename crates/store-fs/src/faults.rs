//! The store on a disk that fails, fills up, kills its process and loses power.
//!
//! | module | holds |
//! |---|---|
//! | `disk`, `file`, `folder`, `plan` | a disk in memory with a cache and a medium, and what goes wrong with it |
//! | `world` | a store on it, and what that store has acknowledged |
//! | `compare` | what is found, beside that |
//! | `receipts` | the same for keyed requests |
//! | `notes` | the same for the records of followers |
//! | `deletions` | a conversation that is deleted into the outbox, cut off anywhere |
//! | `staging` | a conversation that is made with a log, cut off anywhere |
//! | `sequences` | any operations in any order |
//! | `tails` | a log cut at every byte |
//! | `regressions` | what went wrong once |

mod compare;
mod deletions;
mod disk;
mod file;
mod folder;
mod notes;
mod plan;
mod receipts;
mod regressions;
mod sequences;
mod staging;
mod tails;
mod world;

pub(crate) use world::record;
