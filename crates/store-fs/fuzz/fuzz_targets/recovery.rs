//! A log, its index and its metadata after any harm: opened, read, added to, opened again.
#![no_main]

#[allow(dead_code)]
#[path = "../../tests/store/invariants.rs"]
mod invariants;
#[allow(dead_code)]
#[path = "../../tests/store/support.rs"]
mod support;

use invariants::{Case, check_recovery};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|case: Case| check_recovery(&case));
