//! From the syntax tree to commands.

use std::ops::Range;

use tree_sitter::Node;

use crate::{
    Gap, Input, Reading, SimpleCommand, Via, Word, ascii, continued,
    nodes::{add_redirect, simple_command},
    started::{Started, started_by},
    syntax::{self, MAX_BYTES},
};

/// How deep a tree is followed, and how deep texts within texts.
const MAX_DEPTH: usize = 200;
const MAX_TEXT_DEPTH: usize = 8;
const MAX_COMMANDS: usize = 4_000;
/// Lines of a text that is not well formed, and beginnings of it, that are read by themselves.
const MAX_PARTS: usize = 500;
const MAX_BEGINNINGS: usize = 20;

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
    /// It was read as a whole before.
    is_retry: bool,
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
        let (source, is_whole) = ascii::encode(source);
        let source = source.as_ref();
        if !is_whole {
            self.gap(Gap::Syntax);
        }
        let tree = match syntax::parse(source) {
            Ok(tree) => tree,
            Err(gap) => return self.gap(gap),
        };
        self.node(tree.root_node(), source, place);
        if !syntax::is_sound(&tree, source) {
            self.gap(Gap::Syntax);
            if !place.is_retry {
                self.parts_of(&ascii::decode(source.to_owned()), place);
            }
        }
    }

    /// Reads a text that is not well formed in parts: a shell carries out what comes before a mistake, and
    /// the parser may take that for something else because of what comes after it.
    fn parts_of(&mut self, source: &str, place: &Place) {
        let place = Place {
            is_retry: true,
            ..place.clone()
        };
        let ends = source.match_indices('\n').map(|(at, _)| at);
        let mut start = 0;
        for (count, end) in ends.chain([source.len()]).enumerate() {
            if count == MAX_PARTS {
                return self.gap(Gap::TooComplex);
            }
            self.text(&source[start..end], &place);
            if start > 0 && count < MAX_BEGINNINGS {
                self.text(&source[..end], &place);
            }
            start = end + 1;
        }
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
            // The grammar may take the rest of a pipe for a pipe of its own.
            Some(before) => before.start,
            None => self.reading.commands.len(),
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
