//! The syntax tree of a text, within limits.

use std::ops::ControlFlow;

use tree_sitter::{ParseOptions, ParseState, Parser, Tree};

use crate::Gap;

/// Longer texts are not read, in bytes.
pub(crate) const MAX_BYTES: usize = 256 * 1024;
/// The parser counts its work in hundreds of operations.
const BASE_WORK: usize = 2_000;
const BYTES_A_WORK: usize = 4;

/// # Errors
/// Why it is not read.
pub(crate) fn parse(source: &str) -> Result<Tree, Gap> {
    if source.len() > MAX_BYTES {
        return Err(Gap::TooLong);
    }
    let mut parser = Parser::new();
    let language = tree_sitter_bash::LANGUAGE.into();
    parser
        .set_language(&language)
        .map_err(|_incompatible| Gap::Syntax)?;
    let mut work = BASE_WORK + source.len() / BYTES_A_WORK;
    let mut progress = |_: &ParseState| {
        work = work.saturating_sub(1);
        if work == 0 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    let options = ParseOptions::new().progress_callback(&mut progress);
    let bytes = source.as_bytes();
    let mut input = |at: usize, _| bytes.get(at..).unwrap_or_default();
    parser
        .parse_with_options(&mut input, None, Some(options))
        .ok_or(Gap::TooComplex)
}
