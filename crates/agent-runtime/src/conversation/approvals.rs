//! Who may do what without being asked: policy, analyzer, decisions, and commands approved for good.

use action_risk::{Analyzer, approve};
use core_model::{
    ConfirmationPolicy, EventBody, EventId, Limit, approval::ApprovedCommand, event::SecurityRisk,
};
use serde_json::Value;

use crate::{
    Conversation, RuntimeError,
    command::{Change, CommandRequest, NamedResponse, Response},
};

/// What a person says to one of the actions that wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub action_id: EventId,
    pub accept: bool,
    /// What the agent is told if it is rejected; None: what it is told of the others.
    pub reason: Option<String>,
    /// Whether the same command needs no consent any more in this conversation.
    pub remember: bool,
}

impl Conversation {
    /// Accepts or rejects the actions that wait for consent: those that `decisions` names as they say, the
    /// others by `accept`. `by`: the name of the key of who decides, for the log.
    ///
    /// # Errors
    /// [`RuntimeError::NotWaiting`] for an action that does not wait or is named twice,
    /// [`RuntimeError::Invalid`] for a command that cannot be approved for good; as [`Self::run`] when
    /// something is accepted.
    pub async fn decide(
        &self,
        accept: bool,
        reason: &str,
        decisions: Vec<Decision>,
        by: Option<&str>,
    ) -> Result<(), RuntimeError> {
        let mut named = Vec::new();
        for decision in decisions {
            let remember = if decision.remember && decision.accept {
                Some(self.approved(&decision.action_id, by).await?)
            } else {
                None
            };
            named.push(NamedResponse {
                action_id: decision.action_id,
                accept: decision.accept,
                reason: decision.reason,
                remember,
            });
        }
        let response = Response {
            accept,
            reason: reason.to_owned(),
            named,
            by: by.map(str::to_owned),
        };
        self.ask(CommandRequest::Respond(Box::new(response))).await
    }

    /// The rule that covers an action's command from now on.
    async fn approved(
        &self,
        id: &EventId,
        by: Option<&str>,
    ) -> Result<ApprovedCommand, RuntimeError> {
        let log = &self.live.log;
        let unknown = || RuntimeError::NotWaiting(id.clone());
        let seq = log.find(id).await?.ok_or_else(unknown)?;
        let found = log.read_at(&[seq], Limit::BYTES).await?;
        let event = found.first().and_then(|record| record.event().ok());
        let body = event.ok_or_else(unknown)?.body;
        let EventBody::ActionEvent(action) = body else {
            return Err(unknown());
        };
        let action = action.action.ok_or_else(unknown)?;
        let read = tokio::task::spawn_blocking(move || approve(&action)).await;
        let read = read.map_err(|error| RuntimeError::Internal(error.to_string()))?;
        let mut command = read.map_err(|why| RuntimeError::Invalid(format!("remember: {why}")))?;
        command.approved_by = by.map(str::to_owned);
        Ok(command)
    }

    /// Which actions wait for consent, from the next step of a running turn on.
    ///
    /// # Errors
    /// [`RuntimeError::Invalid`] for a threshold that is unknown, or a store error.
    pub async fn set_confirmation_policy(
        &self,
        policy: ConfirmationPolicy,
    ) -> Result<(), RuntimeError> {
        check_policy(&policy).map_err(|why| RuntimeError::Invalid(why.to_owned()))?;
        self.ask(CommandRequest::Change(Change::Policy(policy)))
            .await
    }

    /// What judges how risky an action is, from the next step of a running turn on.
    ///
    /// # Errors
    /// [`RuntimeError::Invalid`] for one that is not built in, or a store error.
    pub async fn set_security_analyzer(&self, settings: Option<Value>) -> Result<(), RuntimeError> {
        if let Some(settings) = &settings {
            check_analyzer(settings).map_err(|(_, why)| RuntimeError::Invalid(why))?;
        }
        self.ask(CommandRequest::Change(Change::Analyzer(settings)))
            .await
    }

    /// The commands that need no consent any more.
    #[must_use]
    pub fn approved_commands(&self) -> Vec<ApprovedCommand> {
        self.live.now().state.approved_commands.clone()
    }

    /// Takes back that a command needs no consent any more. False when there is no such rule.
    ///
    /// # Errors
    /// A store error.
    pub async fn forget_approved_command(&self, id: &str) -> Result<bool, RuntimeError> {
        if !self.approved_commands().iter().any(|it| it.id == id) {
            return Ok(false);
        }
        self.ask(CommandRequest::Change(Change::ForgetCommand(id.to_owned())))
            .await?;
        Ok(true)
    }
}

/// Whether these settings describe an analyzer of this server.
///
/// # Errors
/// The field that is wrong, and why.
pub fn check_analyzer(settings: &Value) -> Result<(), (Vec<String>, String)> {
    let analyzer = Analyzer::new(settings);
    analyzer.map(drop).map_err(|error| (error.at, error.why))
}

/// Whether a policy can be followed.
///
/// # Errors
/// Why not.
pub fn check_policy(policy: &ConfirmationPolicy) -> Result<(), &'static str> {
    match policy {
        ConfirmationPolicy::ConfirmRisky {
            threshold: SecurityRisk::Unknown,
            ..
        } => Err(
            "the threshold is LOW, MEDIUM or HIGH; for actions of unknown risk there is `confirm_unknown`",
        ),
        ConfirmationPolicy::ConfirmRisky { .. }
        | ConfirmationPolicy::AlwaysConfirm {}
        | ConfirmationPolicy::NeverConfirm {} => Ok(()),
    }
}
