use std::time::Duration;

use async_trait::async_trait;
use core_model::Observation;
use tokio::{sync::Mutex, time::sleep};
use workspace::{ProcessInfo, ToolFiles};

use super::{
    arguments::TerminalArguments,
    capture::{Limits, OUTPUTS},
    ended_processes,
    keys::Input,
    observation::{Answer, HOW_TO_CONTINUE, THIS_COMMAND, short},
    session::{Session, WaitLimit, Waited},
    settings::TerminalSettings,
    state::State,
    stream::Status,
};
use crate::{ToolCall, ToolError, built_in::descriptor::Execute};

/// The `terminal` tool.
#[derive(Debug)]
pub(super) struct Terminal {
    files: ToolFiles,
    /// Whether an earlier shell of the conversation ended with its tool.
    used_before: bool,
    settings: TerminalSettings,
    pub(super) state: Mutex<State>,
}

impl Terminal {
    pub(super) fn new(files: ToolFiles, used_before: bool, settings: TerminalSettings) -> Self {
        Self {
            files,
            used_before,
            settings,
            state: Mutex::default(),
        }
    }

    async fn answer(
        &self,
        arguments: TerminalArguments,
        state: &mut State,
        call: ToolCall<'_>,
    ) -> Result<Answer, ToolError> {
        if arguments.reset {
            return self.reset(arguments, state, call).await;
        }
        let refusal = match state.unfinished.clone() {
            Some(running) => {
                return self
                    .answer_while_unfinished(arguments, running, state, call)
                    .await;
            }
            None if arguments.is_input => "No previous running command to interact with.",
            None if arguments.command.trim().is_empty() => {
                "No previous running command to retrieve logs from."
            }
            None => return self.start(arguments, state, call).await,
        };
        let background = state.background();
        Ok(Answer::refused(arguments.command, refusal.into()).after(&background))
    }

    async fn reset(
        &self,
        arguments: TerminalArguments,
        state: &mut State,
        call: ToolCall<'_>,
    ) -> Result<Answer, ToolError> {
        const DONE: &str = "A new shell was started; variables, functions, the working directory \
            and running commands of the old one are gone.";
        let background = state.background();
        state.end().await;
        state.lost = false;
        if arguments.command.trim().is_empty() {
            let answer = Answer {
                text: DONE.into(),
                command: "[RESET]".into(),
                exit_code: Some(0),
                ..Answer::default()
            };
            return Ok(answer.after(&background));
        }
        let answer = self.start(arguments, state, call).await?;
        let answer = Answer {
            command: format!("[RESET] {}", answer.command),
            prefix: format!("[{DONE}]\n{}", answer.prefix),
            ..answer
        };
        Ok(answer.after(&background))
    }

    /// Runs a command in a shell that is free.
    async fn start(
        &self,
        arguments: TerminalArguments,
        state: &mut State,
        call: ToolCall<'_>,
    ) -> Result<Answer, ToolError> {
        const LOST: &str = "[The shell had ended since the last command. This one ran in a new \
            shell, without the variables, working directory and jobs of the old one.]\n";
        // killed from outside while nothing ran
        let killed = state.session.as_ref().is_some_and(Session::is_closed);
        let mut background = String::new();
        if killed {
            background = state.background();
            state.end().await;
        }
        // ended with the server, or closed because it was not used for long
        let closed = !state.opened && self.used_before;
        let lost = killed || closed || state.lost;
        let mut notes = if lost { LOST.to_owned() } else { String::new() };
        if closed {
            notes.push_str(&ended_processes::take_note(&self.files));
        }
        let workspace = call.workspace;
        let mut moved = None;
        if let Some(session) = &state.session {
            moved = session
                .pty
                .removed_working_dir()
                .map(|gone| workspace.folder_instead_of(&gone))
                .filter(|to| Session::can_go_to(&to.folder));
        } else {
            let start = workspace.usable_folder();
            let session = Session::start(workspace, &start.folder, self.limits())
                .await
                .map_err(|error| ToolError::Failed(format!("cannot start bash: {error}")))?;
            state.session = Some(session);
            state.opened = true;
            state.lost = false;
            notes.extend(start.note.map(|note| format!("[{note}]\n")));
        }
        if let Some(note) = moved.as_ref().and_then(|to| to.note.as_ref()) {
            notes.push_str(&format!("[{note}]\n"));
        }
        let folder = moved.as_ref().map(|to| to.folder.as_path());
        state.unfinished = Some(arguments.command.clone());
        if let Some(session) = &mut state.session
            && let Err(error) = session.submit(&arguments.command, folder).await
        {
            state.end().await;
            return Err(ToolError::Failed(format!(
                "cannot hand the command to bash: {error}; the next one gets a new shell"
            )));
        }
        let answer = self
            .wait(arguments, self.settings.soft_timeout, state, call)
            .await?;
        if let Some(session) = &state.session {
            background.push_str(&session.stream.take_before());
        }
        let answer = answer.after(&background);
        Ok(Answer {
            prefix: format!("{notes}{}", answer.prefix),
            ..answer
        })
    }

    /// A call that arrives before `running` was seen to end.
    async fn answer_while_unfinished(
        &self,
        arguments: TerminalArguments,
        running: String,
        state: &mut State,
        call: ToolCall<'_>,
    ) -> Result<Answer, ToolError> {
        let Some(session) = &mut state.session else {
            state.unfinished = None;
            return self.start(arguments, state, call).await;
        };
        let input = arguments.input();
        let wants_output = arguments.command.is_empty();
        let status = session.status();
        match status {
            Status::Busy if wants_output => {
                let answer = self
                    .wait(arguments, self.settings.soft_timeout, state, call)
                    .await?;
                Ok(answer.continuing(&running))
            }
            Status::Busy => {
                if let Some(input) = input {
                    return self.type_in(arguments, &input, &running, state, call).await;
                }
                let output = session.stream.take();
                let text = format!(
                    "This command was not run, for `{}` still runs. {HOW_TO_CONTINUE}\n\
                     New output of the running command:\n{output}",
                    short(&running)
                );
                Ok(Answer::refused(arguments.command, text))
            }
            Status::Done(_) | Status::Closed if wants_output || input.is_some() => {
                let answer = self.ended(arguments.command, status, state).await;
                let mut answer = answer.continuing(&running);
                if !wants_output {
                    answer.prefix = format!(
                        "[The command ended before this input, which was not sent.]\n{}",
                        answer.prefix
                    );
                }
                Ok(answer)
            }
            Status::Done(_) | Status::Closed => {
                let last = self.ended(running.clone(), status, state).await;
                let answer = self.start(arguments, state, call).await?;
                let notes = answer.prefix.strip_suffix(THIS_COMMAND);
                let notes = notes.unwrap_or(&answer.prefix);
                Ok(Answer {
                    prefix: format!(
                        "[Meanwhile `{}` ended. Its last output:]\n{}{}\n{notes}{THIS_COMMAND}",
                        short(&running),
                        last.text,
                        last.suffix,
                    ),
                    ..answer
                })
            }
        }
    }

    /// Types into `running` and waits for its response.
    async fn type_in(
        &self,
        arguments: TerminalArguments,
        input: &Input,
        running: &str,
        state: &mut State,
        call: ToolCall<'_>,
    ) -> Result<Answer, ToolError> {
        const NOT_YET: &str = "\n[The program reads whole lines: it sees what was typed once Enter is \
            typed as well.]";
        let Some(session) = &mut state.session else {
            return Err(ToolError::Failed("the shell is gone".into()));
        };
        let waits_for_enter = match session.type_in(input).await {
            Ok(waits_for_enter) => waits_for_enter,
            Err(error) => {
                let text = format!(
                    "Could not type into `{}`: {error}. {HOW_TO_CONTINUE}",
                    short(running)
                );
                return Ok(Answer::refused(arguments.command, text));
            }
        };
        let settings = &self.settings;
        let soft_timeout = settings.input_soft_timeout.min(settings.soft_timeout);
        let mut answer = self.wait(arguments, soft_timeout, state, call).await?;
        if waits_for_enter && answer.timeout {
            answer.suffix.insert_str(0, NOT_YET);
        }
        Ok(answer.continuing(running))
    }

    /// Waits for the command in the shell, and answers with what came of it.
    async fn wait(
        &self,
        arguments: TerminalArguments,
        soft_timeout: Duration,
        state: &mut State,
        call: ToolCall<'_>,
    ) -> Result<Answer, ToolError> {
        let Some(session) = &mut state.session else {
            return Err(ToolError::Failed("the shell is gone".into()));
        };
        let longest = self.settings.max_foreground_timeout;
        let limit = arguments
            .time_limit()
            .map_or(WaitLimit::Quiet(soft_timeout), WaitLimit::Total);
        let waited = tokio::select! {
            biased;
            waited = session.wait(limit, &call.signals.cancel) => waited,
            () = call.signals.stop_waiting.cancelled() => {
                let why = "Waiting was ended because the conversation was paused.";
                return Ok(Answer::unfinished(arguments.command, session.stream.take(), why));
            }
            () = sleep(longest) => {
                let why = format!(
                    "No call waits longer than {} s.",
                    longest.as_secs_f64()
                );
                return Ok(Answer::unfinished(arguments.command, session.stream.take(), &why));
            }
        };
        match waited {
            Waited::For(status) => Ok(self.ended(arguments.command, status, state).await),
            Waited::Enough => {
                let why = match limit {
                    WaitLimit::Quiet(limit) => {
                        format!("Nothing new was written for {} s.", limit.as_secs_f64())
                    }
                    WaitLimit::Total(limit) => {
                        format!("The timeout of {} s is over.", limit.as_secs_f64())
                    }
                };
                Ok(Answer::unfinished(
                    arguments.command,
                    session.stream.take(),
                    &why,
                ))
            }
            Waited::Cancelled => {
                if session.interrupt().await {
                    state.unfinished = None;
                } else {
                    state.end().await;
                    state.lost = true;
                }
                Err(ToolError::Cancelled)
            }
        }
    }

    /// The answer for a command that is done, or ended its shell.
    async fn ended(&self, command: String, status: Status, state: &mut State) -> Answer {
        state.unfinished = None;
        let Some(session) = &mut state.session else {
            return Answer::refused(command, "The shell is gone.".into());
        };
        let output = session.stream.take();
        match status {
            Status::Done(prompt) => Answer::done(command, output, prompt),
            Status::Busy | Status::Closed => {
                let status = session.exit_status().await;
                let how = status.map_or_else(|| "no status".to_owned(), |it| it.to_string());
                let exited = status.is_some_and(|it| it.code().is_some());
                let advice = if exited {
                    " A top-level `exit` does that, and so does a command that fails under \
                     `set -e`: run such a script in a subshell, `( … )`, or as a file with `bash`."
                } else {
                    ""
                };
                // an interactive bash writes this when it exits
                let said = output.strip_suffix("exit").filter(|_| exited);
                let output = said.unwrap_or(&output).trim_end();
                // what it started is ended now, not with the next command
                state.end().await;
                state.lost = true;
                let gap = if output.is_empty() { "" } else { "\n" };
                Answer {
                    exit_code: Some(-1),
                    ..Answer::refused(
                        command,
                        format!(
                            "{output}{gap}The shell itself ended ({how}), with its variables, \
                             working directory and background jobs. The next command gets a new \
                             shell.{advice}"
                        ),
                    )
                }
            }
        }
    }

    fn limits(&self) -> Limits {
        Limits {
            shown: self.settings.output_cap,
            saved: self.settings.saved_output_cap,
            files: self.files.clone(),
        }
    }
}

#[async_trait]
impl Execute for Terminal {
    async fn run(&self, call: ToolCall<'_>) -> Result<Observation, ToolError> {
        let arguments = TerminalArguments::read(call.action)?;
        let mut state = tokio::select! {
            biased;
            () = call.signals.cancel.cancelled() => return Err(ToolError::Cancelled),
            state = self.state.lock() => state,
        };
        let answer = self.answer(arguments, &mut state, call).await?;
        Ok(answer.observation(&self.files.path(OUTPUTS)))
    }

    fn is_busy(&self) -> bool {
        // A call under way holds it.
        let state = self.state.try_lock();
        state.map_or(true, |state| !state.running().is_empty())
    }

    async fn close(&self) -> Vec<ProcessInfo> {
        let mut state = self.state.lock().await;
        let running = state.running();
        ended_processes::record(&self.files, &running);
        state.end().await;
        running
    }
}
