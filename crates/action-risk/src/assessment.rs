use core_model::event::SecurityRisk;
use serde_json::{Value, json};

/// What an analyzer says of an action.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Assessment {
    /// The risk that clients are told.
    pub risk: SecurityRisk,
    /// The highest risk that is certain, where `risk` says that something is unknown.
    pub known: SecurityRisk,
    /// What could not be found out; each may hide any risk.
    pub unresolved: Vec<String>,
    pub findings: Vec<Finding>,
}

/// A rule that an action matches.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    pub risk: SecurityRisk,
    /// The rule's name, which stays the same.
    pub rule: String,
    /// What it is about, for people.
    pub about: String,
    /// The part of the action that matches.
    pub excerpt: String,
}

/// Characters of an excerpt.
const MAX_EXCERPT: usize = 200;
const MAX_LISTED: usize = 20;

impl Assessment {
    /// By what was found: unknown where nothing was and something stayed unresolved, else the highest risk.
    pub(crate) fn of(findings: Vec<Finding>, unresolved: Vec<String>) -> Self {
        let found = findings.iter().map(|finding| finding.risk).max();
        let known = found.unwrap_or(SecurityRisk::Low);
        let hidden = known < SecurityRisk::Medium && !unresolved.is_empty();
        Self {
            risk: if hidden { SecurityRisk::Unknown } else { known },
            known,
            unresolved,
            findings,
        }
    }

    /// The one line that says why.
    #[must_use]
    pub fn reason(&self) -> String {
        let worst = self.findings.iter().max_by_key(|finding| finding.risk);
        match (worst, self.unresolved.first()) {
            (Some(worst), _) => format!("{}: {} ({})", worst.rule, worst.about, worst.excerpt),
            (None, Some(unresolved)) => unresolved.clone(),
            (None, None) => "no rule matches".to_owned(),
        }
    }

    /// For clients to show.
    pub(crate) fn details(&self) -> Value {
        let findings = self.findings.iter().take(MAX_LISTED);
        let findings: Vec<Value> = findings.map(Finding::details).collect();
        let unresolved: Vec<&String> = self.unresolved.iter().take(MAX_LISTED).collect();
        json!({"reason": self.reason(), "findings": findings, "unresolved": unresolved})
    }
}

impl Finding {
    pub(crate) fn new(risk: SecurityRisk, rule: &str, about: &str, text: &str) -> Self {
        let mut excerpt: String = text.chars().take(MAX_EXCERPT).collect();
        if excerpt.len() < text.len() {
            excerpt.push('…');
        }
        Self {
            risk,
            rule: rule.to_owned(),
            about: about.to_owned(),
            excerpt,
        }
    }

    fn details(&self) -> Value {
        json!({"risk": self.risk, "rule": self.rule, "about": self.about, "excerpt": self.excerpt})
    }
}
