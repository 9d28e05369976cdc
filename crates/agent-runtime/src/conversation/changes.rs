//! Changes of a conversation's settings, and questions to its model.

use std::collections::BTreeMap;

use core_model::{
    EventId, Limit, LlmSettings, Record,
    budget::{Budget, Budgets, Spent},
};
use serde_json::json;

use crate::{
    Conversation, RuntimeError,
    command::{Change, CommandRequest},
    turn::{
        budget, question,
        title::{self, TitleRequest},
    },
};

impl Conversation {
    /// What it may spend, and what it has spent.
    #[must_use]
    pub fn budgets(&self) -> (Budgets, Spent) {
        let state = &self.live.now().state;
        (state.budgets, state.spent())
    }

    /// Calls of tools that the model asked for and that are neither made nor rejected.
    #[must_use]
    pub fn pending_tool_calls(&self) -> usize {
        self.live.now().state.pending.len()
    }

    /// Replaces its budgets. A running turn heeds them before its next call.
    ///
    /// # Errors
    /// [`RuntimeError::Invalid`] for a limit that is no number or negative, or on the cost of a model whose
    /// price is not known, or a store error.
    pub async fn set_budgets(&self, budgets: Budgets) -> Result<(), RuntimeError> {
        budget::check_prices(&self.live, None, &budgets)?;
        let fault = |budget: &Budget| budget.fault();
        if let Some(limit) = fault(&budgets.conversation).or(fault(&budgets.turn)) {
            let why = format!("`{limit}` is a number of at least 0");
            return Err(RuntimeError::Invalid(why));
        }
        self.ask(CommandRequest::Change(Change::Budgets(budgets)))
            .await
    }

    /// Gives the agent another model, from the next step of a running turn on.
    ///
    /// # Errors
    /// [`RuntimeError::Invalid`] when these settings name no reachable model, or one whose price is not
    /// known although its cost is limited, or a store error.
    pub async fn switch_llm(&self, llm: &LlmSettings) -> Result<(), RuntimeError> {
        let state = &self.live.runtime;
        let connected = (state.config.connect)(llm);
        connected.map_err(|error| RuntimeError::Invalid(error.to_string()))?;
        budget::check_prices(&self.live, Some(llm), &self.live.now().state.budgets)?;
        let mut llm = json!(llm);
        state.vault.seal_all(&mut llm)?;
        self.ask(CommandRequest::Change(Change::Llm(llm))).await
    }

    /// Changes its title, its tags, or both; all tags are replaced.
    ///
    /// # Errors
    /// A store error.
    pub async fn change_details(
        &self,
        title: Option<String>,
        tags: Option<BTreeMap<String, String>>,
    ) -> Result<(), RuntimeError> {
        self.ask(CommandRequest::Change(Change::Details { title, tags }))
            .await
    }

    /// A title for it, of at most as many characters, from its first message. The conversation keeps the one
    /// it has; only what it cost is counted. `llm` writes it, or the agent's model; when no model can, it is
    /// the beginning of the message.
    ///
    /// # Errors
    /// [`RuntimeError::Invalid`] when there is no message with a text, or `llm` names no reachable model; or
    /// a store error.
    pub async fn generate_title(
        &self,
        llm: Option<LlmSettings>,
        max_chars: usize,
    ) -> Result<String, RuntimeError> {
        if let Some(llm) = &llm {
            let connected = (self.live.runtime.config.connect)(llm);
            connected.map_err(|error| RuntimeError::Invalid(error.to_string()))?;
        }
        let Some(message) = self.first_message().await? else {
            let why = "the conversation has no message to make a title of".to_owned();
            return Err(RuntimeError::Invalid(why));
        };
        let request = TitleRequest {
            message,
            max_chars,
            llm,
        };
        let title = title::write(&self.live, request).await;
        if let Some(call) = title.call {
            self.ask(CommandRequest::Change(Change::Spent(call)))
                .await?;
        }
        Ok(title.text)
    }

    /// Moves HEAD: what follows continues from this event, or, with None, from the beginning. Later events
    /// stay in the log, on a branch that the model is not shown.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownEvent`] when there is no such event, or it is a state update, which belongs
    /// to no branch; [`RuntimeError::AlreadyRunning`], or a store error.
    pub async fn navigate(&self, head: Option<EventId>) -> Result<(), RuntimeError> {
        if let Some(event) = &head {
            let log = &self.live.log;
            let unknown = || RuntimeError::UnknownEvent(event.clone());
            let seq = log.find(event).await?.ok_or_else(unknown)?;
            let found = log.read_at(&[seq], Limit::BYTES).await?;
            let of_branch = |record: &Record| record.head.kind != "ConversationStateUpdateEvent";
            if !found.first().is_some_and(of_branch) {
                return Err(unknown());
            }
        }
        self.ask(CommandRequest::Navigate(head)).await
    }

    /// The model's answer to a question about the conversation, which it does not become part of; only
    /// its cost does.
    ///
    /// # Errors
    /// [`RuntimeError::BudgetReached`], [`RuntimeError::Model`] when the model gives no answer, or a store
    /// error.
    pub async fn ask_agent(&self, question: &str) -> Result<String, RuntimeError> {
        budget::allow_outside_call(&self.live).await?;
        let call = question::answer(&self.live, question.to_owned()).await?;
        let answer = call.reply.text();
        // Also an answer without words costs.
        self.ask(CommandRequest::Change(Change::Spent(Box::new(call))))
            .await?;
        if answer.trim().is_empty() {
            return Err(RuntimeError::Model {
                code: "LLMNoResponseError",
                detail: "the model gave no answer in words".to_owned(),
            });
        }
        Ok(answer)
    }
}
