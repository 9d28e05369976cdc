use std::collections::BTreeSet;

use super::format::Format;
use super::rule::Asked;

/// Which rules a server enforces, by their names.
#[derive(Clone, Debug)]
pub struct Rules(BTreeSet<&'static str>);

impl Rules {
    /// Those that every provider of a format enforces.
    #[must_use]
    pub fn usual() -> Self {
        let usual = all().filter(|rule| rule.usual);
        Self(usual.map(|rule| rule.name).collect())
    }

    /// None, to which a test adds the one it is about.
    #[must_use]
    pub fn none() -> Self {
        Self(BTreeSet::new())
    }

    /// These and one more.
    ///
    /// # Panics
    /// When there is no rule of this name.
    #[must_use]
    pub fn and(mut self, name: &str) -> Self {
        let rule = all().find(|rule| rule.name == name);
        self.0.insert(rule.expect("the name of a rule").name);
        self
    }

    /// These except one.
    ///
    /// # Panics
    /// When it is not among them.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        assert!(self.0.remove(name), "{name} is not among the rules");
        self
    }

    pub(super) fn enforce(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// What in a request breaks these rules, each with the rule's name before it.
    pub(super) fn violations(&self, format: Format, asked: &Asked<'_>) -> Vec<String> {
        let rules = format.rules().iter();
        let enforced = rules.filter(|rule| self.enforce(rule.name));
        let found = enforced.flat_map(|rule| {
            let broken = (rule.check)(asked).into_iter();
            broken.map(|reason| format!("{}: {reason}", rule.name))
        });
        found.collect()
    }
}

fn all() -> impl Iterator<Item = &'static super::rule::Rule> {
    Format::ALL.into_iter().flat_map(Format::rules)
}
