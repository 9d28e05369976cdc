//! The one place that decides whether an action needs consent, and says why.

use core_model::{
    ConfirmationPolicy,
    approval::ApprovedCommand,
    event::{ActionEvent, SecurityRisk},
};
use serde_json::{Value, json};

use crate::{Analyzer, AnalyzerError, Assessment, Finding, approved::covering};

/// What holds for a conversation.
#[derive(Clone, Copy, Debug)]
pub struct ConsentRules<'a> {
    pub policy: ConfirmationPolicy,
    /// None: there is no analyzer, and all risks are unknown. An error: the settings name one that this
    /// server does not have, and all risks are high.
    pub analyzer: Option<&'a Result<Analyzer, AnalyzerError>>,
    pub approved: &'a [ApprovedCommand],
}

/// Whether an action may be carried out without asking.
#[derive(Clone, Debug, PartialEq)]
pub struct Consent {
    pub is_needed: bool,
    /// In one line, for people.
    pub why: String,
    pub assessment: Assessment,
    /// The rule by which a person approved this before.
    pub approved_by: Option<String>,
}

/// Decides on one action. `harmless`: it touches nothing outside of the conversation.
#[must_use]
pub fn consent(rules: ConsentRules<'_>, event: &ActionEvent, harmless: bool) -> Consent {
    let assessment = match rules.analyzer {
        None => Assessment::default(),
        Some(Ok(analyzer)) => analyzer.assess(event),
        Some(Err(error)) => Assessment::of(
            vec![Finding::new(
                SecurityRisk::High,
                "analyzer.not-built-in",
                &error.why,
                &event.tool_name,
            )],
            Vec::new(),
        ),
    };
    let decided = |is_needed: bool, why: String, approved_by: Option<String>| Consent {
        is_needed,
        why,
        assessment: assessment.clone(),
        approved_by,
    };
    if harmless {
        let why = "it touches nothing outside of the conversation";
        return decided(false, why.to_owned(), None);
    }
    let (asks, why) = by_policy(rules.policy, &assessment, rules.analyzer.is_some());
    if !asks {
        return decided(false, why, None);
    }
    let approved = event.action.as_ref();
    let approved = approved.and_then(|action| covering(rules.approved, action));
    match approved {
        Some(rule) => {
            let why = format!("this command was approved for good ({})", rule.id);
            decided(false, why, Some(rule.id.clone()))
        }
        None => decided(true, why, None),
    }
}

/// Whether a policy asks about an action that was judged so. What is unresolved never makes it ask less: it
/// asks when it would ask about what is certain, and when it would ask about the unknown.
fn by_policy(
    policy: ConfirmationPolicy,
    assessment: &Assessment,
    is_judged: bool,
) -> (bool, String) {
    match policy {
        ConfirmationPolicy::AlwaysConfirm {} => {
            return (true, "the policy asks about every action".to_owned());
        }
        ConfirmationPolicy::NeverConfirm {} => {
            return (false, "the policy asks about no action".to_owned());
        }
        ConfirmationPolicy::ConfirmRisky { .. } => {}
    }
    if !is_judged {
        let asks = policy.asks(SecurityRisk::Unknown);
        return (
            asks,
            "the risk is unknown: the conversation has no analyzer".to_owned(),
        );
    }
    let certain = assessment.risk.max(assessment.known);
    let is_unknown = assessment.risk == SecurityRisk::Unknown || !assessment.unresolved.is_empty();
    let asks = (certain != SecurityRisk::Unknown && policy.asks(certain))
        || (is_unknown && policy.asks(SecurityRisk::Unknown));
    let risk = json!(assessment.risk);
    let risk = risk.as_str().unwrap_or_default();
    (asks, format!("{risk} risk: {}", assessment.reason()))
}

impl Consent {
    /// What an event says of it, for clients to show.
    #[must_use]
    pub fn details(&self) -> Value {
        let mut details = self.assessment.details();
        details["needs_confirmation"] = json!(self.is_needed);
        details["why"] = json!(self.why);
        if let Some(rule) = &self.approved_by {
            details["approved_command"] = json!(rule);
        }
        details
    }
}
