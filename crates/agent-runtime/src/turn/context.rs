//! Stage 2: events into model messages.

mod condensed;
mod message;
mod rendered;
mod size;
mod tool_calls;

use std::collections::HashSet;

use core_model::{
    Content, Event, EventBody, EventId, LogReader, Seq, StoreError, event::ActionEvent,
};
use llm_client::ModelMessage;
use serde_json::{Map, Value};

use crate::branch::{Branches, read_on};

use self::{
    rendered::Rendered,
    size::Measured,
    tool_calls::{Call, CallGroup, observation_content},
};

pub(super) use self::{
    condensed::{Unit, UnitKind},
    message::ContextMessage,
    size::clip,
};

/// What a model is shown of a log: a follower that keeps up at every step and turns events into
/// messages. Answers stand right after the calls they answer, in call order, wherever they are in
/// the log.
#[derive(Default)]
pub(super) struct ModelContext {
    next: Seq,
    items: Vec<Item>,
    rendered: Rendered,
    /// An estimate of all items.
    tokens: u64,
    /// Whether the next call may belong to the last group. Not after anything but calls and errors:
    /// some servers give every reply the same id.
    group_is_open: bool,
    /// A condensation was asked for and has not come.
    condensation_requested: bool,
    /// What the provider counted last.
    measured: Option<Measured>,
    /// The longest text of a tool that is shown, in characters.
    longest_tool_text: Option<usize>,
}

enum Item {
    System(ContextMessage),
    /// What a user, the agent or the server said, or a summary.
    Said(ContextMessage),
    Calls(Box<CallGroup>),
}

impl ModelContext {
    /// Takes in what was appended since the last time. The first time, only what leads to HEAD: nobody
    /// moves that while a turn runs. `head_moved`: it was moved once.
    pub(super) async fn catch_up(
        &mut self,
        log: &dyn LogReader,
        until: Seq,
        head_moved: bool,
    ) -> Result<Vec<Event>, StoreError> {
        let branch = if head_moved && self.next == Seq(0) {
            Some(Branches::read(log, until).await?.to_head())
        } else {
            None
        };
        let mut news = Vec::new();
        while self.next < until {
            for record in read_on(log, &mut self.next, until).await? {
                let Ok(event) = record.event() else { continue };
                let is_update = matches!(event.body, EventBody::ConversationStateUpdateEvent(_));
                let has = |branch: &HashSet<EventId>| is_update || branch.contains(&event.id);
                if branch.as_ref().is_none_or(has) {
                    self.take(&event);
                    news.push(event);
                }
            }
        }
        Ok(news)
    }

    /// The action of a call that was understood.
    pub(super) fn action(&self, id: &EventId) -> Option<&Map<String, Value>> {
        let groups = self.items.iter().rev().filter_map(|item| match item {
            Item::Calls(group) => Some(group),
            Item::System(_) | Item::Said(_) => None,
        });
        groups
            .flat_map(|group| group.calls.iter())
            .find(|call| call.action_id == *id)
            .and_then(|call| call.action.as_ref())
    }

    /// The whole conversation as a model is sent it. A message that did not change since the last time is
    /// the same `Arc`.
    pub(super) fn messages(&mut self) -> &[ContextMessage] {
        self.rendered.catch_up(&self.items, self.longest_tool_text)
    }

    pub(super) fn take(&mut self, event: &Event) {
        let continues_group = matches!(
            event.body,
            EventBody::ActionEvent(_) | EventBody::AgentErrorEvent(_)
        );
        self.group_is_open &= continues_group;
        match &event.body {
            EventBody::SystemPromptEvent(system) => {
                let parts = [Some(&system.system_prompt), system.dynamic_context.as_ref()];
                let content = parts.into_iter().flatten().cloned();
                let message = ModelMessage::System(content.map(Content::from).collect());
                self.push_system(ContextMessage::of(event, message));
            }
            EventBody::MessageEvent(said) => {
                let mut message = said.llm_message.clone();
                message
                    .content
                    .extend(said.extended_content.iter().cloned().map(Content::from));
                if !message.content.is_empty() {
                    self.push(Item::Said(ContextMessage::of(event, message.into())));
                }
            }
            EventBody::ActionEvent(action) => self.take_call(event, action),
            EventBody::ObservationEvent(seen) => {
                let answers = |call: &Call| call.action_id == seen.action_id;
                self.answer(event, answers, || observation_content(seen));
            }
            EventBody::UserRejectObservation(reject) => {
                let answers = |call: &Call| call.action_id == reject.action_id;
                let reason = &reject.rejection_reason;
                self.answer(event, answers, || {
                    vec![Content::text(format!("Action rejected: {reason}"))]
                });
            }
            EventBody::AgentErrorEvent(error) => {
                let answers =
                    |call: &Call| call.answer.is_none() && call.call.id == error.tool_call_id;
                self.answer(event, answers, || vec![Content::text(error.error.clone())]);
            }
            EventBody::CondensationRequest(_) => self.condensation_requested = true,
            EventBody::Condensation(condensation) => self.condense(event, condensation),
            EventBody::ConversationErrorEvent(_)
            | EventBody::ServerErrorEvent(_)
            | EventBody::ConversationStateUpdateEvent(_)
            | EventBody::PauseEvent(_)
            | EventBody::InterruptEvent(_)
            | EventBody::SecurityAnalysisEvent(_)
            | EventBody::StreamingDeltaEvent(_)
            | EventBody::Unknown(_) => {}
        }
    }

    /// Providers want it first, also when a message was logged before the agent could be set up.
    fn push_system(&mut self, prompt: ContextMessage) {
        let is_system = |item: &&Item| matches!(item, Item::System(_));
        let place = self.items.iter().take_while(is_system).count();
        self.tokens += prompt.tokens;
        self.items.insert(place, Item::System(prompt));
        self.rendered.forget_from(place);
    }

    fn take_call(&mut self, event: &Event, action: &ActionEvent) {
        let call = Call::new(event.id.clone(), action);
        if std::mem::replace(&mut self.group_is_open, true)
            && let Some(Item::Calls(group)) = self.items.last_mut()
            && group.response_id == action.llm_response_id
        {
            self.tokens += call.tokens();
            group.calls.push(call);
            self.rendered.forget_from(self.items.len() - 1);
            return;
        }
        let group = Box::new(CallGroup::new(action, call));
        self.push(Item::Calls(group));
    }

    fn push(&mut self, item: Item) {
        self.tokens += item.tokens();
        self.items.push(item);
    }

    /// Gives an answer to the latest call that `answers` names.
    fn answer(
        &mut self,
        event: &Event,
        answers: impl Fn(&Call) -> bool,
        content: impl FnOnce() -> Vec<Content>,
    ) {
        for (at, item) in self.items.iter_mut().enumerate().rev() {
            let Item::Calls(group) = item else { continue };
            if let Some(call) = group.calls.iter_mut().find(|call| answers(call)) {
                let before = call.tokens();
                call.answer = Some((event.id.clone(), content()));
                self.tokens = self.tokens + call.tokens() - before;
                self.rendered.forget_from(at);
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
