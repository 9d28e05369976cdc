//! A goal that the agent works towards, round after round, until a judge says that it is reached.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How far a goal is: the value of the state update `goal`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Goal {
    /// Whether the agent works towards it, or waits for consent on the way.
    pub active: bool,
    pub status: GoalStatus,
    /// Rounds that were judged.
    pub iteration: u32,
    pub max_iterations: u32,
    pub objective: String,
    /// The last one, where there is one to tell.
    #[serde(default)]
    pub verdict: Option<GoalVerdict>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GoalStatus {
    Running,
    Complete,
    /// All rounds are spent.
    Capped,
    /// Something else ended it. It can be resumed.
    Interrupted,
}

/// What the judge says of a round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GoalVerdict {
    /// How likely the whole goal is reached, 0 to 1.
    pub score: f64,
    pub complete: bool,
    /// What is left to do; empty when nothing is.
    #[serde(default)]
    pub missing: String,
}

impl Goal {
    /// A goal of which no round was judged yet.
    #[must_use]
    pub fn new(objective: String, max_iterations: u32) -> Self {
        Self {
            active: true,
            status: GoalStatus::Running,
            iteration: 0,
            max_iterations,
            objective,
            verdict: None,
        }
    }

    /// Whether it can be taken up again.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.status, GoalStatus::Running | GoalStatus::Interrupted)
    }

    /// Taken up again, with at least one round left.
    #[must_use]
    pub fn resumed(&self) -> Self {
        let rounds = self.max_iterations.max(1);
        Self {
            iteration: self.iteration.min(rounds - 1),
            ..Self::new(self.objective.clone(), rounds)
        }
    }

    /// Ended before it was reached.
    #[must_use]
    pub fn interrupted(&self) -> Self {
        Self {
            active: false,
            status: GoalStatus::Interrupted,
            verdict: None,
            ..self.clone()
        }
    }

    /// After one more round.
    #[must_use]
    pub fn judged(&self, verdict: GoalVerdict) -> Self {
        let iteration = self.iteration.saturating_add(1);
        let status = if verdict.complete {
            GoalStatus::Complete
        } else if iteration >= self.max_iterations {
            GoalStatus::Capped
        } else {
            GoalStatus::Running
        };
        Self {
            active: status == GoalStatus::Running,
            status,
            iteration,
            verdict: Some(verdict),
            ..self.clone()
        }
    }

    /// Whether two rounds in a row lacked the same, word for word.
    pub(crate) fn lacks_the_same(&self, before: &Self) -> bool {
        let missing = |goal: &Self| goal.verdict.as_ref().map(|verdict| verdict.missing.clone());
        missing(self).is_some() && missing(self) == missing(before)
    }
}
