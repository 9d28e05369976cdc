//! When an agent counts as repeating itself.

use std::collections::VecDeque;

use super::trace::Trace;

/// How far back the detector looks, in events.
pub(super) const WINDOW: usize = 20;
/// How often what would be stuck is taken for waiting, as long as something runs in the background.
pub(super) const MAX_EXCUSES: usize = 10;
/// Equal calls with equal results.
pub(super) const SAME_RESULT: usize = 4;
/// Equal calls with errors.
pub(super) const SAME_ERROR_NUDGE: usize = 3;
const SAME_ERROR_STUCK: usize = 4;
/// Replies without a call.
const MONOLOGUE: usize = 3;
/// Calls that alternate between two, with results that do the same.
const ALTERNATING: usize = 6;

pub(super) fn is_stuck(window: &VecDeque<Trace>) -> bool {
    let (actions, results) = (
        last(window, Trace::is_action),
        last(window, Trace::is_result),
    );
    let same_result = repeats(&actions, SAME_RESULT)
        && repeats(&results, SAME_RESULT)
        && !results.first().is_some_and(|result| result.is_error());
    same_result
        || errs(&actions, &results, SAME_ERROR_STUCK)
        || is_monologue(window)
        || alternates(&actions) && alternates(&results)
}

/// The tool and the error of a call that failed often enough for a hint.
pub(super) fn repeated_error(window: &VecDeque<Trace>) -> Option<(&str, &str)> {
    let (actions, results) = (
        last(window, Trace::is_action),
        last(window, Trace::is_result),
    );
    if !errs(&actions, &results, SAME_ERROR_NUDGE) {
        return None;
    }
    match (actions.first()?, results.first()?) {
        (Trace::Action { tool, .. }, Trace::Error(error)) => Some((tool, error)),
        _ => None,
    }
}

pub(super) fn is_monologue(window: &VecDeque<Trace>) -> bool {
    let mut latest = window.iter().rev().take(MONOLOGUE);
    window.len() >= MONOLOGUE && latest.all(|trace| *trace == Trace::AgentMessage)
}

/// Those of a sort, newest first.
fn last(window: &VecDeque<Trace>, is_of_sort: fn(&Trace) -> bool) -> Vec<&Trace> {
    let newest_first = window.iter().rev();
    newest_first.filter(|trace| is_of_sort(trace)).collect()
}

fn repeats(traces: &[&Trace], count: usize) -> bool {
    let mut latest = traces.iter().take(count);
    traces.len() >= count && latest.all(|trace| Some(trace) == traces.first())
}

fn errs(actions: &[&Trace], results: &[&Trace], count: usize) -> bool {
    let mut latest = results.iter().take(count);
    repeats(actions, count) && results.len() >= count && latest.all(|result| result.is_error())
}

fn alternates(traces: &[&Trace]) -> bool {
    let pairs = traces.iter().zip(traces.iter().skip(2));
    traces.len() >= ALTERNATING
        && pairs.take(ALTERNATING - 2).all(|(a, b)| a == b)
        && traces.first() != traces.get(1)
}
