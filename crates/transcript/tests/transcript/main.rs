//! Exports and imports, in one test binary.
#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails is a test that fails"
)]

mod export;
mod export_markup;
mod import;
mod support;
