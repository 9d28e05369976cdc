//! Programs that carry out a text of their arguments, which nothing here reads.

use command_syntax::{Reading, SimpleCommand};

/// The flags behind which a program takes code.
const CODE_FLAGS: [(&str, &[&str]); 12] = [
    ("python", &["-c"]),
    ("perl", &["-e", "-E"]),
    ("ruby", &["-e"]),
    ("node", &["-e", "-p", "--eval", "--print"]),
    ("php", &["-r"]),
    ("lua", &["-e"]),
    ("bun", &["-e", "--eval"]),
    ("deno", &["eval"]),
    ("make", &["--eval"]),
    (
        "tar",
        &[
            "--checkpoint-action",
            "--to-command",
            "--use-compress-program",
            "-I",
        ],
    ),
    ("compgen", &["-C", "-F", "-W"]),
    ("mapfile", &["-C"]),
];
/// Built-ins of the shell that expand a text once more, as the index of an array.
const EXPANDING: [&str; 11] = [
    "test", "[", "[[", "printf", "let", "declare", "typeset", "local", "read", "unset", "export",
];
/// Settings of git that name a program to run.
const GIT_PROGRAMS: [&str; 8] = [
    "alias.",
    "!",
    "command",
    "pager",
    "editor",
    "fsmonitor",
    "hookspath",
    "program",
];

/// What stays unresolved of a text because a program is given code to run; one line for each command.
pub(crate) fn evaluated(reading: &Reading) -> impl Iterator<Item = String> {
    let evaluating = reading.commands.iter().filter(|it| evaluates(it));
    evaluating.map(|command| {
        let program = command.program().unwrap_or_default();
        format!("`{program}` is given code to run, which is not looked into")
    })
}

fn evaluates(command: &SimpleCommand) -> bool {
    let Some(program) = command.program() else {
        return false;
    };
    let says = |text: &str| {
        let mut arguments = command.arguments().iter();
        arguments.any(|word| word.source().contains(text))
    };
    match program {
        "awk" | "gawk" | "mawk" | "nawk" => says("system") || says("|"),
        "git" => command.arguments().windows(2).any(|pair| {
            let value = pair[1].source().to_ascii_lowercase();
            pair[0].source() == "-c" && GIT_PROGRAMS.iter().any(|it| value.contains(it))
        }),
        "." | "source" => says("/dev/") || says("<("),
        "hash" => says("-p"),
        _ if EXPANDING.contains(&program) => says("$(") || says("`"),
        _ => CODE_FLAGS.iter().any(|(name, flags)| {
            let version = program.strip_prefix(name);
            let named =
                version.is_some_and(|it| it.chars().all(|c| c.is_ascii_digit() || c == '.'));
            named
                && command
                    .arguments()
                    .iter()
                    .any(|word| takes_code(&word.source(), flags))
        }),
    }
}

/// Whether an argument is such a flag, by itself, with its value, or behind others of one letter.
fn takes_code(argument: &str, flags: &[&str]) -> bool {
    flags.iter().any(|flag| {
        let with_value = argument.strip_prefix(flag).is_some_and(|rest| {
            rest.is_empty() || !flag.starts_with("--") || rest.starts_with('=')
        });
        let letter = flag.strip_prefix('-').filter(|it| it.len() == 1);
        let clustered = argument.starts_with('-')
            && !argument.starts_with("--")
            && letter.is_some_and(|letter| argument.ends_with(letter));
        with_value || clustered
    })
}
