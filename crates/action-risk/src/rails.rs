//! Commands that are dangerous by how they are put together. The names of these rules are the reference
//! server's.

use command_syntax::{Reading, SimpleCommand, Via, Word, is_shell};
use core_model::event::SecurityRisk::High;

use crate::{
    assessment::Finding,
    paths::{Target, is_disk, target},
};

const FETCHERS: [&str; 8] = [
    "curl",
    "wget",
    "aria2c",
    "lwp-request",
    "http",
    "https",
    "xh",
    "lynx",
];
const INTERPRETERS: [&str; 9] = [
    "python", "perl", "ruby", "node", "nodejs", "php", "lua", "deno", "bun",
];

/// What the rails say of a text, and what they could not find out.
pub(crate) fn rails(reading: &Reading) -> (Vec<Finding>, Vec<String>) {
    let mut findings = Vec::new();
    let mut unresolved = Vec::new();
    for (at, command) in reading.commands.iter().enumerate() {
        if runs_what_was_fetched(reading, at) {
            let about = "runs what it gets from the network";
            findings.push(of(command, "fetch-to-exec", about));
        }
        if writes_disk(command) {
            let about = "overwrites a disk";
            findings.push(of(command, "raw-disk-op", about));
        }
        match deletes(command) {
            Some(Target::Critical) => {
                let about = "deletes folders of the system or a whole home folder";
                findings.push(of(command, "catastrophic-delete", about));
            }
            Some(Target::Unknown) => {
                let why = "what a recursive delete deletes is known only when it runs";
                unresolved.push(why.to_owned());
            }
            Some(Target::Other) | None => {}
        }
    }
    (findings, unresolved)
}

fn of(command: &SimpleCommand, rule: &str, about: &str) -> Finding {
    Finding::new(High, rule, about, &command.to_string())
}

pub(crate) fn is_fetcher(program: &str) -> bool {
    FETCHERS.contains(&program)
}

/// Whether a program carries out what it reads.
fn is_interpreter(program: &str) -> bool {
    let plain = program.trim_end_matches(|char: char| char.is_ascii_digit() || char == '.');
    is_shell(program) || INTERPRETERS.contains(&plain)
}

fn runs_what_was_fetched(reading: &Reading, at: usize) -> bool {
    let command = &reading.commands[at];
    let is_fetch = |command: &SimpleCommand| command.program().is_some_and(is_fetcher);
    let program = command.program().unwrap_or_default();
    let fed = command.fed_by.clone().unwrap_or_default();
    let fed = reading.commands.get(fed).unwrap_or_default();
    let reads_input = is_interpreter(program) || matches!(program, "xargs" | "parallel");
    if reads_input && fed.iter().any(is_fetch) && !has_script(program, command) {
        return true;
    }
    // `sh -c "$(curl …)"`, `. <(curl …)`, `$(curl …)`.
    let carries_out = is_interpreter(program)
        || matches!(program, "eval" | "." | "source")
        || command.words.first().is_some_and(Word::is_dynamic);
    let inside = |part: &SimpleCommand| part.part_of == Some(at) && is_fetch(part);
    carries_out && reading.commands.iter().any(inside)
}

/// Whether an interpreter has a program of its own, and only data comes from its standard input. A shell's
/// script may read commands, so only other interpreters' count.
fn has_script(program: &str, command: &SimpleCommand) -> bool {
    !is_shell(program)
        && !matches!(program, "xargs" | "parallel")
        && command.arguments().iter().any(|word| {
            word.literal().is_none_or(|text| {
                !text.starts_with('-') || matches!(text, "-c" | "-e" | "-m" | "-r")
            })
        })
}

fn writes_disk(command: &SimpleCommand) -> bool {
    let to_disk = |word: &Word| is_disk(&word.source());
    let redirected = command
        .redirections
        .iter()
        .any(|it| it.writes() && to_disk(&it.target));
    let Some(program) = command.program() else {
        return redirected;
    };
    let named = || command.arguments().iter().any(to_disk);
    redirected
        || program == "mkfs"
        || program.starts_with("mkfs.")
        || match program {
            "dd" => command
                .arguments()
                .iter()
                .any(|word| word.source().strip_prefix("of=").is_some_and(is_disk)),
            "wipefs" | "blkdiscard" | "shred" | "mkswap" | "tee" | "sgdisk" | "sfdisk"
            | "parted" => named(),
            "cp" | "mv" => command.words.last().is_some_and(to_disk),
            _ => false,
        }
}

/// What a command that deletes folders with all that is in them deletes.
fn deletes(command: &SimpleCommand) -> Option<Target> {
    let arguments = command.arguments();
    let names: Vec<&Word> = match command.program() {
        Some("rm") if deletes_by_force(command) => operands(arguments),
        Some("find")
            if arguments
                .iter()
                .any(|word| word.literal() == Some("-delete")) =>
        {
            let starts = arguments
                .iter()
                .take_while(|word| !word.source().starts_with(['-', '(', '!']));
            starts.collect()
        }
        Some(_) | None => return None,
    };
    let of_find = command
        .via
        .iter()
        .any(|via| matches!(via, Via::Program(name) if name == "find"));
    let targets = || names.iter().map(|word| target(word));
    Some(if targets().any(|target| target == Target::Critical) {
        Target::Critical
    } else if !of_find && targets().any(|target| target == Target::Unknown) {
        Target::Unknown
    } else {
        Target::Other
    })
}

fn operands(arguments: &[Word]) -> Vec<&Word> {
    let mut options = true;
    let mut operands = Vec::new();
    for word in arguments {
        let text = word.source();
        if options && text == "--" {
            options = false;
        } else if !options || !text.starts_with('-') {
            operands.push(word);
        }
    }
    operands
}

/// Whether `rm` is told to delete folders without asking.
pub(crate) fn deletes_by_force(command: &SimpleCommand) -> bool {
    deletes_folders(command) && has_option(command, &['f'], "--force")
}

pub(crate) fn deletes_folders(command: &SimpleCommand) -> bool {
    command.program() == Some("rm") && has_option(command, &['r', 'R'], "--recursive")
}

pub(crate) fn has_option(command: &SimpleCommand, letters: &[char], long: &str) -> bool {
    let options = command.arguments().iter().map(Word::source);
    let mut options = options.take_while(|text| text != "--");
    options.any(|text| {
        if text.starts_with("--") {
            // GNU programs take any beginning that is not ambiguous.
            text.len() > 2 && long.starts_with(text.as_str())
        } else {
            text.starts_with('-') && text.contains(letters)
        }
    })
}
