mod script;
mod verdict;

use std::time::Instant;

use async_trait::async_trait;
use core_model::{Content, LlmSettings, MessageToolCall, Role, usage::TokenUsage};
use serde_json::json;
use uuid::Uuid;

use crate::model::OnDelta;
use crate::{Block, Delta, Model, ModelError, ModelMessage, ModelReply, ModelRequest, Part};

use script::{Answer, Step};

/// A streamed reply comes in pieces of about this many characters.
const PIECE_CHARS: usize = 12;
/// How much of a tool's result the last reply repeats.
const EXCERPT_CHARS: usize = 200;
const EXIT: &str = "[Command finished with exit code ";
const HELP: &str = "\
This conversation uses the built-in scripted model: it needs no key, and does just what a message \
tells it to, step by step.

To work with a real model, set `LLM_MODEL`, `LLM_API_KEY` and, for an address of your own, \
`LLM_BASE_URL` in the server's environment, or `llm` in its configuration file, or `agent.llm` \
when you create a conversation.

To have steps carried out, write each shell command on a line that starts with `$ `:

$ echo hello

or any tool calls as a fenced list:

```json
[{\"tool\": \"terminal\", \"args\": {\"command\": \"echo hello\"}}, {\"say\": \"Done.\"}]
```";

/// A model that follows the steps written in the last user message, so that the server can be
/// tried out and tested without a provider. It keeps no state: which step is next follows from
/// how many replies stand after that message. Only ids are random.
///
/// Steps are lines `$ command` (one terminal call each) and the elements of fenced `json` lists:
///
/// | element | is |
/// |---|---|
/// | `{"tool": name, "args": {…}}` | one tool call; `args` as a string is sent as it stands |
/// | `{"tools": [{"tool": …}, …]}` | several calls in one reply |
/// | `{"say": text}` | a reply in words, which ends the turn |
/// | `{"error": status, "message": text}` | a failure as a provider's HTTP status |
/// | with `"thought": text`, `"reasoning": text` | what goes along with the calls |
/// | with `"delay_ms": n` | a wait before the reply |
///
/// After the last step it calls `finish`, or says so where there is no such tool. Asked whether a goal is
/// reached, it says so unless the last command of the record failed.
pub(crate) struct Scripted {
    name: String,
    stream: bool,
}

impl Scripted {
    pub(crate) fn new(settings: &LlmSettings) -> Self {
        Self {
            name: settings.model.trim().to_owned(),
            stream: settings.stream,
        }
    }
}

#[async_trait]
impl Model for Scripted {
    fn name(&self) -> &str {
        &self.name
    }

    fn writes_texts(&self) -> bool {
        false
    }

    async fn reply(
        &self,
        request: &ModelRequest,
        on_delta: &(dyn Fn(Delta) + Send + Sync),
    ) -> Result<ModelReply, ModelError> {
        let started = Instant::now();
        let step = next_step(request);
        tokio::time::sleep(step.delay).await;
        let mut reply = ModelReply {
            id: format!("scripted-{}", Uuid::new_v4().simple()),
            blocks: answer(step)?,
            cost: Some(0.0),
            ..ModelReply::default()
        };
        reply.usage = usage(&self.name, request, &reply);
        if self.stream {
            stream(&reply, on_delta).await;
        }
        reply.latency = started.elapsed();
        Ok(reply)
    }
}

fn next_step(request: &ModelRequest) -> Step {
    if let Some(verdict) = verdict::given(request) {
        return Step::saying(&verdict);
    }
    let messages = &request.messages;
    let asked = messages
        .iter()
        .rposition(|message| message.role() == Role::User);
    let Some(asked) = asked else {
        return Step::saying(HELP);
    };
    let since = &messages[asked + 1..];
    let done = since
        .iter()
        .filter(|message| message.role() == Role::Assistant)
        .count();
    let mut steps = match script::parse(&unanswered(&messages[asked])) {
        Ok(steps) if steps.is_empty() => return Step::saying(HELP),
        Ok(steps) => steps,
        Err(reason) => return Step::saying(&format!("The script cannot be read: {reason}.")),
    };
    if done < steps.len() {
        let step = steps.swap_remove(done);
        let callable = !request.tools.is_empty();
        return match step.answer {
            Answer::Calls { .. } if !callable => {
                Step::saying("The script asks for tools, but none are offered.")
            }
            Answer::Calls { .. } | Answer::Say(_) | Answer::Error { .. } => step,
        };
    }
    finishing(steps.len(), since, request)
}

/// What a user's message says, without the first parts that are scripts which begin with a failure:
/// a message whose reply failed is followed by the next one as more parts of the same.
fn unanswered(message: &ModelMessage) -> String {
    let ModelMessage::User(content) = message else {
        return String::new();
    };
    let mut parts: Vec<&str> = content.iter().filter_map(Content::as_text).collect();
    while let [first, _, ..] = parts.as_slice()
        && script::parse(first).is_ok_and(|steps| fails_first(&steps))
    {
        parts.remove(0);
    }
    parts.join("\n")
}

fn fails_first(steps: &[Step]) -> bool {
    matches!(steps.first(), Some(step) if matches!(step.answer, Answer::Error { .. }))
}

fn finishing(steps: usize, since: &[ModelMessage], request: &ModelRequest) -> Step {
    let plural = if steps == 1 { "" } else { "s" };
    let outcome = since
        .iter()
        .rev()
        .find_map(outcome)
        .unwrap_or_else(|| "no tool was called".to_owned());
    let summary = format!("Ran {steps} scripted step{plural}; {outcome}.");
    if !request.tools.iter().any(|tool| tool.name == "finish") {
        return Step::saying(&summary);
    }
    Step::calling("finish", &json!({"message": summary}))
}

/// What became of a tool call, as its result tells a model.
fn outcome(message: &ModelMessage) -> Option<String> {
    const ERROR: &str = "[An error occurred during execution.]";
    let ModelMessage::ToolResult { tool, .. } = message else {
        return None;
    };
    let text = message.text();
    let exit_code = text
        .rsplit_once(EXIT)
        .and_then(|(_, rest)| rest.split(']').next());
    let how = match exit_code {
        _ if text.starts_with(ERROR) => "reported an error".to_owned(),
        Some(code) => format!("ended with exit code {code}"),
        None => "answered".to_owned(),
    };
    let said = text.trim_start_matches(ERROR).trim();
    let said = said.split("\n[").next().unwrap_or_default().trim();
    let shown: String = said.chars().take(EXCERPT_CHARS).collect();
    let more = if shown.len() < said.len() { "…" } else { "" };
    Some(format!("the last call, of {tool}, {how}: {shown}{more}"))
}

fn answer(step: Step) -> Result<Vec<Block>, ModelError> {
    let (text, calls) = match step.answer {
        Answer::Say(text) => (text, Vec::new()),
        Answer::Calls { thought, calls } => (thought, calls),
        Answer::Error { status, message } => {
            return Err(ModelError::from_status(status, &message, None));
        }
    };
    let reasoning = step.reasoning.map(Block::reasoning);
    let text = Some(text).filter(|text| !text.is_empty()).map(Block::text);
    let calls = calls.into_iter().map(|call| {
        let id = format!("call_{}", Uuid::new_v4().simple());
        Block::call(MessageToolCall::new(id, call.name, call.arguments))
    });
    Ok(reasoning.into_iter().chain(text).chain(calls).collect())
}

async fn stream(reply: &ModelReply, on_delta: OnDelta<'_>) {
    for block in &reply.blocks {
        match &block.part {
            Part::Reasoning(text) => {
                pieces(text).for_each(|piece| on_delta(Delta::Reasoning(piece)));
            }
            Part::Text(text) => {
                for piece in pieces(text) {
                    on_delta(Delta::Text(piece));
                    tokio::task::yield_now().await;
                }
            }
            Part::Call(_) => {}
        }
    }
}

/// About four characters make a token.
fn usage(model: &str, request: &ModelRequest, reply: &ModelReply) -> TokenUsage {
    let called = |call: &MessageToolCall| call.name.len() + call.arguments.len();
    let read: usize = request
        .messages
        .iter()
        .map(|message| message.text().len() + message.calls().map(called).sum::<usize>())
        .sum();
    let offered: usize = request
        .tools
        .iter()
        .map(|tool| tool.name.len() + tool.description.len() + tool.parameters.to_string().len())
        .sum();
    let prompt_tokens = (read + offered).div_ceil(4) as u64;
    let written = reply.text().len() + reply.calls().map(called).sum::<usize>();
    let completion_tokens = written.div_ceil(4) as u64;
    TokenUsage {
        model: model.to_owned(),
        prompt_tokens,
        completion_tokens,
        per_turn_token: prompt_tokens + completion_tokens,
        response_id: reply.id.clone(),
        ..TokenUsage::default()
    }
}

fn pieces(text: &str) -> impl Iterator<Item = String> {
    let characters: Vec<char> = text.chars().collect();
    let pieces: Vec<String> = characters
        .chunks(PIECE_CHARS)
        .map(|piece| piece.iter().collect())
        .collect();
    pieces.into_iter()
}

#[cfg(test)]
mod tests;
