//! The syntax tree of a text, within limits.

use std::ops::ControlFlow;

use tree_sitter::{Node, ParseOptions, ParseState, Parser, Tree};

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

/// Whether the whole text is understood. The grammar takes some lines for parts of the word before them,
/// which a shell never does.
pub(crate) fn is_sound(tree: &Tree, source: &str) -> bool {
    let root = tree.root_node();
    if root.has_error() {
        return false;
    }
    if !source.trim_end().contains('\n') {
        return true;
    }
    let mut cursor = root.walk();
    loop {
        let node = cursor.node();
        let is_plain = matches!(
            node.kind(),
            "word" | "number" | "variable_name" | "test_operator"
        );
        if is_plain && spans_lines(&source[node.byte_range()]) {
            return false;
        }
        let is_line = matches!(
            node.kind(),
            "command" | "declaration_command" | "redirected_statement"
        );
        if is_line && joins_lines(node, source) {
            return false;
        }
        if cursor.goto_first_child() {
            continue;
        }
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                return true;
            }
        }
    }
}

/// Whether there is a line break between two parts.
fn joins_lines(node: Node<'_>, source: &str) -> bool {
    let mut cursor = node.walk();
    let mut before = node.start_byte();
    node.children(&mut cursor).any(|child| {
        let between = source.get(before..child.start_byte()).unwrap_or_default();
        before = child.end_byte();
        spans_lines(between)
    })
}

/// Whether it has a line break that no backslash stands before.
fn spans_lines(text: &str) -> bool {
    let mut escaped = false;
    text.chars().any(|char| {
        let breaks = char == '\n' && !escaped;
        escaped = char == '\\' && !escaped;
        breaks
    })
}
