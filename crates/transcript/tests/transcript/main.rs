//! Exports and imports, in one test binary.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper that fails is a test that fails"
)]

mod export;
mod export_markup;
mod import;
mod support;
