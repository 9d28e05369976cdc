//! What several conversations together may spend, and what they have spent: those that requests with one
//! API key created, and all of a server.

use std::collections::BTreeMap;

use chrono::{Datelike, NaiveDate};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::budget::{Budget, Period, Spent};

/// Limits for a period; what is not set is not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PeriodBudget {
    pub period: Period,
    /// US dollars for model calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_cost_usd: Option<f64>,
    /// Tokens of prompts and replies together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// Seconds in which agents worked, added up over conversations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_wall_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tool_calls: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_model_calls: Option<u64>,
}

/// The limits of a server and of its API keys, by the names of the keys.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SharedBudgets {
    pub server: PeriodBudget,
    pub keys: BTreeMap<String, PeriodBudget>,
}

/// What was spent on one day (in UTC) by the conversations of one API key; without a name, by those that
/// belong to none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DaySpending {
    pub key: Option<String>,
    pub day: NaiveDate,
    pub spent: Spent,
}

/// What was spent on each day.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpendingByDay(BTreeMap<(Option<String>, NaiveDate), Spent>);

impl PeriodBudget {
    #[must_use]
    pub fn limits(&self) -> Budget {
        Budget {
            max_cost_usd: self.max_cost_usd,
            max_tokens: self.max_tokens,
            max_wall_seconds: self.max_wall_seconds,
            max_tool_calls: self.max_tool_calls,
            max_model_calls: self.max_model_calls,
        }
    }
}

impl SharedBudgets {
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        let unlimited = |budget: &PeriodBudget| budget.limits() == Budget::default();
        unlimited(&self.server) && self.keys.values().all(unlimited)
    }

    /// Where a limit stands that no number can keep, `keys.ci.max_cost_usd` for one.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        if let Some(limit) = self.server.limits().fault() {
            return Some(format!("server.{limit}"));
        }
        self.keys.iter().find_map(|(name, budget)| {
            let limit = budget.limits().fault()?;
            Some(format!("keys.{name}.{limit}"))
        })
    }
}

impl SpendingByDay {
    /// Adds to a day; what was spent on it by then.
    pub fn add(&mut self, added: DaySpending) -> DaySpending {
        let DaySpending { key, day, spent } = added;
        let total = self.0.entry((key.clone(), day)).or_default();
        *total = total.plus(&spent);
        DaySpending {
            key,
            day,
            spent: *total,
        }
    }

    /// Replaces what was spent on a day.
    pub fn set(&mut self, total: DaySpending) {
        self.0.insert((total.key, total.day), total.spent);
    }

    pub fn days(&self) -> impl Iterator<Item = DaySpending> {
        self.0.iter().map(|((key, day), spent)| DaySpending {
            key: key.clone(),
            day: *day,
            spent: *spent,
        })
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What all conversations spent in the period that `today` is in.
    #[must_use]
    pub fn of_server(&self, period: Period, today: NaiveDate) -> Spent {
        self.sum(period, today, |_| true)
    }

    /// The same of one API key's.
    #[must_use]
    pub fn of_key(&self, key: &str, period: Period, today: NaiveDate) -> Spent {
        self.sum(period, today, |of| of == Some(key))
    }

    fn sum(
        &self,
        period: Period,
        today: NaiveDate,
        counts: impl Fn(Option<&str>) -> bool,
    ) -> Spent {
        let within = |day: NaiveDate| match period {
            Period::Day => day == today,
            Period::Month => (day.year(), day.month()) == (today.year(), today.month()),
            Period::Total => true,
        };
        let days = self.0.iter();
        days.filter(|((key, day), _)| within(*day) && counts(key.as_deref()))
            .fold(Spent::default(), |sum, (_, spent)| sum.plus(spent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn a_period_holds_what_was_spent_in_it_by_a_key_or_by_all() {
        let mut spending = SpendingByDay::default();
        for (key, on, tokens) in [
            (Some("ci"), "2026-11-30", 1),
            (Some("ci"), "2026-12-01", 10),
            (Some("ci"), "2026-12-02", 100),
            (None, "2026-12-02", 1_000),
            (Some("ci"), "2026-12-02", 10_000),
        ] {
            spending.add(DaySpending {
                key: key.map(str::to_owned),
                day: day(on),
                spent: Spent {
                    tokens,
                    ..Spent::default()
                },
            });
        }
        let today = day("2026-12-02");
        let ci = |period| spending.of_key("ci", period, today).tokens;
        let periods = [Period::Day, Period::Month, Period::Total];
        assert_eq!(periods.map(ci), [10_100, 10_110, 10_111]);
        let all = |period| spending.of_server(period, today).tokens;
        assert_eq!(periods.map(all), [11_100, 11_110, 11_111]);
        assert_eq!(
            spending.of_key("other", Period::Total, today),
            Spent::default()
        );
        assert_eq!(spending.days().count(), 4);
    }

    #[test]
    fn limits_are_read_by_their_names() {
        let read = |text: &str| serde_json::from_str::<SharedBudgets>(text);
        let budgets = read(r#"{"keys": {"ci": {"max_cost_usd": -1, "period": "day"}}}"#).unwrap();
        assert_eq!(budgets.keys["ci"].period, Period::Day);
        assert_eq!(budgets.fault().as_deref(), Some("keys.ci.max_cost_usd"));
        assert!(!budgets.is_unlimited() && SharedBudgets::default().is_unlimited());
        assert!(read(r#"{"server": {"max_costs": 1}}"#).is_err());
    }
}
