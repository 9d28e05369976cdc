use std::collections::BTreeMap;

use agent_runtime::Conversation;
use core_model::{
    ConversationId, LlmSettings,
    budget::{Budget, Budgets, Spent, object},
};
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    start::{check_llm, checked_budgets, checked_tags},
    title::checked_title,
};
use crate::{
    failure::Failure,
    operation::{Operation, Tag, both, handler, refusals},
    reply::{Reply, Success},
    request::{Body, Path, RequestBody, Server},
    validation::{self, Problem},
};

/// What is to change; what is left out stays.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(extend("examples" = [{"title": "Haiku about rust", "tags": {"team": "docs"}}]))]
struct UpdateConversation {
    /// 1 to 200 characters, not only white space, no control characters.
    title: Option<String>,
    /// Replace all tags there are.
    tags: Option<BTreeMap<String, String>>,
}

impl RequestBody for UpdateConversation {}

pub(super) const UPDATE: Operation = Operation {
    paths: both!("/conversations/{conversation_id}"),
    example: Some(|_| json!(Success::new())),
    difference: Some("A new title is an event, too: a state update with the key `title`."),
    ..Operation::patch("update_conversation", Tag::Conversations, handler!(update))
};

/// Change title and tags
///
/// Followers and webhooks get state updates with the keys `title` and `tags`.
#[api_v2_operation]
async fn update(
    server: Server,
    path: Path<ConversationId>,
    body: Body<UpdateConversation>,
) -> Result<Reply<Success>, Failure> {
    let UpdateConversation { title, tags } = body.0;
    let title = title.map(|title| checked_title(&title)).transpose()?;
    let tags = tags.map(checked_tags).transpose()?;
    let conversation = server.runtime.open(path.0).await?;
    conversation.change_details(title, tags).await?;
    Ok(Reply(Success::new()))
}

/// Another model for the agent.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(extend("examples" = [{"llm": {"model": "anthropic/claude-opus-5", "api_key": "sk-…"}}]))]
struct SwitchLlm {
    #[schemars(with = "LlmSettings")]
    llm: Value,
}

impl RequestBody for SwitchLlm {}

pub(super) const SWITCH_LLM: Operation = Operation {
    paths: both!("/conversations/{conversation_id}/switch_llm"),
    example: Some(|_| json!(Success::new())),
    ..Operation::post(
        "switch_conversation_llm",
        Tag::Conversations,
        handler!(switch_llm),
    )
};

/// Switch to another model
///
/// The next message is answered by the new model; a running turn takes it up at its next step. What the
/// earlier model's provider wanted back of its replies is no longer sent.
#[api_v2_operation]
async fn switch_llm(
    server: Server,
    path: Path<ConversationId>,
    body: Body<SwitchLlm>,
) -> Result<Reply<Success>, Failure> {
    if !body.0.llm["model"].is_string() {
        return Err(Problem::missing(&["body", "llm", "model"]).into());
    }
    let llm: LlmSettings = validation::typed(&body.0.llm, &["body", "llm"])?;
    check_llm(&llm, &["body", "llm"])?;
    server.runtime.open(path.0).await?.switch_llm(&llm).await?;
    Ok(Reply(Success::new()))
}

/// A question about a conversation.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(extend("examples" = [{"question": "Which files did you change?"}]))]
struct AskAgent {
    question: String,
}

impl RequestBody for AskAgent {}

/// What the model said.
#[derive(Serialize, JsonSchema)]
struct AgentAnswer {
    response: String,
}

pub(super) const ASK: Operation = Operation {
    paths: both!("/conversations/{conversation_id}/ask_agent"),
    refusals: &[&refusals::BUDGET_REACHED, &refusals::MODEL],
    example: Some(|_| json!({"response": "Only haiku.txt."})),
    difference: Some("A model that fails is a 502 with its code, not a 500."),
    ..Operation::post("ask_agent", Tag::Conversations, handler!(ask))
};

/// Ask about the conversation
///
/// One model call with the whole conversation and the question. Neither becomes part of the conversation;
/// what the call costs is counted under `ask-agent-llm`.
#[api_v2_operation]
async fn ask(
    server: Server,
    path: Path<ConversationId>,
    body: Body<AskAgent>,
) -> Result<Reply<AgentAnswer>, Failure> {
    if body.0.question.trim().is_empty() {
        let why = "a question has at least 1 character";
        return Err(Problem::value_error(&["body", "question"], why).into());
    }
    let conversation = server.runtime.open(path.0).await?;
    let response = conversation.ask_agent(&body.0.question).await?;
    Ok(Reply(AgentAnswer { response }))
}

/// What a conversation may spend, and what it has spent.
#[derive(Serialize, JsonSchema)]
struct BudgetsAndSpent {
    #[serde(flatten)]
    budgets: Budgets,
    spent: Spent,
    /// Calls of tools that the model asked for and that are neither made nor rejected; `spent` is
    /// without them.
    pending_tool_calls: usize,
}

impl BudgetsAndSpent {
    fn of(conversation: &Conversation) -> Self {
        let (budgets, spent) = conversation.budgets();
        Self {
            budgets,
            spent,
            pending_tool_calls: conversation.pending_tool_calls(),
        }
    }
}

fn budgets_example() -> Value {
    json!({
        "conversation": {"max_cost_usd": 2.5}, "turn": {"max_model_calls": 50},
        "spent": {"cost_usd": 0.31, "tokens": 48_210, "wall_seconds": 95.2,
                  "tool_calls": 14, "model_calls": 15, "unpriced_calls": 0},
        "pending_tool_calls": 0
    })
}

pub(super) const BUDGETS: Operation = Operation {
    paths: both!("/conversations/{conversation_id}/budgets"),
    example: Some(|_| budgets_example()),
    ..Operation::get("get_budgets", Tag::Conversations, handler!(budgets))
};

/// Get budgets and spending
///
/// What the conversation and each of its turns may spend, and what the conversation has spent so far.
#[api_v2_operation]
async fn budgets(
    server: Server,
    path: Path<ConversationId>,
) -> Result<Reply<BudgetsAndSpent>, Failure> {
    let conversation = server.runtime.open(path.0).await?;
    Ok(Reply(BudgetsAndSpent::of(&conversation)))
}

/// New limits, in place of all there are.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(extend("examples" = [{"conversation": {"max_cost_usd": 5.0}, "run": true}]))]
#[serde(default, deny_unknown_fields)]
struct SetBudgets {
    #[serde(deserialize_with = "object")]
    conversation: Budget,
    #[serde(deserialize_with = "object")]
    turn: Budget,
    /// Whether a conversation that its budget paused goes on.
    run: bool,
}

impl RequestBody for SetBudgets {}

pub(super) const SET_BUDGETS: Operation = Operation {
    paths: both!("/conversations/{conversation_id}/budgets"),
    refusals: &[&refusals::RUN_LIMIT],
    example: Some(|_| budgets_example()),
    ..Operation::put("set_budgets", Tag::Conversations, handler!(set_budgets))
};

/// Set budgets
///
/// A running turn heeds them before its next call. With `run` the agent continues, unless it runs already or
/// waits for consent.
#[api_v2_operation]
async fn set_budgets(
    server: Server,
    path: Path<ConversationId>,
    body: Body<SetBudgets>,
) -> Result<Reply<BudgetsAndSpent>, Failure> {
    let SetBudgets {
        conversation,
        turn,
        run,
    } = body.0;
    let budgets = checked_budgets(&[], Budgets { conversation, turn })?;
    let conversation = server.runtime.open(path.0).await?;
    conversation.set_budgets(budgets).await?;
    if run {
        match conversation.go_on().await {
            Ok(()) | Err(agent_runtime::RuntimeError::AlreadyRunning) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Reply(BudgetsAndSpent::of(&conversation)))
}
