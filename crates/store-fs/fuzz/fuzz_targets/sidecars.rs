//! A store's list, feed and receipts after any harm: opened, read, added to, opened again.
#![no_main]

#[allow(dead_code)]
#[path = "../../tests/store/invariants.rs"]
mod invariants;
#[allow(dead_code)]
#[path = "../../tests/store/support.rs"]
mod support;

use invariants::{Sidecars, check_sidecars};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|case: Sidecars| check_sidecars(&case));
