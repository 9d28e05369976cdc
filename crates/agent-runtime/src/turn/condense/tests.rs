use std::collections::BTreeSet;

use core_model::{Agent, EventId};
use llm_client::ModelLimits;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    Reason,
    plan::{Forgettable, forgettable},
    settings::CondenserSettings,
};
use crate::turn::context::{Unit, UnitKind};

/// A context of these units after the system prompt: events and tokens of each.
fn units(sizes: &[(usize, u64)]) -> Vec<Unit> {
    let system = Unit {
        kind: UnitKind::System,
        events: vec![EventId("system".to_owned())],
        tokens: 10,
        is_open: false,
    };
    let others = sizes.iter().enumerate().map(|(at, (events, tokens))| Unit {
        kind: UnitKind::Other,
        events: (0..*events)
            .map(|event| EventId(format!("{at}.{event}")))
            .collect(),
        tokens: *tokens,
        is_open: false,
    });
    std::iter::once(system).chain(others).collect()
}

fn settings(max_size: usize, keep_first: usize) -> CondenserSettings {
    CondenserSettings {
        max_size: Some(max_size),
        keep_first,
        ..CondenserSettings::default()
    }
}

fn forgotten(units: &[Unit], settings: &CondenserSettings, reason: Reason) -> Vec<String> {
    let found = forgettable(units, settings, reason, &BTreeSet::new());
    found.events.into_iter().map(|event| event.0).collect()
}

fn agent(condenser: Value) -> Agent {
    Agent {
        condenser: Some(condenser),
        ..Agent::default()
    }
}

#[test]
fn the_middle_goes_and_half_of_the_size_stays() {
    let units = units(&[(1, 1), (2, 1), (2, 1), (2, 1), (2, 1), (2, 1)]);
    // 12 events: 2 first ones and 10/2 - 2 - 1 = 2 last ones stay.
    let found = forgotten(&units, &settings(10, 2), Reason::Events);
    assert_eq!(
        found,
        ["1.0", "1.1", "2.0", "2.1", "3.0", "3.1", "4.0", "4.1"]
    );
}

#[test]
fn what_has_to_stay_stays_wherever_it_is() {
    let mut units = units(&[(1, 1), (1, 1), (2, 1), (2, 1), (2, 1), (2, 1)]);
    units[4].is_open = true;
    let kept = BTreeSet::from([EventId("1.0".to_owned())]);
    let found = Forgettable::everything(&units, &kept);
    let found: Vec<String> = found.events.into_iter().map(|event| event.0).collect();
    assert_eq!(found, ["0.0", "2.0", "2.1", "4.0", "4.1", "5.0", "5.1"]);
}

#[test]
fn a_full_window_leaves_half_of_what_fits() {
    let units = units(&[(1, 100), (2, 100), (2, 100), (2, 100), (2, 100)]);
    let reason = Reason::Tokens { limit: 500 };
    // The first two events have 110 tokens, so that 140 of the last ones fit.
    let found = forgotten(&units, &settings(240, 2), reason);
    assert_eq!(found, ["1.0", "1.1", "2.0", "2.1", "3.0", "3.1"]);
}

#[test]
fn the_limit_leaves_room_for_the_reply() {
    let limit = |max_tokens, input_tokens, output_tokens| {
        let settings = CondenserSettings {
            max_tokens,
            ..CondenserSettings::default()
        };
        settings.token_limit(ModelLimits {
            input_tokens,
            output_tokens,
        })
    };
    assert_eq!(limit(None, None, None), None);
    assert_eq!(limit(Some(9), None, None), Some(9));
    assert_eq!(limit(None, Some(80_000), None), Some(70_000));
    assert_eq!(limit(None, Some(80_000), Some(20_000)), Some(60_000));
    assert_eq!(limit(None, Some(8_000), Some(20_000)), Some(4_000));
    assert_eq!(limit(Some(5_000), Some(80_000), None), Some(5_000));
}

#[test]
fn settings_are_those_of_the_public_clients() {
    let said = CondenserSettings::of(&agent(json!({
        "kind": "LLMSummarizingCondenser", "max_size": 80, "keep_first": 4, "max_tokens": 100,
        "llm": {"model": "openai/small", "usage_id": "condenser"},
    })));
    let said = said.unwrap().unwrap();
    assert_eq!((said.max_size, said.keep_first), (Some(80), 4));
    assert_eq!(said.llm.unwrap().model, "openai/small");
    let inside = json!({"kind": "PipelineCondenser", "condensers": [
        {"kind": "NoOpCondenser"}, {"kind": "LLMSummarizingCondenser", "max_size": 50}]});
    let inside = CondenserSettings::of(&agent(inside)).unwrap().unwrap();
    assert_eq!(inside.max_size, Some(50));
    let off = CondenserSettings::of(&agent(json!({"kind": "NoOpCondenser"})));
    assert_eq!(off, Ok(None));
    let unset = CondenserSettings::of(&Agent::default()).unwrap().unwrap();
    assert_eq!(unset.max_size, None);
}

#[test]
fn settings_that_cannot_work_are_refused() {
    for wrong in [
        json!({"kind": "Mystery"}),
        json!({"kind": "LLMSummarizingCondenser", "max_size": 10, "keep_first": 4}),
        json!({"kind": "LLMSummarizingCondenser", "minimum_progress": 1.5}),
        json!({"kind": "LLMSummarizingCondenser", "max_size": "many"}),
        json!({"kind": "LLMSummarizingCondenser", "max_tokens": 0}),
        json!({"max_size": 10, "keep_first": u64::MAX}),
        json!("x"),
        json!([]),
    ] {
        assert!(
            CondenserSettings::of(&agent(wrong.clone())).is_err(),
            "{wrong}"
        );
    }
}

proptest! {
    #[test]
    fn units_are_never_cut_and_the_system_prompt_never_goes(
        sizes in prop::collection::vec((1usize..5, 0u64..1_000), 0..60),
        max_size in 8usize..100,
        keep_first in 0usize..3,
        limit in 0u64..20_000,
        which in 0usize..3,
    ) {
        let units = units(&sizes);
        let reason = [Reason::Request, Reason::Events, Reason::Tokens { limit }][which];
        let found = forgettable(&units, &settings(max_size, keep_first), reason, &BTreeSet::new());
        let gone: BTreeSet<&EventId> = found.events.iter().collect();
        prop_assert_eq!(gone.len(), found.events.len());
        for unit in &units {
            let inside = unit.events.iter().filter(|event| gone.contains(event)).count();
            prop_assert!(inside == 0 || inside == unit.events.len());
            prop_assert!(inside == 0 || unit.kind != UnitKind::System);
        }
        let before = units.iter().flat_map(|unit| &unit.events);
        let before = before.take_while(|event| !gone.contains(event)).count();
        prop_assert!(gone.is_empty() || before == found.offset);
    }
}
