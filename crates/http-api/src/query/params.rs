use std::str::FromStr;

use core_model::{ConversationId, EventTime};
use serde_json::json;
use url::form_urlencoded;

use crate::{
    error::Failure,
    validation::{self, Problem},
};

/// The most items a page has, and what it has when nothing is said.
pub(crate) const PAGE_LIMIT: usize = 100;
/// The most conversations or events that one request may name.
pub(crate) const BATCH_LIMIT: usize = 1000;

/// A query string being read; collects what is wrong with it.
pub(crate) struct Params {
    pairs: Vec<(String, String)>,
    problems: Vec<Problem>,
}

impl Params {
    pub(crate) fn parse(query: &str) -> Self {
        let pairs = form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        Self {
            pairs,
            problems: Vec::new(),
        }
    }

    /// # Errors
    /// All that was wrong.
    pub(crate) fn finish<T>(self, value: T) -> Result<T, Failure> {
        if self.problems.is_empty() {
            Ok(value)
        } else {
            Err(self.problems.into())
        }
    }

    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.pairs
            .iter()
            .rev()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.clone())
    }

    /// Repeated, or separated by commas.
    fn list(&self, name: &str) -> Vec<String> {
        self.pairs
            .iter()
            .filter(|(key, _)| key == name)
            .flat_map(|(_, value)| value.split(',').map(str::trim))
            .filter(|item| !item.is_empty())
            .map(str::to_owned)
            .collect()
    }

    pub(super) fn missing(&mut self, name: &str) {
        self.problems.push(Problem::missing(&["query", name]));
    }

    /// How many items a page has.
    pub(super) fn limit(&mut self) -> usize {
        self.limit_up_to(PAGE_LIMIT).unwrap_or(PAGE_LIMIT)
    }

    /// How many items are wanted at most; none when that is not said.
    pub(super) fn limit_up_to(&mut self, most: usize) -> Option<usize> {
        let text = self.text("limit")?;
        let at = ["query", "limit"];
        let problem = match text.trim().parse::<i64>() {
            Err(_) => Problem::new(
                "int_parsing",
                &at,
                "Input should be a valid integer, unable to parse string as an integer",
            ),
            Ok(limit) if limit < 1 => {
                Problem::new("greater_than", &at, "Input should be greater than 0").ctx("gt", 0)
            }
            Ok(limit) => match usize::try_from(limit) {
                Ok(limit) if limit <= most => return Some(limit),
                Ok(_) | Err(_) => {
                    let msg = format!("Input should be less than or equal to {most}");
                    Problem::new("less_than_equal", &at, msg).ctx("le", most)
                }
            },
        };
        self.problems.push(problem.input(text));
        None
    }

    pub(super) fn at_least(&mut self, name: &str, least: i64) -> Option<i64> {
        let text = self.text(name)?;
        let at = ["query", name];
        let problem = match text.trim().parse::<i64>() {
            Ok(number) if number >= least => return Some(number),
            Ok(_) => {
                let msg = format!("Input should be greater than or equal to {least}");
                Problem::new("greater_than_equal", &at, msg).ctx("ge", least)
            }
            Err(_) => Problem::new(
                "int_parsing",
                &at,
                "Input should be a valid integer, unable to parse string as an integer",
            ),
        };
        self.problems.push(problem.input(text));
        None
    }

    pub(super) fn parsed<T: FromStr>(&mut self, name: &str, what: &str) -> Option<T> {
        let text = self.text(name)?;
        let parsed = text.parse().ok();
        if parsed.is_none() {
            let msg = format!("Input should be {what}");
            let problem = Problem::new("value_error", &["query", name], msg);
            self.problems.push(problem.input(text));
        }
        parsed
    }

    pub(super) fn choice<T: Copy>(&mut self, name: &str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(name)?;
        if let Some((_, choice)) = choices.iter().find(|(word, _)| *word == text) {
            return Some(*choice);
        }
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        self.problems
            .push(Problem::choice(&["query", name], &words).input(text));
        None
    }

    pub(super) fn time(&mut self, name: &str) -> Option<EventTime> {
        let text = self.text(name)?;
        match text.parse() {
            Ok(time) => Some(time),
            Err(_) => {
                let why = "expected ISO 8601 such as 2026-01-31T12:00:00";
                let msg = format!("Input should be a valid datetime or date, {why}");
                self.problems.push(
                    Problem::new("datetime_from_date_parsing", &["query", name], msg)
                        .input(text)
                        .ctx("error", why),
                );
                None
            }
        }
    }

    pub(super) fn flag(&mut self, name: &str) -> bool {
        let Some(text) = self.text(name) else {
            return false;
        };
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" | "t" | "y" => true,
            "false" | "0" | "no" | "off" | "f" | "n" => false,
            _ => {
                let msg = "Input should be a valid boolean, unable to interpret input";
                let problem = Problem::new("bool_parsing", &["query", name], msg);
                self.problems.push(problem.input(text));
                false
            }
        }
    }

    pub(super) fn ids(&mut self, name: &str) -> Vec<ConversationId> {
        let mut ids = Vec::new();
        for (index, text) in self.batch(name).into_iter().enumerate() {
            match validation::conversation_id(&text, &["query", name]) {
                Ok(id) => ids.push(id),
                Err(found) => {
                    self.problems
                        .extend(found.into_iter().map(|problem| problem.at(index)));
                }
            }
        }
        ids
    }

    pub(super) fn batch(&mut self, name: &str) -> Vec<String> {
        let items = self.list(name);
        if items.len() > BATCH_LIMIT {
            self.problems.push(too_long(&["query", name], items.len()));
        }
        items
    }
}

/// A list of ids is longer than one request may have.
pub(crate) fn too_long(loc: &[&str], found: usize) -> Problem {
    let msg = format!("List should have at most {BATCH_LIMIT} items, not {found}");
    Problem::new("too_long", loc, msg).ctx("max_length", json!(BATCH_LIMIT))
}
