//! What a text says, as far as it can be known without running it.

use std::{collections::BTreeSet, fmt, ops::Range};

use crate::Word;

/// What is known of a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Outer commands stand before those that they start.
    pub commands: Vec<SimpleCommand>,
    /// Why there may be more commands than these.
    pub gaps: BTreeSet<Gap>,
    /// How the commands hang together: operators, keywords, and what is neither a command nor part of one.
    /// Two texts with the same commands and the same shape do the same.
    pub shape: String,
}

/// One program or builtin with its arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SimpleCommand {
    /// The program first. Empty where there are only assignments or redirections.
    pub words: Vec<Word>,
    /// `NAME=value` in front of it.
    pub assignments: Vec<String>,
    pub redirections: Vec<Redirection>,
    /// What stands between the text and this command, outermost first.
    pub via: Vec<Via>,
    /// The commands whose output is piped into this one.
    pub fed_by: Option<Range<usize>>,
    /// The command among whose words or redirections this one stands, as `$(…)` does.
    pub part_of: Option<usize>,
    pub input: Option<Input>,
}

/// Where a command's standard input comes from, if the text says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A here-document or a here-string.
    Text(Word),
    File(Word),
}

/// Output to a file, or input from one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirection {
    /// `>`, `>>`, `<`, `&>`, …
    pub operator: String,
    pub target: Word,
}

/// How a command is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Via {
    /// The output of the command is used: `$(…)`, backticks, `<(…)`.
    Substitution,
    /// This program starts it with its own arguments, as `sudo` and `xargs` do.
    Program(String),
    /// This program reads it as text for a shell, as `sh -c` and `eval` do.
    Text(String),
}

/// Why not all commands are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gap {
    /// The text is longer than what is read.
    TooLong,
    /// It takes too many steps to read, or has too many commands.
    TooComplex,
    /// It is nested too deeply.
    TooDeep,
    /// It is not well formed, or not understood.
    Syntax,
    /// The name of a program follows only from running the text.
    UnknownProgram,
    /// A shell is given a text that follows only from running the text.
    UnknownText,
    /// A program that starts others has an option whose meaning is not known.
    UnknownOption,
}

impl SimpleCommand {
    /// The name of the program without its folder, where it is known.
    #[must_use]
    pub fn program(&self) -> Option<&str> {
        let path = self.words.first()?.literal()?;
        Some(path.rsplit('/').next().unwrap_or(path))
    }

    /// What follows the program.
    #[must_use]
    pub fn arguments(&self) -> &[Word] {
        self.words.get(1..).unwrap_or_default()
    }

    /// Whether it is started by this program, directly or not.
    #[must_use]
    pub fn is_via(&self, program: &str) -> bool {
        let is_it =
            |via: &Via| matches!(via, Via::Program(name) | Via::Text(name) if name == program);
        self.via.iter().any(is_it)
    }
}

impl Redirection {
    /// Whether it changes no file: descriptors, `/dev/null`, and the ends of pipes.
    #[must_use]
    pub fn is_harmless(&self) -> bool {
        let Some(target) = self.target.literal() else {
            return false;
        };
        let is_descriptor = matches!(self.operator.as_str(), ">&" | "<&" | ">&-" | "<&-")
            && target
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'-');
        is_descriptor || matches!(target, "/dev/null" | "/dev/stdout" | "/dev/stderr")
    }

    /// Whether it writes.
    #[must_use]
    pub fn writes(&self) -> bool {
        self.operator.contains('>')
    }
}

impl fmt::Display for SimpleCommand {
    /// As it could be written, for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, word) in self.words.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            write!(f, "{word}")?;
        }
        for redirection in &self.redirections {
            write!(f, " {}{}", redirection.operator, redirection.target)?;
        }
        Ok(())
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "the command is too long to be read",
            Self::TooComplex => "the command is too complex to be read",
            Self::TooDeep => "the command is nested too deeply to be read",
            Self::Syntax => "a part of the command is not understood",
            Self::UnknownProgram => "which program it starts is known only when it runs",
            Self::UnknownText => "a shell gets a text that is known only when it runs",
            Self::UnknownOption => "a program that starts others has an option that is not known",
        })
    }
}
