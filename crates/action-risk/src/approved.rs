//! Commands that a person has approved for good.

use std::fmt;

use command_syntax::{Reading, SimpleCommand, Word, read};
use core_model::approval::ApprovedCommand;
use serde_json::{Map, Value};

use crate::{action_text::is_terminal, evaluators::evaluated};

/// Why a command cannot be approved for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApprovalError {
    NotACommand,
    Unclear,
    Variable,
    Files,
    Assignments,
}

impl fmt::Display for ApprovalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotACommand => "only commands for the terminal can be approved for good",
            Self::Unclear => "this command is not understood as a whole",
            Self::Variable => {
                "this command has parts that are known only when it runs (variables, patterns, `$(…)`)"
            }
            Self::Files => "this command reads or writes files by redirection, or is given a text",
            Self::Assignments => "this command sets variables",
        })
    }
}

/// What a command must be to be covered later: its programs with all their arguments, and how they hang
/// together. Spaces and quotes do not matter, all else does.
///
/// # Errors
/// Why this command cannot be approved for good.
pub fn approve(action: &Map<String, Value>) -> Result<ApprovedCommand, ApprovalError> {
    let command = typed(action).ok_or(ApprovalError::NotACommand)?;
    let reading = read(command);
    let programs = programs(&reading)?;
    Ok(ApprovedCommand::new(command, programs, reading.shape))
}

/// The rule that covers an action.
pub(crate) fn covering<'a>(
    rules: &'a [ApprovedCommand],
    action: &Map<String, Value>,
) -> Option<&'a ApprovedCommand> {
    if rules.is_empty() {
        return None;
    }
    let wanted = approve(action).ok()?;
    let same =
        |rule: &&ApprovedCommand| rule.programs == wanted.programs && rule.shape == wanted.shape;
    rules.iter().find(same)
}

/// The command of a terminal call that is nothing but a command.
fn typed(action: &Map<String, Value>) -> Option<&str> {
    let flag = |name: &str| action.get(name).and_then(Value::as_bool) == Some(true);
    let command = action.get("command")?.as_str()?;
    let is_command = is_terminal(action) && !flag("is_input") && !flag("reset");
    (is_command && !command.trim().is_empty()).then_some(command)
}

fn programs(reading: &Reading) -> Result<Vec<Vec<String>>, ApprovalError> {
    let reads_script = |command: &SimpleCommand| matches!(command.program(), Some("." | "source"));
    let is_clear = reading.gaps.is_empty()
        && evaluated(reading).next().is_none()
        && !reading.commands.iter().any(reads_script);
    if !is_clear || reading.commands.is_empty() {
        return Err(ApprovalError::Unclear);
    }
    reading.commands.iter().map(words).collect()
}

fn words(command: &SimpleCommand) -> Result<Vec<String>, ApprovalError> {
    if !command.assignments.is_empty() {
        return Err(ApprovalError::Assignments);
    }
    let harmless = command.redirections.iter().all(|it| it.is_harmless());
    if !harmless || command.input.is_some() || command.words.is_empty() {
        return Err(ApprovalError::Files);
    }
    let words: Option<Vec<String>> = command
        .words
        .iter()
        .map(|word: &Word| word.literal().map(str::to_owned))
        .collect();
    words.ok_or(ApprovalError::Variable)
}
