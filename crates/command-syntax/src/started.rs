//! What a command starts in its turn.

use crate::{
    Gap, Input, SimpleCommand, Word,
    shells::{self, ShellTask, is_shell},
    wrappers::{self, Rest, Wrapper},
};

/// What a command hands to others.
#[derive(Debug, Default)]
pub(crate) struct Started {
    /// Programs and their arguments.
    pub(crate) commands: Vec<Vec<Word>>,
    /// Texts for a shell.
    pub(crate) texts: Vec<Word>,
    pub(crate) gaps: Vec<Gap>,
    /// The program reads commands from its standard input.
    pub(crate) reads_input: bool,
}

pub(crate) fn started_by(command: &SimpleCommand) -> Started {
    let mut started = Started::default();
    let Some(program) = command.program() else {
        if !command.words.is_empty() {
            started.gaps.push(Gap::UnknownProgram);
        }
        return started;
    };
    let arguments = command.arguments();
    if is_shell(program) {
        of_shell(&mut started, command);
        return started;
    }
    match program {
        "eval" => started.texts.extend(joined(arguments)),
        "trap" => started
            .texts
            .extend(arguments.first().filter(|_| arguments.len() > 1).cloned()),
        "alias" => of_alias(&mut started, arguments),
        "." | "source" if arguments.first().is_some_and(|script| !is_file(script)) => {
            started.gaps.push(Gap::UnknownText);
        }
        "su" | "runuser" | "script" | "flock" | "pkexec" => {
            started.texts.extend(after(arguments, &["-c", "--command"]));
        }
        "env" => {
            for (at, word) in arguments.iter().enumerate() {
                match word.literal() {
                    Some("-S" | "--split-string") => {
                        started.texts.extend(joined(&arguments[at + 1..]))
                    }
                    Some(text) => {
                        let attached = text.strip_prefix("--split-string=");
                        let attached = attached.or_else(|| text.strip_prefix("-S"));
                        started.texts.extend(attached.map(Word::new));
                    }
                    None => {}
                }
            }
        }
        "find" | "fd" | "fdfind" => of_find(&mut started, arguments),
        _ => {}
    }
    if let Some(wrapper) = wrappers::named(program) {
        of_wrapper(&mut started, wrapper, arguments);
    }
    started
}

fn of_shell(started: &mut Started, command: &SimpleCommand) {
    match shells::task(command.arguments()) {
        ShellTask::Text(text) => started.texts.push(text.clone()),
        ShellTask::Unknown => started.gaps.push(Gap::UnknownText),
        ShellTask::Script(script) => {
            if !is_file(script) {
                started.gaps.push(Gap::UnknownText);
            }
        }
        ShellTask::StandardInput => match &command.input {
            Some(Input::Text(text)) => started.texts.push(text.clone()),
            Some(Input::File(_)) => {}
            None => started.reads_input = true,
        },
    }
}

/// Whether a script is a file, rather than the output of a command.
fn is_file(script: &Word) -> bool {
    !script.source().starts_with(['<', '$', '`'])
}

fn of_alias(started: &mut Started, arguments: &[Word]) {
    for definition in arguments {
        match definition.literal() {
            Some(text) => {
                let value = text.split_once('=').map(|(_, value)| value);
                started.texts.extend(value.map(Word::new));
            }
            None => started.gaps.push(Gap::UnknownText),
        }
    }
}

fn of_find(started: &mut Started, arguments: &[Word]) {
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let starts = matches!(
            word.literal(),
            Some("-exec" | "-execdir" | "-ok" | "-okdir" | "-x" | "-X" | "--exec" | "--exec-batch")
        );
        if starts {
            let ends = |word: &&Word| matches!(word.literal(), Some(";" | "+"));
            let command = words.by_ref().take_while(|word| !ends(word));
            let command = command.map(|word| {
                if word.source().contains("{}") {
                    Word::dynamic("{}")
                } else {
                    word.clone()
                }
            });
            started.commands.push(command.collect());
        }
    }
}

fn of_wrapper(started: &mut Started, wrapper: &Wrapper, arguments: &[Word]) {
    let mut at = 0;
    let mut also = None;
    while let Some(word) = arguments.get(at) {
        let Some(text) = word.literal() else {
            // It may be an option, its value, or nothing at all.
            if wrapper.rest == Rest::Command && at < arguments.len() - 1 {
                started.gaps.push(Gap::UnknownOption);
                also.get_or_insert(at + 1);
            }
            break;
        };
        if text == "--" {
            at += 1;
            break;
        }
        if !text.starts_with('-') || text == "-" && !wrapper.assignments {
            let is_assignment = wrapper.assignments && (is_assignment(text) || text == "-");
            if !is_assignment {
                break;
            }
            at += 1;
            continue;
        }
        match wrappers::option_words(wrapper, text) {
            Some(words) => at += words,
            None => {
                started.gaps.push(Gap::UnknownOption);
                at += 1;
                // In case the option has a value.
                also = Some(at + 1);
            }
        }
    }
    for from in [Some(at), also].into_iter().flatten() {
        let rest = arguments.get(from + wrapper.operands..).unwrap_or_default();
        let Some(first) = rest.first() else { continue };
        match wrapper.rest {
            Rest::Command => started.commands.push(rest.to_vec()),
            Rest::CommandAndMore if first.literal().is_some() || rest.len() > 1 => {
                let mut command = rest.to_vec();
                command.push(Word::dynamic("…"));
                started.commands.push(command);
            }
            Rest::CommandAndMore => started.gaps.push(Gap::UnknownProgram),
            Rest::Text => started.texts.extend(joined(rest)),
        }
    }
}

fn is_assignment(text: &str) -> bool {
    text.split_once('=')
        .is_some_and(|(name, _)| !name.is_empty() && !name.contains('/'))
}

/// The word after one of these options.
fn after(arguments: &[Word], options: &[&str]) -> Option<Word> {
    let is_option = |word: &Word| word.literal().is_some_and(|text| options.contains(&text));
    let at = arguments.iter().position(is_option)?;
    arguments.get(at + 1).cloned()
}

/// The words with spaces between them, as `eval` reads them.
fn joined(words: &[Word]) -> Option<Word> {
    if words.is_empty() {
        return None;
    }
    let source: Vec<String> = words.iter().map(Word::source).collect();
    let source = source.join(" ");
    Some(if words.iter().any(Word::is_dynamic) {
        Word::dynamic(&source)
    } else {
        Word::new(&source)
    })
}
