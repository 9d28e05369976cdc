//! From the syntax tree to commands.

use std::ops::Range;

use tree_sitter::Node;

use crate::{
    Gap, Input, Reading, Redirection, SimpleCommand, Via, Word, continued,
    started::{Started, started_by},
    syntax::{self, MAX_BYTES},
};

/// How deep a tree is followed, and how deep texts within texts.
const MAX_DEPTH: usize = 200;
const MAX_TEXT_DEPTH: usize = 8;
const MAX_COMMANDS: usize = 4_000;

/// Reads a text as `bash` does, without running anything.
#[must_use]
pub fn read(source: &str) -> Reading {
    let mut reader = Reader::default();
    reader.text(source, &Place::default());
    if let Some(joined) = continued::joined(source) {
        // The shell sees this one; the other reading stays, in case it does not.
        reader.text(&joined, &Place::default());
        reader.reading.gaps.insert(Gap::Syntax);
    }
    reader.reading
}

#[derive(Default)]
struct Reader {
    reading: Reading,
    /// Of all texts so far.
    bytes: usize,
}

/// Where in the text something stands.
#[derive(Clone, Default)]
struct Place {
    via: Vec<Via>,
    part_of: Option<usize>,
    fed_by: Option<Range<usize>>,
    depth: usize,
    texts: usize,
}

impl Place {
    fn deeper(&self) -> Self {
        Self {
            depth: self.depth + 1,
            ..self.clone()
        }
    }

    fn via(&self, via: Via) -> Self {
        let mut place = self.deeper();
        place.via.push(via);
        place
    }

    fn fed_by(&self, stages: Range<usize>) -> Self {
        let fed_by = if stages.is_empty() {
            self.fed_by.clone()
        } else {
            Some(stages)
        };
        Self {
            fed_by,
            ..self.deeper()
        }
    }
}

impl Reader {
    fn gap(&mut self, gap: Gap) {
        self.reading.gaps.insert(gap);
    }

    fn text(&mut self, source: &str, place: &Place) {
        self.bytes += source.len();
        if self.bytes > 2 * MAX_BYTES {
            return self.gap(Gap::TooLong);
        }
        if place.texts > MAX_TEXT_DEPTH {
            return self.gap(Gap::TooDeep);
        }
        let tree = match syntax::parse(source) {
            Ok(tree) => tree,
            Err(gap) => return self.gap(gap),
        };
        if tree.root_node().has_error() {
            self.gap(Gap::Syntax);
        }
        self.node(tree.root_node(), source, place);
    }

    fn node(&mut self, node: Node<'_>, source: &str, place: &Place) {
        if place.depth > MAX_DEPTH {
            return self.gap(Gap::TooDeep);
        }
        match node.kind() {
            "command" | "declaration_command" | "unset_command" | "test_command" => {
                self.command(node, source, place);
            }
            "variable_assignment" | "variable_assignments" => {
                let at = self.push(
                    SimpleCommand {
                        assignments: vec![source[node.byte_range()].to_owned()],
                        ..SimpleCommand::default()
                    },
                    place,
                );
                self.inside(node, source, place, at);
            }
            "redirected_statement" => self.redirected(node, source, place),
            "pipeline" => self.pipeline(node, source, place),
            "command_substitution" | "process_substitution" => {
                self.children(node, source, &place.via(Via::Substitution));
            }
            "comment" => {}
            _ if node.child_count() == 0 => {
                let text = source[node.byte_range()].trim();
                let text = if text.is_empty() { ";" } else { text };
                self.reading.shape.push_str(text);
                self.reading.shape.push(' ');
            }
            _ => self.children(node, source, &place.deeper()),
        }
    }

    fn children(&mut self, node: Node<'_>, source: &str, place: &Place) {
        let mut cursor = node.walk();
        for child in node.children(&mut cursor) {
            self.node(child, source, place);
        }
    }

    /// Each stage is fed by those before it.
    fn pipeline(&mut self, node: Node<'_>, source: &str, place: &Place) {
        let first = match &place.fed_by {
            // It continues a line with a here-document.
            Some(before) if node.child(0).is_some_and(|child| !child.is_named()) => before.start,
            Some(_) | None => self.reading.commands.len(),
        };
        let mut cursor = node.walk();
        for stage in node.children(&mut cursor) {
            let before = first..self.reading.commands.len();
            self.node(stage, source, &place.fed_by(before));
        }
    }

    fn redirected(&mut self, node: Node<'_>, source: &str, place: &Place) {
        let first = self.reading.commands.len();
        let mut cursor = node.walk();
        let mut redirects = Vec::new();
        let mut bodies = Vec::new();
        for child in node.children(&mut cursor) {
            if child.kind().ends_with("_redirect") {
                redirects.push(child);
            } else {
                bodies.push(child);
            }
        }
        let mut target = SimpleCommand::default();
        let mut later = Vec::new();
        for redirect in &redirects {
            later.extend(add_redirect(&mut target, *redirect, source));
        }
        match bodies.as_slice() {
            [body]
                if matches!(
                    body.kind(),
                    "command" | "declaration_command" | "test_command"
                ) =>
            {
                let mut command = simple_command(*body, source);
                command.words.append(&mut target.words);
                command.redirections.append(&mut target.redirections);
                command.input = target.input.or(command.input);
                let at = self.push(command, place);
                self.inside(*body, source, place, at);
                self.parts(&redirects, source, place, at);
                self.started(at, place);
            }
            _ => {
                for body in bodies {
                    self.node(body, source, &place.deeper());
                }
                let at = self.reading.commands.len();
                // Of several commands: what they all write or read, as a command without a name.
                let input = target.input.take();
                for command in &mut self.reading.commands[first..] {
                    if command.fed_by.is_none() && command.input.is_none() {
                        command.input.clone_from(&input);
                    }
                }
                if matches!(input, Some(Input::Text(_))) {
                    for index in first..at {
                        self.started(index, place);
                    }
                }
                let at = self.push(target, place);
                self.parts(&redirects, source, place, at);
            }
        }
        for node in later {
            let before = first..self.reading.commands.len();
            self.node(node, source, &place.fed_by(before));
        }
    }

    fn command(&mut self, node: Node<'_>, source: &str, place: &Place) {
        let at = self.push(simple_command(node, source), place);
        self.inside(node, source, place, at);
        self.started(at, place);
    }

    /// The command's index.
    fn push(&mut self, mut command: SimpleCommand, place: &Place) -> usize {
        command.via.clone_from(&place.via);
        command.part_of = place.part_of;
        command.fed_by.clone_from(&place.fed_by);
        let at = self.reading.commands.len();
        self.reading.shape.push_str("C ");
        self.reading.commands.push(command);
        at
    }

    /// What is run to find out the words of a command.
    fn parts(&mut self, nodes: &[Node<'_>], source: &str, place: &Place, at: usize) {
        for node in nodes {
            self.inside(*node, source, place, at);
        }
    }

    fn inside(&mut self, node: Node<'_>, source: &str, place: &Place, at: usize) {
        if place.depth > MAX_DEPTH {
            return self.gap(Gap::TooDeep);
        }
        let mut cursor = node.walk();
        for child in node.named_children(&mut cursor) {
            let mut place = place.deeper();
            if matches!(
                child.kind(),
                "command_substitution" | "process_substitution"
            ) {
                place.part_of = Some(at);
                place.fed_by = None;
                self.node(child, source, &place);
            } else if !matches!(child.kind(), "pipeline" | "list" | "command") {
                self.inside(child, source, &place, at);
            } else if node.kind() != "heredoc_redirect" {
                self.node(child, source, &place);
            }
        }
    }

    /// Reads on in what a command starts.
    fn started(&mut self, at: usize, place: &Place) {
        if self.reading.commands.len() > MAX_COMMANDS {
            return self.gap(Gap::TooComplex);
        }
        if place.depth > MAX_DEPTH {
            return self.gap(Gap::TooDeep);
        }
        let Some(command) = self.reading.commands.get(at).cloned() else {
            return;
        };
        let Started {
            commands,
            mut texts,
            gaps,
            reads_input,
        } = started_by(&command);
        self.reading.gaps.extend(gaps);
        let program = command.program().unwrap_or_default().to_owned();
        if reads_input && let Some(before) = &command.fed_by {
            match self.piped_text(before.clone()) {
                Some(text) => texts.push(text),
                None => self.gap(Gap::UnknownText),
            }
        }
        for words in commands {
            let inner = SimpleCommand {
                words,
                input: command.input.clone(),
                ..SimpleCommand::default()
            };
            let mut place = place.via(Via::Program(program.clone()));
            place.via = command.via.clone();
            place.via.push(Via::Program(program.clone()));
            place.part_of = command.part_of;
            place.fed_by.clone_from(&command.fed_by);
            let at = self.push(inner, &place);
            self.started(at, &place);
        }
        for text in texts {
            if text.is_dynamic() {
                self.gap(Gap::UnknownText);
            }
            let mut place = place.deeper();
            place.via = command.via.clone();
            place.via.push(Via::Text(program.clone()));
            place.part_of = command.part_of;
            place.texts += 1;
            self.text(&text.source(), &place);
        }
    }

    /// What the commands of a pipe write, if that is known without running them.
    fn piped_text(&self, before: Range<usize>) -> Option<Word> {
        let [command] = self.reading.commands.get(before)? else {
            return None;
        };
        let words: Vec<&Word> = command.arguments().iter().collect();
        match command.program()? {
            "cat" if command.arguments().is_empty() => match &command.input {
                Some(Input::Text(text)) => Some(text.clone()),
                Some(Input::File(_)) | None => None,
            },
            "echo" => match words.as_slice() {
                [first, rest @ ..] if first.literal() == Some("-n") => said(rest),
                // Other options have escapes read.
                [first, ..] if first.source().starts_with('-') => None,
                words => said(words),
            },
            // Other formats put it together in ways of their own.
            "printf" => match words.as_slice() {
                [text] if !text.source().contains(['%', '\\']) => said(&words),
                [format, text]
                    if matches!(format.literal(), Some("%s" | "%s\\n" | "%b" | "%b\\n"))
                        && !text.source().contains('\\') =>
                {
                    said(&[text])
                }
                _ => None,
            },
            _ => None,
        }
    }
}

fn said(words: &[&Word]) -> Option<Word> {
    let literal: Option<Vec<&str>> = words.iter().map(|word| word.literal()).collect();
    literal.map(|words| Word::new(&words.join(" ")))
}

/// The words, assignments and redirections of one command node.
fn simple_command(node: Node<'_>, source: &str) -> SimpleCommand {
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
        let text = &source[node.byte_range()];
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
fn add_redirect<'tree>(
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
                    Word::new(&source[child.byte_range()])
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
