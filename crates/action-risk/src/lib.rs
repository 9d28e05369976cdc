//! How dangerous an action is, and whether it needs a person's consent.
//!
//! [`consent`] decides, by a conversation's policy, its [`Analyzer`] and the commands that a person has
//! approved for good. Pure: nothing is run, asked or read.

mod action_text;
mod analyzer;
mod approved;
mod assessment;
mod command_rules;
mod consent;
mod evaluators;
mod paths;
mod pattern_lists;
mod patterns;
mod rails;

pub use analyzer::{Analyzer, AnalyzerError};
pub use approved::{ApprovalError, approve};
pub use assessment::{Assessment, Finding};
pub use consent::{Consent, ConsentRules, consent};

#[cfg(test)]
mod tests;
