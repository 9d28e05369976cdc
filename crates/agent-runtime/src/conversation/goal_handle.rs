//! Goals, as callers ask for them.

use core_model::Content;

use crate::{
    Conversation, RuntimeError,
    command::{CommandRequest, GoalStart},
    conversation::handle::check,
    turn::prepare::missing_system_prompt,
};

impl Conversation {
    /// Has the agent work towards a goal: after each round a judge says whether it is reached, and what is
    /// missing, at most `max_iterations` times. Answered when the first round begins.
    ///
    /// # Errors
    /// [`RuntimeError::GoalRunning`] while the agent works or another goal is active,
    /// [`RuntimeError::RunLimit`], [`RuntimeError::Invalid`] when the objective says nothing.
    pub async fn start_goal(
        &self,
        objective: String,
        max_iterations: u32,
    ) -> Result<(), RuntimeError> {
        if max_iterations == 0 {
            let why = "`max_iterations` is a number of at least 1".to_owned();
            return Err(RuntimeError::Invalid(why));
        }
        check(&[Content::text(objective.as_str())])?;
        self.work_towards(GoalStart::New {
            objective,
            max_iterations,
        })
        .await
    }

    /// Takes up the last goal where it was given up, with at least one round left.
    ///
    /// # Errors
    /// [`RuntimeError::NoGoalToResume`] when there was none, or it ended by itself; else as
    /// [`Self::start_goal`].
    pub async fn resume_goal(&self) -> Result<(), RuntimeError> {
        self.work_towards(GoalStart::Resume).await
    }

    /// Gives up the active goal, if there is one. What the agent does now it does to its end.
    ///
    /// # Errors
    /// A store error.
    pub async fn stop_goal(&self) -> Result<(), RuntimeError> {
        self.ask(CommandRequest::StopGoal).await
    }

    async fn work_towards(&self, start: GoalStart) -> Result<(), RuntimeError> {
        let system_prompt = missing_system_prompt(&self.live).await;
        self.ask(CommandRequest::StartGoal {
            start,
            system_prompt,
        })
        .await
    }
}
