use core_model::{Event, EventTime};
use serde_json::{Value, json};

use super::{rules::*, *};

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
        assert_eq!(detector.verdict(), StuckVerdict::Fine);
    }
    call(&mut detector, "ls");
    see(&mut detector, "same");
    assert_eq!(detector.verdict(), StuckVerdict::Stuck);
}

#[test]
fn a_changing_result_is_progress() {
    let mut detector = StuckDetector::default();
    for n in 0..8 {
        call(&mut detector, "date");
        see(&mut detector, &n.to_string());
    }
    assert_eq!(detector.verdict(), StuckVerdict::Fine);
}

#[test]
fn equal_errors_are_hinted_at_once_and_then_stuck() {
    let mut detector = StuckDetector::default();
    for _ in 0..3 {
        call(&mut detector, "bad");
        fail(&mut detector, "no such flag");
    }
    assert!(
        matches!(detector.verdict(), StuckVerdict::Nudge(text) if text.contains("no such flag"))
    );
    assert_eq!(detector.verdict(), StuckVerdict::Fine);
    call(&mut detector, "bad");
    fail(&mut detector, "no such flag");
    assert_eq!(detector.verdict(), StuckVerdict::Stuck);
}

#[test]
fn who_waits_for_a_background_job_is_excused_but_not_for_ever() {
    let mut detector = StuckDetector::default();
    let mut excused = 0;
    loop {
        for _ in 0..SAME_RESULT {
            assert_eq!(detector.verdict(), StuckVerdict::Fine);
            call(&mut detector, "tail -1 job.log");
            see(&mut detector, "building");
        }
        assert_eq!(detector.verdict(), StuckVerdict::Stuck);
        if !detector.excuse() {
            break;
        }
        excused += 1;
    }
    assert_eq!(excused, MAX_EXCUSES);
}

#[test]
fn different_arguments_are_different_errors() {
    let mut detector = StuckDetector::default();
    for n in 0..5 {
        call(&mut detector, &format!("try {n}"));
        fail(&mut detector, "no");
    }
    assert_eq!(detector.verdict(), StuckVerdict::Fine);
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
        assert_eq!(detector.verdict(), StuckVerdict::Fine);
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
        assert_eq!(detector.verdict(), StuckVerdict::Fine);
    }
}

#[test]
fn looking_at_nothing_is_stuck() {
    let mut detector = StuckDetector::default();
    let nothing =
        json!({"content": [], "is_error": true, "timeout": false, "kind": "TerminalObservation"});
    for _ in 0..4 {
        assert_eq!(detector.verdict(), StuckVerdict::Fine);
        timed(
            &mut detector,
            "terminal",
            json!({"command": ""}),
            nothing.clone(),
            [0, 0],
        );
    }
    assert_eq!(detector.verdict(), StuckVerdict::Stuck);
}

#[test]
fn reading_a_status_counts_only_while_nothing_runs() {
    for (first, stuck) in [
        (goes_on(""), StuckVerdict::Fine),
        (done(""), StuckVerdict::Stuck),
    ] {
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
    assert_eq!(rounds("sleep 30; cat status", [0, 30]), StuckVerdict::Fine);
    assert_eq!(rounds("wait; cat status", [0, 2]), StuckVerdict::Fine);
    assert_eq!(rounds("sleep 0; cat status", [0, 0]), StuckVerdict::Stuck);
    assert_eq!(rounds("cat no-sleep-here", [0, 30]), StuckVerdict::Stuck);
    assert_eq!(rounds("make test", [0, 30]), StuckVerdict::Stuck);
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
        assert_eq!(detector.verdict(), StuckVerdict::Fine);
        timed(
            &mut detector,
            "terminal",
            json!({"command": "C-c"}),
            goes_on(""),
            [0, 3],
        );
    }
    assert_eq!(detector.verdict(), StuckVerdict::Stuck);
}

#[test]
fn back_and_forth_is_stuck_and_a_user_message_makes_a_new_start() {
    let mut detector = StuckDetector::default();
    for n in 0..6 {
        call(&mut detector, ["a", "b"][n % 2]);
        see(&mut detector, ["x", "y"][n % 2]);
    }
    assert_eq!(detector.verdict(), StuckVerdict::Stuck);
    feed(
        &mut detector,
        json!({
            "source": "user", "kind": "MessageEvent",
            "llm_message": {"role": "user", "content": []},
        }),
    );
    assert_eq!(detector.verdict(), StuckVerdict::Fine);
}

#[test]
fn three_replies_without_a_call_are_stuck_though_hinted_at_in_between() {
    let mut detector = StuckDetector::default();
    for _ in 0..3 {
        assert_eq!(detector.verdict(), StuckVerdict::Fine);
        for source in ["agent", "environment"] {
            let message = json!({"role": "user", "content": []});
            feed(
                &mut detector,
                json!({"source": source, "kind": "MessageEvent", "llm_message": message}),
            );
        }
    }
    assert_eq!(detector.verdict(), StuckVerdict::Stuck);
}
