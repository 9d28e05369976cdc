//! What a condensation does to a context, and what a plan for one has to know of it.

use std::collections::BTreeSet;

use core_model::{Content, Event, EventId, event::Condensation};
use llm_client::ModelMessage;

use super::{Item, ModelContext, message::ContextMessage};

/// Said before a summary, so that the model knows what it reads.
const SUMMARY_HEADER: &str =
    "[The earlier part of this conversation was replaced by this summary.]\n";

/// A part of a context that stays or goes as a whole: a message, or the calls of a reply with their
/// answers.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::turn) struct Unit {
    pub(in crate::turn) kind: UnitKind,
    /// Never empty.
    pub(in crate::turn) events: Vec<EventId>,
    /// An estimate.
    pub(in crate::turn) tokens: u64,
    /// A call has no answer yet.
    pub(in crate::turn) is_open: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::turn) enum UnitKind {
    System,
    Other,
}

impl ModelContext {
    pub(in crate::turn) fn is_condensation_requested(&self) -> bool {
        self.condensation_requested
    }

    pub(in crate::turn) fn units(&self) -> Vec<Unit> {
        self.items.iter().map(Item::unit).collect()
    }

    /// How many events the model is shown.
    pub(in crate::turn) fn event_count(&self) -> usize {
        self.items.iter().map(Item::event_count).sum()
    }

    /// The action of the latest call of a tool, by the tool's name.
    pub(in crate::turn) fn last_call_of(&self, tool: &str) -> Option<EventId> {
        let groups = self.items.iter().rev().filter_map(|item| match item {
            Item::Calls(group) => Some(group),
            Item::System(_) | Item::Said(_) => None,
        });
        let mut calls = groups.flat_map(|group| group.calls.iter().rev());
        let found = calls.find(|call| call.call.name == tool)?;
        Some(found.action_id.clone())
    }

    /// The messages that these events became.
    pub(in crate::turn) fn messages_of(&self, events: &BTreeSet<&EventId>) -> Vec<ContextMessage> {
        let mut messages = Vec::new();
        for item in &self.items {
            match item {
                Item::System(shown) | Item::Said(shown) => {
                    if shown.events.iter().all(|event| events.contains(event)) {
                        messages.push(shown.clone());
                    }
                }
                Item::Calls(group) => {
                    let inside = group
                        .calls
                        .iter()
                        .all(|call| events.contains(&call.action_id));
                    if inside {
                        group.render(self.longest_tool_text, &mut messages);
                    }
                }
            }
        }
        messages
    }

    /// Replaces forgotten events by their summary. What a provider wants back of earlier replies is bound
    /// to what stood before them, so it goes too.
    pub(super) fn condense(&mut self, event: &Event, condensation: &Condensation) {
        self.condensation_requested = false;
        self.group_is_open = false;
        self.measured = None;
        if condensation.forgotten_event_ids.is_empty() {
            return;
        }
        self.rendered.forget_from(0);
        let forgotten: BTreeSet<&EventId> = condensation.forgotten_event_ids.iter().collect();
        let mut kept = Vec::with_capacity(self.items.len());
        let mut place = None;
        for item in self.items.drain(..) {
            match item.without(&forgotten) {
                Some(item) => kept.push(item),
                None => {
                    place.get_or_insert(kept.len());
                }
            }
        }
        if let Some(summary) = &condensation.summary {
            let systems = kept
                .iter()
                .take_while(|item| matches!(item, Item::System(_)));
            let place = place.unwrap_or(systems.count());
            kept.insert(place, Item::Said(summary_message(event, summary)));
        }
        self.tokens = kept.iter().map(Item::tokens).sum();
        self.items = kept;
    }
}

/// A summary has an id of its own, made from the condensation's as the public clients make it: a later
/// condensation forgets it by that id.
fn summary_message(event: &Event, summary: &str) -> ContextMessage {
    let content = vec![Content::text(format!("{SUMMARY_HEADER}{summary}"))];
    let id = EventId(format!("{}-summary", event.id.0));
    ContextMessage::new(vec![id], ModelMessage::User(content))
}

impl Item {
    fn unit(&self) -> Unit {
        Unit {
            kind: match self {
                Self::System(_) => UnitKind::System,
                Self::Said(_) | Self::Calls(_) => UnitKind::Other,
            },
            events: match self {
                Self::System(shown) | Self::Said(shown) => shown.events.clone(),
                Self::Calls(group) => group.events(),
            },
            tokens: self.tokens(),
            is_open: match self {
                Self::System(_) | Self::Said(_) => false,
                Self::Calls(group) => group.calls.iter().any(|call| call.answer.is_none()),
            },
        }
    }

    fn event_count(&self) -> usize {
        match self {
            Self::System(shown) | Self::Said(shown) => shown.events.len(),
            Self::Calls(group) => {
                let answers = group.calls.iter().filter(|call| call.answer.is_some());
                group.calls.len() + answers.count()
            }
        }
    }

    /// What is left of it.
    fn without(self, forgotten: &BTreeSet<&EventId>) -> Option<Self> {
        match self {
            Self::System(shown) => Some(Self::System(shown)),
            Self::Said(shown) if shown.events.iter().all(|event| forgotten.contains(event)) => None,
            Self::Said(mut shown) => {
                shown.forget_provider_state();
                Some(Self::Said(shown))
            }
            Self::Calls(mut group) => {
                group
                    .calls
                    .retain(|call| !forgotten.contains(&call.action_id));
                group.forget_provider_state();
                (!group.calls.is_empty()).then_some(Self::Calls(group))
            }
        }
    }
}
