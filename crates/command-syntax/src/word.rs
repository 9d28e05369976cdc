//! A word of a command, with its quotes resolved.

use std::fmt;

use tree_sitter::Node;

use crate::{ansi_c, ascii};

/// One argument. What is static is known; what follows only from running the command is kept as it was
/// written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Word {
    /// Never two literals beside each other.
    pieces: Vec<Piece>,
}

/// A part of a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// These characters.
    Literal(String),
    /// Unquoted `*`, `?`, `[…]` or `{…}`: names of files, or several words.
    Pattern(String),
    /// Unquoted `~` or `~name` at the beginning: a home folder.
    Tilde(String),
    /// `$X`, `$(…)`, `<(…)`: known when the command runs.
    Dynamic {
        source: String,
        /// In double quotes it stays within its word.
        quoted: bool,
    },
}

impl Word {
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self {
            pieces: vec![Piece::Literal(text.to_owned())],
        }
    }

    /// One of which nothing is known.
    pub(crate) fn dynamic(source: &str) -> Self {
        let piece = Piece::Dynamic {
            source: source.to_owned(),
            quoted: false,
        };
        Self {
            pieces: vec![piece],
        }
    }

    #[must_use]
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The characters that the program gets, if they are known.
    #[must_use]
    pub fn literal(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [] => Some(""),
            [Piece::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether a part of it is known only when the command runs.
    #[must_use]
    pub fn is_dynamic(&self) -> bool {
        let dynamic = |piece: &Piece| matches!(piece, Piece::Dynamic { .. });
        self.pieces.iter().any(dynamic)
    }

    /// As text for a shell: what is dynamic as it was written.
    #[must_use]
    pub fn source(&self) -> String {
        self.pieces.iter().map(Piece::text).collect()
    }

    fn push(&mut self, piece: Piece) {
        match (self.pieces.last_mut(), piece) {
            (_, Piece::Literal(text)) if text.is_empty() => {}
            (Some(Piece::Literal(before)), Piece::Literal(text)) => before.push_str(&text),
            (_, piece) => self.pieces.push(piece),
        }
    }

    /// Adds what follows without a space.
    pub(crate) fn append(&mut self, other: Self) {
        for piece in other.pieces {
            self.push(piece);
        }
    }

    /// The words that `$IFS` makes of it.
    pub(crate) fn split_at_ifs(self) -> Vec<Self> {
        let is_ifs = |piece: &Piece| {
            matches!(piece, Piece::Dynamic { source, quoted: false }
                if source == "$IFS" || source.starts_with("${IFS"))
        };
        if !self.pieces.iter().any(is_ifs) {
            return vec![self];
        }
        let parts = self.pieces.split(is_ifs);
        let parts = parts.filter(|part| !part.is_empty());
        parts
            .map(|part| Self {
                pieces: part.to_vec(),
            })
            .collect()
    }

    /// The word that a node of the syntax tree stands for.
    pub(crate) fn of(node: Node<'_>, source: &str) -> Self {
        let mut word = Self::default();
        word.add(node, source, false);
        let source = &source[node.byte_range()];
        if is_brace_expansion(&word, source) {
            word.pieces = vec![Piece::Pattern(source.to_owned())];
        }
        word.pieces = word.pieces.into_iter().map(Piece::decoded).collect();
        word
    }

    fn add(&mut self, node: Node<'_>, source: &str, quoted: bool) {
        let text = &source[node.byte_range()];
        match node.kind() {
            "raw_string" => self.push(Piece::Literal(inside(text, 1, 1).to_owned())),
            "ansi_c_string" => self.push(Piece::Literal(ansi_c::decode(inside(text, 2, 1)))),
            "string" => self.add_parts(node, source, 1, unescape_quoted),
            "heredoc_body" => self.add_parts(node, source, 0, unescape_quoted),
            "concatenation" | "command_name" | "translated_string" => {
                let mut cursor = node.walk();
                for child in node.children(&mut cursor) {
                    // The `$` before a translated string.
                    if child.is_named() || child.kind() != "$" || node.kind() == "concatenation" {
                        self.add(child, source, quoted);
                    }
                }
            }
            _ if node.named_child_count() == 0 && !is_expansion(node.kind()) => {
                self.add_plain(text)
            }
            _ => self.push(Piece::Dynamic {
                source: text.to_owned(),
                quoted,
            }),
        }
    }

    /// Text with expansions in it, without `quotes` at both ends.
    fn add_parts(&mut self, node: Node<'_>, source: &str, quotes: usize, read: fn(&str) -> String) {
        let mut from = node.start_byte() + quotes;
        let to = node.end_byte().saturating_sub(quotes).max(from);
        let mut cursor = node.walk();
        for child in node.named_children(&mut cursor) {
            if is_expansion(child.kind()) {
                self.push(Piece::Literal(read(
                    source.get(from..child.start_byte()).unwrap_or_default(),
                )));
                self.add(child, source, true);
                from = child.end_byte();
            }
        }
        self.push(Piece::Literal(read(
            source.get(from..to).unwrap_or_default(),
        )));
    }

    /// Text outside of quotes.
    fn add_plain(&mut self, text: &str) {
        let mut literal = String::new();
        let mut pattern = false;
        let mut chars = text.chars().peekable();
        while let Some(char) = chars.next() {
            match char {
                '\\' => match chars.next() {
                    Some('\n') | None => {}
                    Some(escaped) => literal.push(escaped),
                },
                '*' | '?' | '[' => {
                    pattern = true;
                    literal.push(char);
                }
                _ => literal.push(char),
            }
        }
        if self.pieces.is_empty() && text.starts_with('~') {
            let end = literal.find('/').unwrap_or(literal.len());
            let rest = literal.split_off(end);
            self.push(Piece::Tilde(literal));
            literal = rest;
        }
        self.push(if pattern {
            Piece::Pattern(literal)
        } else {
            Piece::Literal(literal)
        });
    }
}

impl Piece {
    /// With the characters that the parser was not shown.
    fn decoded(self) -> Self {
        match self {
            Self::Literal(text) => Self::Literal(ascii::decode(text)),
            Self::Pattern(text) => Self::Pattern(ascii::decode(text)),
            Self::Tilde(text) => Self::Tilde(ascii::decode(text)),
            Self::Dynamic { source, quoted } => Self::Dynamic {
                source: ascii::decode(source),
                quoted,
            },
        }
    }

    /// As it was written, but for quotes.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Literal(text)
            | Self::Pattern(text)
            | Self::Tilde(text)
            | Self::Dynamic { source: text, .. } => text,
        }
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = self.source();
        if source.is_empty() || (source.contains(char::is_whitespace) && !self.is_dynamic()) {
            write!(f, "'{source}'")
        } else {
            f.write_str(&source)
        }
    }
}

fn is_expansion(kind: &str) -> bool {
    matches!(
        kind,
        "simple_expansion"
            | "expansion"
            | "command_substitution"
            | "process_substitution"
            | "arithmetic_expansion"
            | "brace_expression"
    )
}

/// Whether unquoted braces may make several words of it.
fn is_brace_expansion(word: &Word, source: &str) -> bool {
    let unquoted = source.contains('{') && (source.contains(',') || source.contains(".."));
    unquoted && !word.is_dynamic() && !source.starts_with(['\'', '"', '$'])
}

fn unescape_quoted(text: &str) -> String {
    let mut read = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        if char != '\\' {
            read.push(char);
            continue;
        }
        match chars.next() {
            Some('\n') => {}
            Some(escaped @ ('$' | '`' | '"' | '\\')) => read.push(escaped),
            Some(other) => read.extend(['\\', other]),
            None => read.push('\\'),
        }
    }
    read
}

/// A text without what stands at its ends.
fn inside(text: &str, before: usize, after: usize) -> &str {
    text.get(before..text.len().saturating_sub(after).max(before))
        .unwrap_or_default()
}
