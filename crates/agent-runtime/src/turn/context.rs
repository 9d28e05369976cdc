use core_model::{
    Content, Event, EventBody, EventId, EventLog, Limit, Message, MessageToolCall, Role, Seq,
    StoreError,
    event::{ActionEvent, Observation, ObservationEvent},
};
use llm_client::ModelMessage;
use serde_json::{Map, Value};

/// Records taken in at a time.
const STRIDE: usize = 512;
/// Longer tool texts are cut for the model.
const TOOL_TEXT_CHARS: usize = 50_000;
const ERROR_HEADER: &str = "[An error occurred during execution.]\n";

/// What a model is shown of a log: a follower that keeps up at every step and turns events into
/// messages. Answers stand right after the calls they answer, in call order, wherever they are in
/// the log.
#[derive(Default)]
pub(crate) struct ModelContext {
    next: Seq,
    items: Vec<Item>,
    /// Whether the next call may belong to the last batch. Not after anything but calls and errors:
    /// some servers give every reply the same id.
    batch_is_open: bool,
}

enum Item {
    System(Vec<Content>),
    Said(ModelMessage),
    Calls(ToolCallGroup),
}

/// The tool calls of one model reply.
struct ToolCallGroup {
    response_id: String,
    /// What the reply said beside its calls, as the event of its first call stores it.
    said: Message,
    calls: Vec<Call>,
}

struct Call {
    action_id: EventId,
    call: MessageToolCall,
    action: Option<Map<String, Value>>,
    answer: Option<Vec<Content>>,
}

impl ModelContext {
    /// Takes in what was appended since the last time.
    pub(crate) async fn catch_up(
        &mut self,
        log: &dyn EventLog,
        until: Seq,
    ) -> Result<Vec<Event>, StoreError> {
        let mut news = Vec::new();
        while self.next < until {
            let wanted = ((until.0 - self.next.0) as usize).min(STRIDE);
            let records = log.read(self.next, Limit::records(wanted)).await?;
            self.next = records.last().map_or(until, |record| record.seq.after(1));
            for record in records {
                let Ok(event) = record.event() else { continue };
                self.take(&event);
                news.push(event);
            }
        }
        Ok(news)
    }

    /// The action of a call that was understood.
    pub(crate) fn action(&self, id: &EventId) -> Option<&Map<String, Value>> {
        self.calls()
            .find(|call| call.action_id == *id)
            .and_then(|call| call.action.as_ref())
    }

    /// The whole conversation as a model is sent it.
    pub(crate) fn messages(&self) -> Vec<ModelMessage> {
        let mut messages: Vec<ModelMessage> = Vec::new();
        for item in &self.items {
            match item {
                Item::System(content) => {
                    messages.push(ModelMessage::System(content.clone()));
                }
                Item::Said(message) => match (messages.last_mut(), message) {
                    (Some(ModelMessage::User(last)), ModelMessage::User(more)) => {
                        last.extend(more.iter().cloned());
                    }
                    _ => messages.push(message.clone()),
                },
                Item::Calls(batch) => batch.render(&mut messages),
            }
        }
        messages
    }

    fn calls(&self) -> impl Iterator<Item = &Call> {
        let batches = self.items.iter().rev().filter_map(|item| match item {
            Item::Calls(batch) => Some(batch),
            Item::System(_) | Item::Said(_) => None,
        });
        batches.flat_map(|batch| batch.calls.iter())
    }

    fn take(&mut self, event: &Event) {
        let goes_on = matches!(
            event.body,
            EventBody::ActionEvent(_) | EventBody::AgentErrorEvent(_)
        );
        self.batch_is_open &= goes_on;
        match &event.body {
            EventBody::SystemPromptEvent(system) => {
                let parts = [Some(&system.system_prompt), system.dynamic_context.as_ref()];
                let content = parts
                    .into_iter()
                    .flatten()
                    .cloned()
                    .map(Content::from)
                    .collect();
                self.items.push(Item::System(content));
            }
            EventBody::MessageEvent(said) => {
                let mut message = said.llm_message.clone();
                message
                    .content
                    .extend(said.extended_content.iter().cloned().map(Content::from));
                if !message.content.is_empty() {
                    self.items.push(Item::Said(message.into()));
                }
            }
            EventBody::ActionEvent(action) => self.take_call(event, action),
            EventBody::ObservationEvent(seen) => {
                self.answer_action(&seen.action_id, || answer(seen))
            }
            EventBody::UserRejectObservation(reject) => {
                self.answer_action(&reject.action_id, || {
                    vec![Content::text(format!(
                        "Action rejected: {}",
                        reject.rejection_reason
                    ))]
                })
            }
            EventBody::AgentErrorEvent(error) => {
                let content = vec![Content::text(error.error.clone())];
                let open =
                    |call: &&mut Call| call.answer.is_none() && call.call.id == error.tool_call_id;
                if let Some(call) = self.calls_mut().find(open) {
                    call.answer = Some(content);
                }
            }
            EventBody::ConversationErrorEvent(_)
            | EventBody::ServerErrorEvent(_)
            | EventBody::ConversationStateUpdateEvent(_)
            | EventBody::PauseEvent(_)
            | EventBody::InterruptEvent(_)
            | EventBody::CondensationRequest(_)
            | EventBody::Condensation(_)
            | EventBody::SecurityAnalysisEvent(_)
            | EventBody::StreamingDeltaEvent(_)
            | EventBody::Unknown(_) => {}
        }
    }

    fn take_call(&mut self, event: &Event, action: &ActionEvent) {
        let call = Call {
            action_id: event.id.clone(),
            call: action.tool_call.clone(),
            action: action.action.clone(),
            answer: None,
        };
        if std::mem::replace(&mut self.batch_is_open, true)
            && let Some(Item::Calls(batch)) = self.items.last_mut()
            && batch.response_id == action.llm_response_id
        {
            batch.calls.push(call);
            return;
        }
        self.items.push(Item::Calls(ToolCallGroup {
            response_id: action.llm_response_id.clone(),
            said: said(action),
            calls: vec![call],
        }));
    }

    fn calls_mut(&mut self) -> impl Iterator<Item = &mut Call> {
        let batches = self.items.iter_mut().rev().filter_map(|item| match item {
            Item::Calls(batch) => Some(batch),
            Item::System(_) | Item::Said(_) => None,
        });
        batches.flat_map(|batch| batch.calls.iter_mut())
    }

    fn answer_action(&mut self, id: &EventId, content: impl FnOnce() -> Vec<Content>) {
        if let Some(call) = self.calls_mut().find(|call| call.action_id == *id) {
            call.answer = Some(content());
        }
    }
}

impl ToolCallGroup {
    /// An assistant message with the calls that have an answer, and the answers. Providers refuse
    /// calls without one.
    fn render(&self, messages: &mut Vec<ModelMessage>) {
        let answered: Vec<(&Call, &Vec<Content>)> = self
            .calls
            .iter()
            .filter_map(|call| Some((call, call.answer.as_ref()?)))
            .collect();
        if answered.is_empty() {
            let thought = self.said.content.clone();
            if !thought.is_empty() {
                messages.push(Message::new(Role::Assistant, thought).into());
            }
            return;
        }
        let mut assistant = self.said.clone();
        assistant.tool_calls = Some(answered.iter().map(|(call, _)| call.call.clone()).collect());
        messages.push(assistant.into());
        for (call, answer) in answered {
            messages.push(ModelMessage::ToolResult {
                call_id: call.call.id.clone(),
                tool: call.call.name.clone(),
                content: answer.clone(),
            });
        }
    }
}

/// What a model said beside a call.
fn said(action: &ActionEvent) -> Message {
    let thought = action.thought.iter().filter(|part| !part.text.is_empty());
    Message {
        reasoning_content: action.reasoning_content.clone(),
        thinking_blocks: action.thinking_blocks.clone(),
        responses_reasoning_item: action.responses_reasoning_item.clone(),
        ..Message::new(
            Role::Assistant,
            thought.cloned().map(Content::from).collect(),
        )
    }
}

fn answer(seen: &ObservationEvent) -> Vec<Content> {
    let Observation {
        content, is_error, ..
    } = &seen.observation;
    let text = agent_tools::model_text(&seen.observation);
    let mut parts = match text {
        Some(text) => vec![Content::text(text)],
        None => content.clone(),
    };
    parts.extend(seen.extended_content.iter().cloned().map(Content::from));
    for part in &mut parts {
        if let Content::Text { text, .. } = part
            && let Some((cut, _)) = text.char_indices().nth(TOOL_TEXT_CHARS)
        {
            text.truncate(cut);
            text.push_str("\n[cut: the rest was too long]");
        }
    }
    if *is_error {
        parts.insert(0, Content::text(ERROR_HEADER));
    }
    parts
}
