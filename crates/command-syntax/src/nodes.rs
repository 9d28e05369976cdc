//! What a node of the syntax tree says of one command.

use tree_sitter::Node;

use crate::{Input, Redirection, SimpleCommand, Word, ascii};

/// The words, assignments and redirections of one command node.
pub(crate) fn simple_command(node: Node<'_>, source: &str) -> SimpleCommand {
    let mut command = SimpleCommand::default();
    let mut words: Vec<(Word, usize)> = Vec::new();
    let mut cursor = node.walk();
    for child in node.children(&mut cursor) {
        match child.kind() {
            "variable_assignment" if node.kind() == "command" => {
                let text = &source[child.byte_range()];
                command.assignments.push(text.to_owned());
            }
            "file_redirect" | "herestring_redirect" | "heredoc_redirect" => {
                add_redirect(&mut command, child, source);
            }
            "comment" => {}
            _ => {
                let word = Word::of(child, source);
                // The grammar parts a word where quotes are followed by a backslash.
                match words.last_mut() {
                    Some((before, end)) if *end == child.start_byte() => {
                        before.append(word);
                        *end = child.end_byte();
                    }
                    Some(_) | None => words.push((word, child.end_byte())),
                }
            }
        }
    }
    let words = words.into_iter().map(|(word, _)| word);
    command.words.extend(words.flat_map(Word::split_at_ifs));
    if node.kind() == "test_command" {
        // It starts nothing but what is inside it.
        let text = &ascii::decode(source[node.byte_range()].to_owned());
        let dynamic = command.words.iter().any(Word::is_dynamic);
        let what = if dynamic {
            Word::dynamic(text)
        } else {
            Word::new(text)
        };
        command.words = vec![Word::new("["), what];
    }
    command
}

/// Adds a redirection, and returns what else stands on its line.
pub(crate) fn add_redirect<'tree>(
    command: &mut SimpleCommand,
    redirect: Node<'tree>,
    source: &str,
) -> Vec<Node<'tree>> {
    let mut operator = String::new();
    let mut targets = Vec::new();
    let mut later = Vec::new();
    let mut cursor = redirect.walk();
    for child in redirect.children(&mut cursor) {
        match child.kind() {
            "file_descriptor" | "heredoc_start" | "heredoc_end" => {}
            "heredoc_body" => {
                let raw = is_quoted_heredoc(redirect, source);
                let text = if raw {
                    Word::new(&ascii::decode(source[child.byte_range()].to_owned()))
                } else {
                    Word::of(child, source)
                };
                command.input = Some(Input::Text(text));
            }
            "file_redirect" | "herestring_redirect" => {
                add_redirect(command, child, source);
            }
            _ if !child.is_named() && operator.is_empty() && targets.is_empty() => {
                child.kind().clone_into(&mut operator);
            }
            _ if !child.is_named() => later.push(child),
            _ if redirect.kind() == "heredoc_redirect" && is_statement(child.kind()) => {
                later.push(child);
            }
            _ => targets.push(Word::of(child, source)),
        }
    }
    match redirect.kind() {
        "heredoc_redirect" => command.words.append(&mut targets),
        "herestring_redirect" => {
            command.input = targets.pop().map(Input::Text);
        }
        _ => {
            for target in targets {
                if operator == "<" {
                    command.input = Some(Input::File(target.clone()));
                }
                let operator = operator.clone();
                command.redirections.push(Redirection { operator, target });
            }
        }
    }
    later
}

fn is_statement(kind: &str) -> bool {
    matches!(
        kind,
        "pipeline"
            | "list"
            | "command"
            | "redirected_statement"
            | "compound_statement"
            | "subshell"
    ) || kind.ends_with("_statement")
        || kind.ends_with("_command")
}

/// Whether nothing in a here-document is expanded.
fn is_quoted_heredoc(redirect: Node<'_>, source: &str) -> bool {
    let mut cursor = redirect.walk();
    let mut children = redirect.children(&mut cursor);
    let start = children.find(|child| child.kind() == "heredoc_start");
    start.is_some_and(|start| source[start.byte_range()].contains(['\'', '"', '\\']))
}
