//! What a conversation may spend, and what it has spent.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de::Error};
use serde_json::{Map, Value};

/// Limits; what is not set is not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// US dollars for model calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_cost_usd: Option<f64>,
    /// Tokens of prompts and replies together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// Seconds in which the agent worked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_wall_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tool_calls: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_model_calls: Option<u64>,
}

/// The limits of a conversation as a whole and of each of its turns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Budgets {
    #[serde(deserialize_with = "object")]
    pub conversation: Budget,
    #[serde(deserialize_with = "object")]
    pub turn: Budget,
}

/// Reads limits by their names; a list of them would be taken for none.
///
/// # Errors
/// When it is no object.
pub fn object<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Budget, D::Error> {
    let fields = Map::deserialize(deserializer)?;
    Budget::deserialize(Value::Object(fields)).map_err(D::Error::custom)
}

/// What was spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Spent {
    /// US dollars, as far as prices are known.
    pub cost_usd: f64,
    pub tokens: u64,
    pub wall_seconds: f64,
    /// Calls of tools that were made, or rejected; those that wait to be made are not among them.
    pub tool_calls: u64,
    pub model_calls: u64,
    /// Model calls whose price is not known, which `cost_usd` lacks.
    pub unpriced_calls: u64,
}

/// A limit that was reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BudgetReached {
    pub scope: BudgetScope,
    /// The name of the API key whose budget it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What the limit is for, where it is one of a key or of the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<Period>,
    /// The limit's name in [`Budget`].
    pub limit: String,
    pub max: f64,
    pub spent: f64,
    /// What a person has to know besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl fmt::Display for BudgetReached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            limit, max, spent, ..
        } = self;
        let whose = match self.scope {
            BudgetScope::Conversation => "of the conversation",
            BudgetScope::Turn => "of the run",
            BudgetScope::Key => "of the API key",
            BudgetScope::Server => "of the server",
        };
        write!(
            f,
            "the budget {whose} is used up: `{limit}` is {max}, and {spent} was spent"
        )?;
        match &self.detail {
            Some(detail) => write!(f, ". {detail}"),
            None => Ok(()),
        }
    }
}

/// What a limit is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BudgetScope {
    Conversation,
    Turn,
    /// All conversations that requests with one API key created.
    Key,
    Server,
}

/// For which time a limit holds before what was spent begins at zero again, in UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Period {
    Day,
    Month,
    /// For ever.
    #[default]
    Total,
}

impl Budgets {
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        *self == Self::default()
    }
}

impl Budget {
    /// The name of a limit that no number can keep: not finite, or negative.
    #[must_use]
    pub fn fault(&self) -> Option<&'static str> {
        let wrong =
            |value: Option<f64>| value.is_some_and(|value| !value.is_finite() || value < 0.0);
        if wrong(self.max_cost_usd) {
            return Some("max_cost_usd");
        }
        wrong(self.max_wall_seconds).then_some("max_wall_seconds")
    }

    /// The first limit that does not allow one more model call.
    #[must_use]
    pub fn reached(&self, scope: BudgetScope, spent: &Spent) -> Option<BudgetReached> {
        let limits = [
            ("max_cost_usd", self.max_cost_usd, spent.cost_usd),
            (
                "max_tokens",
                self.max_tokens.map(float),
                float(spent.tokens),
            ),
            (
                "max_wall_seconds",
                self.max_wall_seconds,
                spent.wall_seconds,
            ),
            (
                "max_tool_calls",
                self.max_tool_calls.map(float),
                float(spent.tool_calls),
            ),
            (
                "max_model_calls",
                self.max_model_calls.map(float),
                float(spent.model_calls),
            ),
        ];
        let reached = |(limit, max, spent): (&str, Option<f64>, f64)| {
            let max = max.filter(|max| spent >= *max)?;
            Some(BudgetReached {
                scope,
                key: None,
                period: None,
                limit: limit.to_owned(),
                max,
                spent,
                detail: None,
            })
        };
        limits.into_iter().find_map(reached)
    }
}

impl Spent {
    #[must_use]
    pub fn plus(&self, more: &Self) -> Self {
        Self {
            cost_usd: self.cost_usd + more.cost_usd,
            tokens: self.tokens + more.tokens,
            wall_seconds: self.wall_seconds + more.wall_seconds,
            tool_calls: self.tool_calls + more.tool_calls,
            model_calls: self.model_calls + more.model_calls,
            unpriced_calls: self.unpriced_calls + more.unpriced_calls,
        }
    }

    /// What was spent since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            cost_usd: (self.cost_usd - before.cost_usd).max(0.0),
            tokens: self.tokens.saturating_sub(before.tokens),
            wall_seconds: (self.wall_seconds - before.wall_seconds).max(0.0),
            tool_calls: self.tool_calls.saturating_sub(before.tool_calls),
            model_calls: self.model_calls.saturating_sub(before.model_calls),
            unpriced_calls: self.unpriced_calls.saturating_sub(before.unpriced_calls),
        }
    }
}

fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_reached_when_nothing_is_left() {
        let spent = Spent {
            cost_usd: 0.5,
            tokens: 100,
            wall_seconds: 3.0,
            tool_calls: 2,
            model_calls: 4,
            unpriced_calls: 0,
        };
        let reached = |budget: Budget| {
            let reached = budget.reached(BudgetScope::Turn, &spent)?;
            Some((reached.limit, reached.max, reached.spent))
        };
        assert_eq!(reached(Budget::default()), None);
        let budget = Budget {
            max_cost_usd: Some(0.6),
            max_tokens: Some(101),
            max_wall_seconds: Some(3.1),
            max_tool_calls: Some(3),
            max_model_calls: Some(5),
        };
        assert_eq!(reached(budget), None);
        let calls = Budget {
            max_model_calls: Some(4),
            ..budget
        };
        assert_eq!(
            reached(calls),
            Some(("max_model_calls".to_owned(), 4.0, 4.0))
        );
        let nothing = Budget {
            max_cost_usd: Some(0.0),
            ..budget
        };
        assert_eq!(
            reached(nothing),
            Some(("max_cost_usd".to_owned(), 0.0, 0.5))
        );
    }

    #[test]
    fn limits_that_are_no_numbers_are_found() {
        for wrong in [f64::NAN, f64::INFINITY, -1.0] {
            let budget = Budget {
                max_wall_seconds: Some(wrong),
                ..Budget::default()
            };
            assert_eq!(budget.fault(), Some("max_wall_seconds"));
        }
        assert_eq!(Budget::default().fault(), None);
    }
}
