//! Notices an agent that repeats itself.

mod call;
mod rules;
mod trace;

use std::collections::VecDeque;

use core_model::{Event, EventBody, Source};

use self::{
    call::Call,
    rules::{MAX_EXCUSES, SAME_ERROR_NUDGE, WINDOW},
    trace::Trace,
};

/// Notices an agent that repeats itself. Looks at what happened since the last user message.
///
/// An agent that waits does not repeat itself, though it sees the same until what it waits for has
/// happened: what came before a wait is no repetition of what comes after it. How long it may wait is
/// for the limit on a run's steps.
#[derive(Default)]
pub(super) struct StuckDetector {
    window: VecDeque<Trace>,
    nudged: bool,
    /// How often it was taken for waiting.
    excused: usize,
    /// Calls whose result has not come yet, oldest first.
    open: VecDeque<Call>,
    /// Whether the terminal's command still ran at its last observation.
    runs: bool,
    /// The agent's next message is one that it did not end itself.
    ignores_message: bool,
}

/// What to do about it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum StuckVerdict {
    Fine,
    /// Tell the agent, once.
    Nudge(String),
    Stuck,
}

impl StuckDetector {
    pub(super) fn take(&mut self, event: &Event) {
        if matches!(&event.body, EventBody::MessageEvent(_)) && event.source == Source::User {
            let runs = self.runs;
            *self = Self {
                runs,
                ..Self::default()
            };
            return;
        }
        let Some(trace) = self.trace(event) else {
            return;
        };
        self.window.push_back(trace);
        if self.window.len() > WINDOW {
            self.window.pop_front();
        }
    }

    /// Takes an agent that sees the same again and again for one that waits for what it left running.
    /// False when it has waited like that often enough.
    pub(super) fn excuse(&mut self) -> bool {
        let excused = !rules::is_monologue(&self.window) && self.excused < MAX_EXCUSES;
        if excused {
            self.excused += 1;
            self.window.clear();
        }
        excused
    }

    /// The agent's next message does not count: it was cut off or paused from outside.
    pub(super) fn ignore_message(&mut self) {
        self.ignores_message = true;
    }

    /// Asked before every step.
    pub(super) fn verdict(&mut self) -> StuckVerdict {
        if rules::is_stuck(&self.window) {
            return StuckVerdict::Stuck;
        }
        if !self.nudged
            && let Some((tool, error)) = rules::repeated_error(&self.window)
        {
            let nudge = nudge(tool, error);
            self.nudged = true;
            return StuckVerdict::Nudge(nudge);
        }
        StuckVerdict::Fine
    }

    /// What of an event counts; none when nothing does.
    fn trace(&mut self, event: &Event) -> Option<Trace> {
        match &event.body {
            // Hints of the server do not break a monologue.
            EventBody::MessageEvent(_) => {
                let counts =
                    event.source == Source::Agent && !std::mem::take(&mut self.ignores_message);
                counts.then_some(Trace::AgentMessage)
            }
            EventBody::ActionEvent(action) => {
                let trace = Trace::of_action(action);
                self.open
                    .push_back(Call::new(action, event.timestamp, trace.clone()));
                Some(trace)
            }
            EventBody::ObservationEvent(seen) => {
                let call = self.answered(seen.tool_call_id.as_ref());
                self.runs = agent_tools::still_running(&seen.observation).unwrap_or(self.runs);
                if let Some(call) = call {
                    if call.waited(&seen.observation, event.timestamp) {
                        self.window.clear();
                        return None;
                    }
                    if self.runs && call.only_looks() {
                        self.forget(&call.trace);
                        return None;
                    }
                }
                Some(Trace::of_observation(&seen.observation))
            }
            EventBody::AgentErrorEvent(error) => {
                let call = self.answered(error.tool_call_id.as_ref());
                // An interrupted one was ended.
                self.runs &= call.is_none_or(|call| !call.may_leave_running());
                Some(Trace::Error(error.error.clone()))
            }
            EventBody::UserRejectObservation(reject) => {
                self.answered(reject.tool_call_id.as_ref());
                Some(Trace::Observation(reject.rejection_reason.clone()))
            }
            EventBody::SystemPromptEvent(_)
            | EventBody::ConversationErrorEvent(_)
            | EventBody::ServerErrorEvent(_)
            | EventBody::ConversationStateUpdateEvent(_)
            | EventBody::PauseEvent(_)
            | EventBody::InterruptEvent(_)
            | EventBody::CondensationRequest(_)
            | EventBody::Condensation(_)
            | EventBody::SecurityAnalysisEvent(_)
            | EventBody::StreamingDeltaEvent(_)
            | EventBody::Unknown(_) => None,
        }
    }

    fn answered(&mut self, id: &str) -> Option<Call> {
        let index = self.open.iter().position(|call| call.id == id)?;
        self.open.remove(index)
    }

    fn forget(&mut self, trace: &Trace) {
        if let Some(index) = self.window.iter().rposition(|it| it == trace) {
            self.window.remove(index);
        }
    }
}

fn nudge(tool: &str, error: &str) -> String {
    format!(
        "The last {SAME_ERROR_NUDGE} calls of `{tool}` had the same arguments and failed the \
         same way: {error}\nThe same call will fail again. Change the arguments, or go about \
         it differently."
    )
}

#[cfg(test)]
mod tests;
