//! The store on a disk that fails, fills up, kills its process and loses power.
//!
//! | module | holds |
//! |---|---|
//! | `disk`, `file`, `folder`, `plan` | a disk in memory with a cache and a medium, and what goes wrong with it |
//! | `world` | a store on it, and what that store has acknowledged |
//! | `compare` | what is found, beside that |
//! | `receipts` | the same for keyed requests |
//! | `sequences` | any operations in any order |
//! | `tails` | a log cut at every byte |
//! | `regressions` | what went wrong once |

mod compare;
mod disk;
mod file;
mod folder;
mod plan;
mod receipts;
mod regressions;
mod sequences;
mod tails;
mod world;
