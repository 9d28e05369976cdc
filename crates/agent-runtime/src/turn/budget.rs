//! Whether the budgets allow the next call.

use std::ops::ControlFlow::{self, Break, Continue};

use core_model::{
    ConversationState,
    budget::{Budget, BudgetReached, BudgetScope, Spent},
};

use crate::turn::{outcome::Outcome, state::Turn};

const UNKNOWN_PRICE: &str = "The price of the model is not known, so that what it costs cannot be \
     limited: set `input_cost_per_token` and `output_cost_per_token`, or limit tokens instead.";

/// What a turn knows of its spending beside the conversation's state.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TurnSpending {
    /// What the conversation had spent when the turn began.
    before: Spent,
    /// A call was made whose price is not known.
    unpriced: bool,
}

impl TurnSpending {
    pub(super) fn new(state: &ConversationState) -> Self {
        Self {
            before: state.spent(),
            unpriced: false,
        }
    }

    /// Takes note of a call's cost.
    pub(super) fn paid(&mut self, cost: Option<f64>) {
        self.unpriced |= cost.is_none();
    }
}

/// Ends the turn when a budget does not allow one more model call.
pub(super) fn allow_model_call(turn: &Turn, state: &ConversationState) -> ControlFlow<Outcome> {
    for (scope, budget, spent) in scopes(turn, state) {
        let reached = budget.reached(scope, &spent);
        let unpriced = budget.max_cost_usd.filter(|_| turn.spending.unpriced);
        let reached = reached.or_else(|| {
            unpriced.map(|max| BudgetReached {
                scope,
                limit: "max_cost_usd".to_owned(),
                max,
                spent: spent.cost_usd,
                detail: Some(UNKNOWN_PRICE.to_owned()),
            })
        });
        if let Some(reached) = reached {
            return Break(Outcome::BudgetReached(reached));
        }
    }
    Continue(())
}

/// How many of the pending calls the budgets allow. Ends the turn when there is none.
pub(super) fn allowed_tool_calls(
    turn: &Turn,
    state: &ConversationState,
) -> ControlFlow<Outcome, usize> {
    let pending = state.pending.len() as u64;
    let mut allowed = state.pending.len();
    for (scope, budget, spent) in scopes(turn, state) {
        let only_tools = Budget {
            max_tool_calls: budget.max_tool_calls,
            max_wall_seconds: budget.max_wall_seconds,
            ..Budget::default()
        };
        // Those that wait were counted when the model asked for them.
        let done = Spent {
            tool_calls: spent.tool_calls.saturating_sub(pending),
            ..spent
        };
        if let Some(reached) = only_tools.reached(scope, &done) {
            return Break(Outcome::BudgetReached(reached));
        }
        if let Some(max) = budget.max_tool_calls {
            let left = max.saturating_sub(done.tool_calls);
            allowed = allowed.min(usize::try_from(left).unwrap_or(usize::MAX));
        }
    }
    Continue(allowed)
}

fn scopes(turn: &Turn, state: &ConversationState) -> [(BudgetScope, Budget, Spent); 2] {
    let spent = state.spent();
    let budgets = &state.budgets;
    [
        (BudgetScope::Conversation, budgets.conversation, spent),
        (
            BudgetScope::Turn,
            budgets.turn,
            spent.since(&turn.spending.before),
        ),
    ]
}
