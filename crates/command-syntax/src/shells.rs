//! Programs that read shell commands.

use crate::Word;

const SHELLS: [&str; 10] = [
    "sh", "bash", "dash", "zsh", "ksh", "mksh", "ash", "rbash", "fish", "lksh",
];

/// Whether a program of this name reads shell commands.
#[must_use]
pub fn is_shell(program: &str) -> bool {
    SHELLS.contains(&program)
}

/// What a shell is told to carry out.
pub(crate) enum ShellTask<'a> {
    /// The text after `-c`.
    Text(&'a Word),
    /// `-c` without a text, or an option that is known only when it runs.
    Unknown,
    Script(&'a Word),
    StandardInput,
}

/// Which of these a shell with these arguments carries out.
pub(crate) fn task(arguments: &[Word]) -> ShellTask<'_> {
    let mut takes_text = false;
    let mut reads_input = false;
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let Some(text) = word.literal() else {
            return operand(word, takes_text, reads_input);
        };
        match text {
            "--" | "-" => break,
            "--rcfile" | "--init-file" => {
                words.next();
            }
            _ if text.starts_with("--") => {}
            _ if text.starts_with(['-', '+']) => {
                takes_text |= text.starts_with('-') && text.contains('c');
                reads_input |= text.contains('s');
                if text.ends_with(['o', 'O']) {
                    words.next();
                }
            }
            _ => return operand(word, takes_text, reads_input),
        }
    }
    match words.next() {
        Some(word) => operand(word, takes_text, reads_input),
        None if takes_text => ShellTask::Unknown,
        None => ShellTask::StandardInput,
    }
}

fn operand(word: &Word, takes_text: bool, reads_input: bool) -> ShellTask<'_> {
    let names_input = word
        .literal()
        .is_some_and(|path| matches!(path, "/dev/stdin" | "/dev/fd/0"));
    if takes_text {
        ShellTask::Text(word)
    } else if reads_input || names_input {
        ShellTask::StandardInput
    } else {
        ShellTask::Script(word)
    }
}
