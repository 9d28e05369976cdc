//! The terminal: one persistent bash per conversation.
//!
//! | module | holds |
//! |---|---|
//! | [`definition`] | what clients and models are told |
//! | [`call`] | the arguments |
//! | [`keys`] | what is typed into a running program |
//! | [`session`] | bash in a pseudo-terminal, its set-up and its end |
//! | [`stream`] | its output, read as it comes |
//! | [`marker`] | where a command's output begins and ends |
//! | [`clean`], [`capture`] | text instead of escapes; head, tail and file |
//! | [`ended`] | which processes ended with it, for the agent |
//! | [`observation`] | the answer |

mod call;
mod capture;
mod clean;
mod definition;
mod ended;
mod keys;
mod marker;
mod observation;
mod session;
mod stream;
#[cfg(test)]
mod tests;

use std::time::Duration;

use async_trait::async_trait;
use core_model::{Observation, event::ToolDefinition};
use serde_json::{Map, Value};
use tokio::{sync::Mutex, time::sleep};
use workspace::ProcessInfo;

use self::{
    call::Call,
    capture::{Limits, OUTPUTS},
    keys::Input,
    observation::{Answer, HOW_TO_GO_ON, THIS_COMMAND},
    session::{Patience, Session, Waited},
    stream::Status,
};
use crate::{CallSignals, Tool, ToolEnvironment, ToolError};

pub(crate) use call::LONGEST_TIMEOUT;
pub use observation::model_text;

/// Limits of the terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TerminalSettings {
    /// A call without `timeout` is answered when nothing new was written for so long.
    pub soft_timeout: Duration,
    /// The same for a call that types into a running program, where silence mostly means that
    /// the program waits for more.
    pub input_soft_timeout: Duration,
    /// Every call is answered after so long, also one whose command writes all the time or that has a
    /// longer `timeout`.
    pub max_foreground_timeout: Duration,
    /// What an observation shows of an output, in characters. What background jobs wrote gets a third of
    /// that beside it.
    pub output_cap: usize,
    /// What the file of a longer output takes, in bytes.
    pub saved_output_cap: u64,
}

impl Default for TerminalSettings {
    fn default() -> Self {
        Self {
            soft_timeout: Duration::from_secs(30),
            input_soft_timeout: Duration::from_secs(3),
            max_foreground_timeout: Duration::from_secs(600),
            output_cap: 30_000,
            saved_output_cap: 256 * 1024 * 1024,
        }
    }
}

/// The `terminal` tool.
#[derive(Debug)]
pub(crate) struct Terminal {
    environment: ToolEnvironment,
    settings: TerminalSettings,
    state: Mutex<State>,
}

/// The shell, started at first need.
#[derive(Debug, Default)]
struct State {
    session: Option<Session>,
    /// Whether there has been a shell yet.
    opened: bool,
    /// Whether the last shell ended by itself or with an interrupt, and no new one was started since.
    lost: bool,
    /// The command whose end nobody has seen yet.
    unfinished: Option<String>,
}

impl Terminal {
    pub(crate) fn new(environment: ToolEnvironment, settings: TerminalSettings) -> Self {
        Self {
            environment,
            settings,
            state: Mutex::default(),
        }
    }

    async fn answer(
        &self,
        call: Call,
        state: &mut State,
        signals: &CallSignals,
    ) -> Result<Answer, ToolError> {
        if call.reset {
            return self.reset(call, state, signals).await;
        }
        let refusal = match state.unfinished.clone() {
            Some(running) => return self.go_on(call, running, state, signals).await,
            None if call.is_input => "No previous running command to interact with.",
            None if call.command.trim().is_empty() => {
                "No previous running command to retrieve logs from."
            }
            None => return self.start(call, state, signals).await,
        };
        let background = state.background();
        Ok(Answer::refused(call.command, refusal.into()).after(&background))
    }

    async fn reset(
        &self,
        call: Call,
        state: &mut State,
        signals: &CallSignals,
    ) -> Result<Answer, ToolError> {
        const DONE: &str = "A new shell was started; variables, functions, the working directory \
            and running commands of the old one are gone.";
        let background = state.background();
        state.end().await;
        state.lost = false;
        if call.command.trim().is_empty() {
            let answer = Answer {
                text: DONE.into(),
                command: "[RESET]".into(),
                exit_code: Some(0),
                ..Answer::default()
            };
            return Ok(answer.after(&background));
        }
        let answer = self.start(call, state, signals).await?;
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
        call: Call,
        state: &mut State,
        signals: &CallSignals,
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
        // ended with the server, or closed because nobody had used it for long
        let closed = !state.opened && self.environment.used_before.contains(self.name());
        let lost = killed || closed || state.lost;
        let mut notes = if lost { LOST.to_owned() } else { String::new() };
        if closed {
            notes.push_str(&ended::take_note(&self.environment.files));
        }
        let workspace = &self.environment.workspace;
        let mut moved = None;
        if let Some(session) = &state.session {
            moved = session
                .removed_folder()
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
        state.unfinished = Some(call.command.clone());
        if let Some(session) = &mut state.session
            && let Err(error) = session.submit(&call.command, folder).await
        {
            state.end().await;
            return Err(ToolError::Failed(format!(
                "cannot hand the command to bash: {error}; the next one gets a new shell"
            )));
        }
        let answer = self
            .wait(call, self.settings.soft_timeout, state, signals)
            .await?;
        if let Some(session) = &state.session {
            background.push_str(&session.take_before());
        }
        let answer = answer.after(&background);
        Ok(Answer {
            prefix: format!("{notes}{}", answer.prefix),
            ..answer
        })
    }

    /// Deals with a call that comes while `running` was not seen to end.
    async fn go_on(
        &self,
        call: Call,
        running: String,
        state: &mut State,
        signals: &CallSignals,
    ) -> Result<Answer, ToolError> {
        let Some(session) = &mut state.session else {
            state.unfinished = None;
            return self.start(call, state, signals).await;
        };
        let input = call.input();
        let wants_output = call.command.is_empty();
        let status = session.status();
        match status {
            Status::Busy if wants_output => {
                let answer = self
                    .wait(call, self.settings.soft_timeout, state, signals)
                    .await?;
                Ok(continued(answer, &running))
            }
            Status::Busy => {
                if let Some(input) = input {
                    return self.type_in(call, &input, &running, state, signals).await;
                }
                let output = session.take_output();
                let text = format!(
                    "This command was not run, for `{}` still runs. {HOW_TO_GO_ON}\n\
                     New output of the running command:\n{output}",
                    short(&running)
                );
                Ok(Answer::refused(call.command, text))
            }
            Status::Done(_) | Status::Closed if wants_output || input.is_some() => {
                let answer = self.ended(call.command, status, state).await;
                let mut answer = continued(answer, &running);
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
                let answer = self.start(call, state, signals).await?;
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

    /// Types into `running` and waits for what it makes of that.
    async fn type_in(
        &self,
        call: Call,
        input: &Input,
        running: &str,
        state: &mut State,
        signals: &CallSignals,
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
                    "Could not type into `{}`: {error}. {HOW_TO_GO_ON}",
                    short(running)
                );
                return Ok(Answer::refused(call.command, text));
            }
        };
        let patience = self.settings.input_soft_timeout;
        let patience = patience.min(self.settings.soft_timeout);
        let mut answer = self.wait(call, patience, state, signals).await?;
        if waits_for_enter && answer.timeout {
            answer.suffix.insert_str(0, NOT_YET);
        }
        Ok(continued(answer, running))
    }

    /// Waits for the command in the shell and says how that went.
    async fn wait(
        &self,
        call: Call,
        soft_timeout: Duration,
        state: &mut State,
        signals: &CallSignals,
    ) -> Result<Answer, ToolError> {
        let Some(session) = &mut state.session else {
            return Err(ToolError::Failed("the shell is gone".into()));
        };
        let longest = self.settings.max_foreground_timeout;
        let patience = call
            .time_limit()
            .map_or(Patience::Quiet(soft_timeout), Patience::Total);
        let waited = tokio::select! {
            biased;
            waited = session.wait(patience, &signals.cancel) => waited,
            () = signals.hand_back.cancelled() => {
                let why = "Waiting was ended because the conversation was paused.";
                return Ok(Answer::goes_on(call.command, session.take_output(), why));
            }
            () = sleep(longest) => {
                let why = format!(
                    "No call waits longer than {} s.",
                    longest.as_secs_f64()
                );
                return Ok(Answer::goes_on(call.command, session.take_output(), &why));
            }
        };
        match waited {
            Waited::For(status) => Ok(self.ended(call.command, status, state).await),
            Waited::Enough => {
                let why = match patience {
                    Patience::Quiet(limit) => {
                        format!("Nothing new was written for {} s.", limit.as_secs_f64())
                    }
                    Patience::Total(limit) => {
                        format!("The timeout of {} s is over.", limit.as_secs_f64())
                    }
                };
                Ok(Answer::goes_on(call.command, session.take_output(), &why))
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

    /// The answer for a command that is done, or took its shell along.
    async fn ended(&self, command: String, status: Status, state: &mut State) -> Answer {
        state.unfinished = None;
        let Some(session) = &mut state.session else {
            return Answer::refused(command, "The shell is gone.".into());
        };
        let output = session.take_output();
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
                // an interactive bash says so when it exits
                let said = output.strip_suffix("exit").filter(|_| exited);
                let output = said.unwrap_or(&output).trim_end();
                // what it started ends now, not with the next command
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
            files: self.environment.files.clone(),
        }
    }
}

#[async_trait]
impl Tool for Terminal {
    fn name(&self) -> &str {
        "terminal"
    }

    fn definition(&self) -> ToolDefinition {
        definition::definition()
    }

    fn parameters(&self) -> Value {
        definition::parameters()
    }

    fn action(&self, arguments: Map<String, Value>) -> Result<Map<String, Value>, ToolError> {
        Ok(Call::read(&arguments)?.action())
    }

    async fn run(
        &self,
        action: &Map<String, Value>,
        signals: &CallSignals,
    ) -> Result<Observation, ToolError> {
        let call = Call::read(action)?;
        let mut state = tokio::select! {
            biased;
            () = signals.cancel.cancelled() => return Err(ToolError::Cancelled),
            state = self.state.lock() => state,
        };
        let answer = self.answer(call, &mut state, signals).await?;
        Ok(answer.observation(&self.environment.files.path(OUTPUTS)))
    }

    fn is_busy(&self) -> bool {
        // A call under way holds it.
        let state = self.state.try_lock();
        state.map_or(true, |state| !state.running().is_empty())
    }

    async fn close(&self) -> Vec<ProcessInfo> {
        let mut state = self.state.lock().await;
        let running = state.running();
        ended::record(&self.environment.files, &running);
        state.end().await;
        running
    }
}

impl State {
    /// What background jobs wrote since the last command.
    fn background(&self) -> String {
        let session = self.session.as_ref();
        session.map(Session::take_between).unwrap_or_default()
    }

    /// What runs in the shell, or was left running by it. Of the shell itself only what it runs without
    /// any other process, such as a loop.
    fn running(&self) -> Vec<ProcessInfo> {
        let Some(session) = &self.session else {
            return Vec::new();
        };
        let mut running = session.running();
        if let Some(command) = &self.unfinished
            && running.is_empty()
            && session.status() == Status::Busy
        {
            running.extend(session.shell().map(|shell| ProcessInfo {
                command: command.clone(),
                ..shell
            }));
        }
        running
    }

    /// Ends the shell with all it runs.
    async fn end(&mut self) {
        self.unfinished = None;
        if let Some(session) = self.session.take() {
            session.end().await;
        }
    }
}

fn continued(answer: Answer, running: &str) -> Answer {
    Answer {
        prefix: format!("[New output of `{}`:]\n", short(running)),
        ..answer
    }
}

/// Enough of a command to know it by.
fn short(command: &str) -> String {
    const LENGTH: usize = 80;
    let line = command.trim().lines().next().unwrap_or_default();
    if line.len() == command.trim().len() && line.chars().count() <= LENGTH {
        line.to_owned()
    } else {
        line.chars().take(LENGTH).chain(['…']).collect()
    }
}
