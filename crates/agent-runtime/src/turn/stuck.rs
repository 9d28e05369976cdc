use std::{collections::VecDeque, time::Duration};

use core_model::{Content, Event, EventBody, EventTime, Observation, Source};
use serde_json::{Map, Value, json};

/// How far back the detector looks.
const WINDOW: usize = 20;
const SAME_RESULT: usize = 4;
const SAME_ERROR_NUDGE: usize = 3;
const SAME_ERROR_STUCK: usize = 4;
const MONOLOGUE: usize = 3;
const ALTERNATING: usize = 6;
/// How often what would be stuck is taken for waiting, as long as something runs in the background.
const MOST_EXCUSED: usize = 10;
/// A command that sleeps for less does not wait for anything.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// Notices an agent that goes in circles. Looks at what happened since the last user message.
///
/// An agent that waits does not go in circles, though it sees the same until what it waits for has
/// happened: what came before a wait is no repetition of what comes after it. How long it may wait is for
/// the limit on a run's steps.
#[derive(Default)]
pub(crate) struct StuckDetector {
    window: VecDeque<Trace>,
    nudged: bool,
    /// How often it was taken for waiting.
    excused: usize,
    /// Calls whose result has not come yet, oldest first.
    open: VecDeque<Call>,
    /// Whether the terminal's command was still running when it was last heard of.
    runs: bool,
}

struct Call {
    id: String,
    tool: String,
    arguments: Map<String, Value>,
    since: EventTime,
    trace: Trace,
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
#[derive(Clone, Debug, PartialEq, Eq)]
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
                self.open.clear();
                self.nudged = false;
                self.excused = 0;
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
                let trace = Trace::Action {
                    tool: action.tool_name.clone(),
                    what,
                };
                self.open.push_back(Call {
                    id: action.tool_call_id.to_string(),
                    tool: action.tool_name.clone(),
                    arguments: action.action.clone().unwrap_or_default(),
                    since: event.timestamp,
                    trace: trace.clone(),
                });
                trace
            }
            EventBody::ObservationEvent(seen) => {
                let call = self.answered(seen.tool_call_id.as_ref());
                self.runs = runs_after(&seen.observation).unwrap_or(self.runs);
                if let Some(call) = call {
                    if call.waited(&seen.observation, event.timestamp) {
                        self.window.clear();
                        return;
                    }
                    if self.runs && call.only_looks() {
                        self.forget(&call.trace);
                        return;
                    }
                }
                let text: Vec<&str> = seen
                    .observation
                    .content
                    .iter()
                    .filter_map(Content::as_text)
                    .collect();
                Trace::Observation(text.join("\n"))
            }
            EventBody::AgentErrorEvent(error) => {
                let call = self.answered(error.tool_call_id.as_ref());
                // an interrupted one was ended
                self.runs &= call.is_none_or(|call| call.tool != "terminal");
                Trace::Error(error.error.clone())
            }
            // Our own hints are no user's words: they do not break a monologue.
            EventBody::MessageEvent(_) => return,
            EventBody::UserRejectObservation(reject) => {
                self.answered(reject.tool_call_id.as_ref());
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

    fn answered(&mut self, id: &str) -> Option<Call> {
        let index = self.open.iter().position(|call| call.id == id)?;
        self.open.remove(index)
    }

    fn forget(&mut self, trace: &Trace) {
        if let Some(index) = self.window.iter().rposition(|it| it == trace) {
            self.window.remove(index);
        }
    }

    /// Takes an agent that sees the same again and again for one that waits for what it left running.
    /// False when it has waited like that often enough.
    pub(crate) fn excuse(&mut self) -> bool {
        let excused = !self.is_monologue() && self.excused < MOST_EXCUSED;
        if excused {
            self.excused += 1;
            self.window.clear();
        }
        excused
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

impl Call {
    /// Whether the call was there to let time pass, and did: it looked at a command that still runs, or
    /// slept.
    fn waited(&self, seen: &Observation, now: EventTime) -> bool {
        if self.tool != "terminal" || seen.is_error {
            return false;
        }
        let command = self.text("command");
        if command.is_empty() {
            return seen.fields.get("timeout") == Some(&json!(true));
        }
        let is_word = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '-';
        let sleeps = command
            .split(|letter| !is_word(letter))
            .any(|word| matches!(word, "sleep" | "wait"));
        let took = (now.utc() - self.since.utc()).to_std();
        sleeps && took.is_ok_and(|took| took >= SHORTEST_WAIT)
    }

    /// Whether it changes nothing, and is made to see how something is getting on.
    fn only_looks(&self) -> bool {
        matches!(self.tool.as_str(), "task_tracker" | "file_editor")
            && self.text("command") == "view"
    }

    fn text(&self, name: &str) -> &str {
        self.arguments
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }
}

/// Whether a command runs, as far as an observation tells.
fn runs_after(seen: &Observation) -> Option<bool> {
    if seen.fields.get("kind")? != "TerminalObservation" {
        return None;
    }
    let goes_on = seen.fields.get("timeout") == Some(&json!(true));
    // a call that was refused has no exit code, and changes nothing
    (goes_on || seen.fields.contains_key("exit_code")).then_some(goes_on)
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
    fn who_waits_for_a_background_job_is_excused_but_not_for_ever() {
        let mut detector = StuckDetector::default();
        let mut excused = 0;
        loop {
            for _ in 0..SAME_RESULT {
                assert_eq!(detector.verdict(), Verdict::Fine);
                call(&mut detector, "tail -1 job.log");
                see(&mut detector, "building");
            }
            assert_eq!(detector.verdict(), Verdict::Stuck);
            if !detector.excuse() {
                break;
            }
            excused += 1;
        }
        assert_eq!(excused, MOST_EXCUSED);
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

    /// A call at `start` seconds and what came of it at `end`.
    fn timed(
        detector: &mut StuckDetector,
        tool: &str,
        action: Value,
        seen: Value,
        [start, end]: [u32; 2],
    ) {
        let at = |seconds: u32| format!("2026-11-22T19:{:02}:{:02}", seconds / 60, seconds % 60);
        for event in [
            json!({
                "id": "e", "timestamp": at(start), "source": "agent", "kind": "ActionEvent",
                "thought": [], "action": action, "tool_name": tool, "tool_call_id": "t",
                "llm_response_id": "r",
                "tool_call": {"id": "t", "name": tool, "arguments": "{}", "origin": "completion"},
            }),
            json!({
                "id": "o", "timestamp": at(end), "source": "environment", "kind": "ObservationEvent",
                "tool_name": tool, "tool_call_id": "t", "action_id": "e", "observation": seen,
            }),
        ] {
            detector.take(&Event::from_slice(event.to_string().as_bytes()).unwrap());
        }
    }

    fn goes_on(text: &str) -> Value {
        json!({
            "content": [{"type": "text", "text": text}], "command": "", "exit_code": -1,
            "timeout": true, "kind": "TerminalObservation",
        })
    }

    fn done(text: &str) -> Value {
        json!({
            "content": [{"type": "text", "text": text}], "command": "", "exit_code": 0,
            "timeout": false, "kind": "TerminalObservation",
        })
    }

    #[test]
    fn looking_at_a_command_that_runs_is_no_repetition() {
        let mut detector = StuckDetector::default();
        for _ in 0..50 {
            timed(
                &mut detector,
                "terminal",
                json!({"command": ""}),
                goes_on(""),
                [0, 0],
            );
            assert_eq!(detector.verdict(), Verdict::Fine);
        }
        // nor is what is done between two looks
        for _ in 0..20 {
            timed(
                &mut detector,
                "terminal",
                json!({"command": ""}),
                goes_on(""),
                [0, 0],
            );
            timed(
                &mut detector,
                "task_tracker",
                json!({"command": "view"}),
                json!({"content": []}),
                [0, 0],
            );
            assert_eq!(detector.verdict(), Verdict::Fine);
        }
    }

    #[test]
    fn looking_at_nothing_is_stuck() {
        let mut detector = StuckDetector::default();
        let nothing = json!({"content": [], "is_error": true, "timeout": false, "kind": "TerminalObservation"});
        for _ in 0..4 {
            assert_eq!(detector.verdict(), Verdict::Fine);
            timed(
                &mut detector,
                "terminal",
                json!({"command": ""}),
                nothing.clone(),
                [0, 0],
            );
        }
        assert_eq!(detector.verdict(), Verdict::Stuck);
    }

    #[test]
    fn reading_a_status_counts_only_while_nothing_runs() {
        for (first, stuck) in [(goes_on(""), Verdict::Fine), (done(""), Verdict::Stuck)] {
            for tool in ["task_tracker", "file_editor"] {
                let mut detector = StuckDetector::default();
                timed(
                    &mut detector,
                    "terminal",
                    json!({"command": "make"}),
                    first.clone(),
                    [0, 30],
                );
                for _ in 0..8 {
                    timed(
                        &mut detector,
                        tool,
                        json!({"command": "view"}),
                        json!({"content": []}),
                        [0, 0],
                    );
                }
                assert_eq!(detector.verdict(), stuck, "{tool}");
            }
        }
    }

    #[test]
    fn sleeping_and_looking_again_is_waiting_and_running_again_is_not() {
        let rounds = |command: &str, times| {
            let mut detector = StuckDetector::default();
            for _ in 0..8 {
                timed(
                    &mut detector,
                    "terminal",
                    json!({"command": command}),
                    done("pending"),
                    times,
                );
            }
            detector.verdict()
        };
        assert_eq!(rounds("sleep 30; cat status", [0, 30]), Verdict::Fine);
        assert_eq!(rounds("wait; cat status", [0, 2]), Verdict::Fine);
        assert_eq!(rounds("sleep 0; cat status", [0, 0]), Verdict::Stuck);
        assert_eq!(rounds("cat no-sleep-here", [0, 30]), Verdict::Stuck);
        assert_eq!(rounds("make test", [0, 30]), Verdict::Stuck);
    }

    #[test]
    fn a_loop_after_a_wait_is_still_a_loop() {
        let mut detector = StuckDetector::default();
        timed(
            &mut detector,
            "terminal",
            json!({"command": ""}),
            goes_on(""),
            [0, 30],
        );
        for _ in 0..4 {
            assert_eq!(detector.verdict(), Verdict::Fine);
            timed(
                &mut detector,
                "terminal",
                json!({"command": "C-c"}),
                goes_on(""),
                [0, 3],
            );
        }
        assert_eq!(detector.verdict(), Verdict::Stuck);
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
