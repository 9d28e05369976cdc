//! What the docstrings of [`core_model::port`] promise, tested on the store that a test binary calls
//! `Tested`.
//!
//! | module | tests |
//! |---|---|
//! | `catalog`, `listing`, `deletion` | conversations and their list |
//! | `staging` | conversations that are made with a log |
//! | `append`, `reading`, `growth` | logs |
//! | `claims`, `servers`, `orphans` | who may write |
//! | `feed`, `receipts`, `deliveries`, `spending` | the ports of these names |
//! | `cancellation` | calls that are dropped at any of their awaits |
//! | `model` | random calls, compared with a plain model |
//! | `fixture`, `steps` | what the tests are made of |

mod append;
mod cancellation;
mod catalog;
mod claims;
mod deletion;
mod deliveries;
mod feed;
mod fixture;
mod growth;
mod listing;
mod model;
mod orphans;
mod reading;
mod receipts;
mod servers;
mod spending;
mod staging;
mod steps;

use std::sync::Arc;

use core_model::{Store, port::DeliveryRecords};

/// A store under test, through one server on it.
pub(super) trait Subject: Sized {
    /// How many random sequences of calls are worth their time.
    const CASES: u32;

    /// An empty store.
    fn empty() -> Self;

    fn store(&self) -> &Arc<dyn Store>;

    /// The records of deliveries of this store, where deleted conversations wait from now on.
    fn records(&self) -> Arc<dyn DeliveryRecords>;

    /// The same store through a server that starts after this one's end. Nothing of it may be in use.
    fn reopen(self) -> Self;

    /// Another server that is alive at the same time; none for a store that has one at a time.
    fn another(&self) -> Option<Self>;

    /// Has the other servers take this one for dead, though it is not.
    fn die(&self);
}
