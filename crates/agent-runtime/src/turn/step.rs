use std::{sync::Arc, time::Instant};

use agent_tools::{CallSignals, Tool, ToolError, Tools, not_found, parse_call, resolve};
use core_model::{
    ConversationState, Draft, EventBody, EventId, LlmSettings, Observation, PendingAction, Source,
    event::{ErrorClassification, FailureKind, ObservationEvent, SecurityRisk, UserAction},
    usage::StatsSnapshot,
};
use llm_client::{Model, ModelReply, ModelRequest};
use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    RuntimeError,
    residency::{idle::is_busy, live_conversation::LiveConversation},
    turn::{
        context::ModelContext,
        drafts::{
            action_event, agent_error, agent_message, analysis, environment_message, malformed,
        },
        outcome::Outcome,
        prompt,
        proposal::Proposal,
        reply_pieces::ReplyPieces,
        stuck::{StuckDetector, Verdict},
    },
};

const EMPTY_REPLY_NUDGE: &str = "Your last reply was empty. Go on with the task: call a tool, or \
     call `finish` with a message if the task is done.";

/// What a turn works with.
pub(crate) struct TurnContext {
    pub(crate) live: Arc<LiveConversation>,
    pub(crate) model: Arc<dyn Model>,
    pub(crate) tools: Tools,
    pub(crate) llm: LlmSettings,
    pub(crate) proposer: mpsc::Sender<Proposal>,
}

/// Takes step after step until the agent is done, something stops it, or something fails.
pub(crate) async fn take_all(
    context: TurnContext,
    cancel: CancellationToken,
    pause: watch::Receiver<bool>,
) -> Outcome {
    let mut steps = Steps {
        model_context: ModelContext::default(),
        stuck: StuckDetector::default(),
        cancel,
        pause,
        seen: None,
        context,
    };
    match steps.run().await {
        Ok(never) => match never {},
        Err(outcome) => outcome,
    }
}

struct Steps {
    context: TurnContext,
    model_context: ModelContext,
    stuck: StuckDetector,
    cancel: CancellationToken,
    pause: watch::Receiver<bool>,
    /// The user message that the model was shown last.
    seen: Option<EventId>,
}

/// What a model reply asks for.
struct ToolCallGroup {
    drafts: Vec<Draft>,
    /// The risk of each action that can be executed, by its event's id.
    risks: Vec<(EventId, SecurityRisk)>,
    /// Whether it asks for nothing but to think or to finish.
    harmless: bool,
}

impl Steps {
    async fn run(&mut self) -> Result<std::convert::Infallible, Outcome> {
        let limit = self.context.live.now().metadata.max_iterations;
        let mut iterations = 0;
        loop {
            let state = self.catch_up().await?;
            if *self.pause.borrow() {
                return Err(Outcome::Paused);
            }
            if let Some(action) = state.pending.first() {
                self.execute(action).await?;
                continue;
            }
            if iterations >= limit {
                return Err(iterations_spent(limit));
            }
            iterations += 1;
            self.mind_the_loop().await?;
            self.step(&state).await?;
        }
    }

    /// The state that the model_context is true of, once the model_context has caught up with it.
    async fn catch_up(&mut self) -> Result<Arc<ConversationState>, Outcome> {
        let now = self.context.live.now();
        let news = self
            .model_context
            .catch_up(self.context.live.log.as_ref(), now.len)
            .await;
        let news = news.map_err(|error| {
            Outcome::internal(format!("the conversation's log could not be read: {error}"))
        })?;
        for event in &news {
            self.stuck.take(event);
        }
        self.seen.clone_from(&now.state.last_user_message_id);
        Ok(now.state)
    }

    /// Ends a turn that goes in circles, after one hint.
    async fn mind_the_loop(&mut self) -> Result<(), Outcome> {
        if !self.context.live.now().metadata.stuck_detection {
            return Ok(());
        }
        match self.stuck.verdict() {
            Verdict::Fine => Ok(()),
            Verdict::Stuck if is_busy(&self.context.tools).await && self.stuck.excuse() => Ok(()),
            Verdict::Stuck => Err(Outcome::Stuck),
            Verdict::Nudge(text) => {
                self.context
                    .propose(vec![environment_message(&text)])
                    .await?;
                self.catch_up().await.map(|_state| ())
            }
        }
    }

    /// One model call and what it asks for, up to the point where actions are executed.
    async fn step(&mut self, state: &ConversationState) -> Result<(), Outcome> {
        let pieces = ReplyPieces::new(&self.context.live);
        let reply = self.ask(&pieces).await?;
        let mut drafts = vec![self.stats(state, &reply)];
        if reply.calls().next().is_none() {
            drafts.push(agent_message(&reply));
            let is_empty = reply.text().trim().is_empty();
            if is_empty {
                drafts.push(environment_message(EMPTY_REPLY_NUDGE));
            }
            self.context.propose(drafts).await?;
            pieces.keep();
            return if is_empty {
                Ok(())
            } else {
                Err(self.finished())
            };
        }
        let batch = self.understand(&reply, model_judges(state));
        let asks = batch
            .risks
            .iter()
            .any(|(_, risk)| state.confirmation_policy.asks(*risk));
        drafts.extend(batch.drafts);
        if !batch.harmless && model_judges(state) {
            drafts.extend(analysis(state, &batch.risks));
        }
        self.context.propose(drafts).await?;
        pieces.keep();
        if asks && !batch.harmless {
            return Err(Outcome::Waiting {
                seen: self.seen.clone(),
            });
        }
        Ok(())
    }

    async fn ask(&self, pieces: &ReplyPieces) -> Result<ModelReply, Outcome> {
        let request = ModelRequest {
            messages: self.model_context.messages(),
            tools: prompt::tool_specs(&self.context.tools),
            cache_key: Some(self.context.live.id.to_string()),
        };
        let on_delta = |delta| pieces.tell(delta);
        let started = Instant::now();
        let reply = tokio::select! {
            biased;
            () = self.cancel.cancelled() => return Err(Outcome::Cancelled),
            reply = self.context.model.reply(&request, &on_delta) => reply,
        };
        let reply = reply.map_err(|error| {
            tracing::warn!(
                conversation.id = %self.context.live.id, code = error.code(), "a model call failed"
            );
            Outcome::model(&error)
        })?;
        tracing::debug!(
            conversation.id = %self.context.live.id,
            ms = started.elapsed().as_millis() as u64,
            tool_calls = reply.calls().count(),
            "model replied"
        );
        Ok(reply)
    }

    fn stats(&self, state: &ConversationState, reply: &ModelReply) -> Draft {
        let usage_id = &self.context.llm.usage_id;
        let mut snapshot = StatsSnapshot::default();
        for (id, metrics) in &state.stats.usage_to_metrics {
            snapshot
                .usage_to_metrics
                .insert(id.clone(), metrics.total.clone());
        }
        let mut total = snapshot
            .usage_to_metrics
            .remove(usage_id)
            .unwrap_or_default();
        total.model_name.clone_from(&self.context.llm.model);
        let total = total.plus(&reply.usage, reply.cost.unwrap_or(0.0));
        snapshot.usage_to_metrics.insert(usage_id.clone(), total);
        Draft::state("stats", json!(snapshot))
    }

    /// Turns tool calls into action events; a call that cannot be understood is answered at once.
    /// What follows a `finish` is dropped.
    fn understand(&self, reply: &ModelReply, analysed: bool) -> ToolCallGroup {
        let mut batch = ToolCallGroup {
            drafts: Vec::new(),
            risks: Vec::new(),
            harmless: true,
        };
        for (index, call) in reply.calls().enumerate() {
            let tool = resolve(&self.context.tools, &call.name);
            let parsed = match tool {
                Some(tool) => parse_call(tool.as_ref(), &call.arguments),
                None => Err(ToolError::Arguments(not_found(
                    &self.context.tools,
                    &call.name,
                ))),
            };
            let name = tool.map_or(call.name.as_str(), |tool| tool.name());
            let mut event = action_event(reply, call, name, index == 0);
            let error = match parsed {
                Ok(parsed) => {
                    event.security_risk = if analysed {
                        parsed.security_risk
                    } else {
                        SecurityRisk::Unknown
                    };
                    event.summary = Some(
                        parsed
                            .summary
                            .unwrap_or_else(|| format!("{name}: {}", call.arguments)),
                    );
                    event.action = Some(parsed.action);
                    None
                }
                Err(error) => {
                    if serde_json::from_str::<Map<String, Value>>(&call.arguments).is_err() {
                        event.tool_call.arguments = malformed(&error);
                    }
                    Some(error.to_string())
                }
            };
            let risk = event.security_risk;
            let action = Draft::new(Source::Agent, EventBody::ActionEvent(event));
            let action_id = action.id.clone();
            batch.drafts.push(action);
            match error {
                Some(error) => batch.drafts.push(agent_error(
                    name,
                    &call.id,
                    error,
                    ErrorClassification::agent_mistake(),
                )),
                None => {
                    batch.harmless &= matches!(name, "finish" | "think");
                    batch.risks.push((action_id, risk));
                    if name == "finish" {
                        break;
                    }
                }
            }
        }
        batch
    }

    /// Executes one action and has its answer appended.
    async fn execute(&mut self, pending: &PendingAction) -> Result<(), Outcome> {
        let found = self.model_context.action(&pending.action_id).cloned();
        let tool = resolve(&self.context.tools, &pending.tool_name);
        let (Some(action), Some(tool)) = (found, tool) else {
            let error = not_found(&self.context.tools, &pending.tool_name);
            let classification = ErrorClassification::agent_mistake();
            let answer = agent_error(
                &pending.tool_name,
                &pending.tool_call_id,
                error,
                classification,
            );
            return self.context.propose(vec![answer]).await;
        };
        let result = self.call(tool.as_ref(), &action).await;
        if self.cancel.is_cancelled() {
            return Err(Outcome::Cancelled);
        }
        let answer = match result {
            Ok(observation) => Draft::new(
                Source::Environment,
                EventBody::ObservationEvent(ObservationEvent {
                    tool_name: pending.tool_name.clone(),
                    tool_call_id: pending.tool_call_id.clone(),
                    observation,
                    action_id: pending.action_id.clone(),
                    extended_content: Vec::new(),
                }),
            ),
            Err(ToolError::Cancelled) => return Err(Outcome::Cancelled),
            Err(error @ (ToolError::Arguments(_) | ToolError::Failed(_))) => agent_error(
                &pending.tool_name,
                &pending.tool_call_id,
                format!("Error executing tool '{}': {error}", pending.tool_name),
                ErrorClassification::new(FailureKind::Internal, false, UserAction::None),
            ),
        };
        let done = pending.tool_name == "finish"
            && matches!(&answer.body, EventBody::ObservationEvent(seen) if !seen.observation.is_error);
        self.context.propose(vec![answer]).await?;
        if done { Err(self.finished()) } else { Ok(()) }
    }

    /// Has a tool carry out an action. A pause ends its waiting, not what it waits for.
    async fn call(
        &self,
        tool: &dyn Tool,
        action: &Map<String, Value>,
    ) -> Result<Observation, ToolError> {
        let signals = CallSignals {
            cancel: self.cancel.clone(),
            ..CallSignals::default()
        };
        let call = tool.run(action, &signals);
        tokio::pin!(call);
        let mut pause = self.pause.clone();
        let paused = async {
            if pause.wait_for(|asked| *asked).await.is_err() {
                // nobody can ask any more
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            result = &mut call => return result,
            () = paused => signals.hand_back.cancel(),
        }
        call.await
    }

    fn finished(&self) -> Outcome {
        Outcome::Finished {
            seen: self.seen.clone(),
        }
    }
}

/// Whether the model's own word on an action's risk counts. Other analyzers are not built in: with
/// one of those every risk stays unknown, which cautious policies ask about.
fn model_judges(state: &ConversationState) -> bool {
    let kind = |analyzer: &Value| analyzer["kind"] == "LLMSecurityAnalyzer";
    state.security_analyzer.as_ref().is_some_and(kind)
}

fn iterations_spent(limit: u32) -> Outcome {
    Outcome::Failed {
        code: "MaxIterationsReached".to_owned(),
        detail: format!("Agent reached maximum iterations limit ({limit})."),
        classification: ErrorClassification::new(FailureKind::AgentAction, false, UserAction::None),
    }
}

impl TurnContext {
    /// Has events appended; they are durable and visible when this returns.
    pub(crate) async fn propose(&self, drafts: Vec<Draft>) -> Result<(), Outcome> {
        if drafts.is_empty() {
            return Ok(());
        }
        let (answer, answered) = oneshot::channel();
        let gone = |_| Outcome::Cancelled;
        self.proposer
            .send(Proposal { drafts, answer })
            .await
            .map_err(|_closed| Outcome::Cancelled)?;
        answered
            .await
            .map_err(gone)?
            .map_err(|error: RuntimeError| {
                Outcome::internal(format!(
                    "the conversation's log could not be written: {error}"
                ))
            })
    }
}
