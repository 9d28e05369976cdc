use std::collections::VecDeque;

use core_model::{Content, Event, EventBody, Source};
use serde_json::json;

/// How far back the detector looks.
const WINDOW: usize = 20;
const SAME_RESULT: usize = 4;
const SAME_ERROR_NUDGE: usize = 3;
const SAME_ERROR_STUCK: usize = 4;
const MONOLOGUE: usize = 3;
const ALTERNATING: usize = 6;

/// Notices an agent that goes in circles. Looks at what happened since the last user message.
#[derive(Default)]
pub(crate) struct StuckDetector {
    window: VecDeque<Trace>,
    nudged: bool,
}

/// What to do about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Fine,
    /// Tell the agent, once.
    Nudge(String),
    Stuck,
}

/// An event without what differs between repetitions: ids, times, summaries.
#[derive(Debug, PartialEq, Eq)]
enum Trace {
    Action { tool: String, what: String },
    Observation(String),
    Error(String),
    AgentMessage,
}

impl StuckDetector {
    pub(crate) fn take(&mut self, event: &Event) {
        let trace = match &event.body {
            EventBody::MessageEvent(_) if event.source == Source::User => {
                self.window.clear();
                self.nudged = false;
                return;
            }
            EventBody::MessageEvent(_) if event.source == Source::Agent => Trace::AgentMessage,
            EventBody::ActionEvent(action) => {
                let arguments = match &action.action {
                    Some(understood) => json!(understood).to_string(),
                    None => action.tool_call.arguments.clone(),
                };
                let thought: Vec<&str> = action.thought.iter().map(|t| t.text.as_str()).collect();
                let what = format!("{arguments}\n{}", thought.join("\n"));
                Trace::Action {
                    tool: action.tool_name.clone(),
                    what,
                }
            }
            EventBody::ObservationEvent(seen) => {
                let text: Vec<&str> = seen
                    .observation
                    .content
                    .iter()
                    .filter_map(Content::as_text)
                    .collect();
                Trace::Observation(text.join("\n"))
            }
            EventBody::AgentErrorEvent(error) => Trace::Error(error.error.clone()),
            // Our own hints are no user's words: they do not break a monologue.
            EventBody::MessageEvent(_) => return,
            EventBody::UserRejectObservation(reject) => {
                Trace::Observation(reject.rejection_reason.clone())
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
            | EventBody::Unknown(_) => return,
        };
        self.window.push_back(trace);
        if self.window.len() > WINDOW {
            self.window.pop_front();
        }
    }

    /// Asked before every step.
    pub(crate) fn verdict(&mut self) -> Verdict {
        let actions = self.last_actions();
        let results = self.last_results();
        if repeats(&actions, SAME_RESULT) && repeats(&results, SAME_RESULT) {
            let is_error = matches!(results.first(), Some(Trace::Error(_)));
            if !is_error {
                return Verdict::Stuck;
            }
        }
        let erring = |count| {
            repeats(&actions, count)
                && results.len() >= count
                && results
                    .iter()
                    .take(count)
                    .all(|result| matches!(result, Trace::Error(_)))
        };
        if erring(SAME_ERROR_STUCK) || self.is_monologue() || alternates(&actions, &results) {
            return Verdict::Stuck;
        }
        if !self.nudged && erring(SAME_ERROR_NUDGE) {
            let nudge = self.nudge();
            self.nudged = true;
            return Verdict::Nudge(nudge);
        }
        Verdict::Fine
    }

    /// Newest first.
    fn last_actions(&self) -> Vec<&Trace> {
        self.window
            .iter()
            .rev()
            .filter(|t| matches!(t, Trace::Action { .. }))
            .collect()
    }

    /// Newest first.
    fn last_results(&self) -> Vec<&Trace> {
        let is_result = |t: &&Trace| matches!(t, Trace::Observation(_) | Trace::Error(_));
        self.window.iter().rev().filter(is_result).collect()
    }

    fn is_monologue(&self) -> bool {
        self.window.len() >= MONOLOGUE
            && self
                .window
                .iter()
                .rev()
                .take(MONOLOGUE)
                .all(|t| *t == Trace::AgentMessage)
    }

    fn nudge(&self) -> String {
        let tool = self
            .last_actions()
            .first()
            .map_or("the tool", |trace| match trace {
                Trace::Action { tool, .. } => tool.as_str(),
                Trace::Observation(_) | Trace::Error(_) | Trace::AgentMessage => "",
            });
        let error = self.last_results().first().map_or("", |trace| match trace {
            Trace::Error(error) => error.as_str(),
            Trace::Observation(_) | Trace::Action { .. } | Trace::AgentMessage => "",
        });
        format!(
            "The last {SAME_ERROR_NUDGE} calls of `{tool}` had the same arguments and failed the \
             same way: {error}\nThe same call will fail again. Change the arguments, or go about \
             it differently."
        )
    }
}

fn repeats(traces: &[&Trace], count: usize) -> bool {
    traces.len() >= count
        && traces
            .iter()
            .take(count)
            .all(|trace| Some(trace) == traces.first())
}

/// Whether actions and results each go back and forth between two.
fn alternates(actions: &[&Trace], results: &[&Trace]) -> bool {
    let back_and_forth = |traces: &[&Trace]| {
        traces.len() >= ALTERNATING
            && traces
                .iter()
                .take(ALTERNATING)
                .zip(traces.iter().skip(2))
                .take(ALTERNATING - 2)
                .all(|(a, b)| a == b)
            && traces.first() != traces.get(1)
    };
    back_and_forth(actions) && back_and_forth(results)
}

#[cfg(test)]
mod tests {
    use super::*;
    use core_model::EventTime;
    use serde_json::Value;

    fn feed(detector: &mut StuckDetector, value: Value) {
        let mut value = value;
        value["id"] = "e".into();
        value["timestamp"] = EventTime::now().to_string().into();
        detector.take(&Event::from_slice(value.to_string().as_bytes()).unwrap());
    }

    fn call(detector: &mut StuckDetector, command: &str) {
        feed(
            detector,
            json!({
                "source": "agent", "kind": "ActionEvent", "thought": [],
                "action": {"command": command, "kind": "TerminalAction"},
                "tool_name": "terminal", "tool_call_id": "c", "llm_response_id": "r",
                "tool_call": {"id": "c", "name": "terminal", "arguments": "{}", "origin": "completion"},
            }),
        );
    }

    fn see(detector: &mut StuckDetector, text: &str) {
        feed(
            detector,
            json!({
                "source": "environment", "kind": "ObservationEvent", "tool_name": "terminal",
                "tool_call_id": "c", "action_id": "a",
                "observation": {"content": [{"type": "text", "text": text}], "kind": "X"},
            }),
        );
    }

    fn fail(detector: &mut StuckDetector, error: &str) {
        feed(
            detector,
            json!({
                "source": "agent", "kind": "AgentErrorEvent", "tool_name": "terminal",
                "tool_call_id": "c", "error": error,
            }),
        );
    }

    #[test]
    fn four_equal_calls_with_equal_results_are_stuck() {
        let mut detector = StuckDetector::default();
        for _ in 0..3 {
            call(&mut detector, "ls");
            see(&mut detector, "same");
            assert_eq!(detector.verdict(), Verdict::Fine);
        }
        call(&mut detector, "ls");
        see(&mut detector, "same");
        assert_eq!(detector.verdict(), Verdict::Stuck);
    }

    #[test]
    fn a_changing_result_is_progress() {
        let mut detector = StuckDetector::default();
        for n in 0..8 {
            call(&mut detector, "date");
            see(&mut detector, &n.to_string());
        }
        assert_eq!(detector.verdict(), Verdict::Fine);
    }

    #[test]
    fn equal_errors_are_hinted_at_once_and_then_stuck() {
        let mut detector = StuckDetector::default();
        for _ in 0..3 {
            call(&mut detector, "bad");
            fail(&mut detector, "no such flag");
        }
        assert!(
            matches!(detector.verdict(), Verdict::Nudge(text) if text.contains("no such flag"))
        );
        assert_eq!(detector.verdict(), Verdict::Fine);
        call(&mut detector, "bad");
        fail(&mut detector, "no such flag");
        assert_eq!(detector.verdict(), Verdict::Stuck);
    }

    #[test]
    fn different_arguments_are_different_errors() {
        let mut detector = StuckDetector::default();
        for n in 0..5 {
            call(&mut detector, &format!("try {n}"));
            fail(&mut detector, "no");
        }
        assert_eq!(detector.verdict(), Verdict::Fine);
    }

    #[test]
    fn back_and_forth_is_stuck_and_a_user_message_makes_a_new_start() {
        let mut detector = StuckDetector::default();
        for n in 0..6 {
            call(&mut detector, ["a", "b"][n % 2]);
            see(&mut detector, ["x", "y"][n % 2]);
        }
        assert_eq!(detector.verdict(), Verdict::Stuck);
        feed(
            &mut detector,
            json!({
                "source": "user", "kind": "MessageEvent",
                "llm_message": {"role": "user", "content": []},
            }),
        );
        assert_eq!(detector.verdict(), Verdict::Fine);
    }

    #[test]
    fn three_replies_without_a_call_are_stuck_though_hinted_at_in_between() {
        let mut detector = StuckDetector::default();
        for _ in 0..3 {
            assert_eq!(detector.verdict(), Verdict::Fine);
            for source in ["agent", "environment"] {
                let message = json!({"role": "user", "content": []});
                feed(
                    &mut detector,
                    json!({"source": source, "kind": "MessageEvent", "llm_message": message}),
                );
            }
        }
        assert_eq!(detector.verdict(), Verdict::Stuck);
    }
}
