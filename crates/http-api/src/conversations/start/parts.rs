//! Parts of the body whose forms clients choose freely.

use core_model::{
    ConfirmationPolicy, Content, ConversationSettings, Workspace, WorkspaceKind, budget::Budgets,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::json::{at_least_one, object};
use crate::{
    message::{SendMessage, TextOrParts, checked_content},
    validation::{self, Problem},
};

const SECURITY_ANALYZERS: [&str; 6] = [
    "LLMSecurityAnalyzer",
    "PatternSecurityAnalyzer",
    "PolicyRailSecurityAnalyzer",
    "EnsembleSecurityAnalyzer",
    "GraySwanAnalyzer",
    "ToolShieldLLMSecurityAnalyzer",
];

/// A text, or a message.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct FirstMessage(#[schemars(schema_with = "message_schema")] Value);

fn message_schema(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({"anyOf": [
        {"type": "string"},
        {
            "type": "object",
            "properties": {
                "role": {"type": ["string", "null"]},
                "content": generator.subschema_for::<TextOrParts>()
            },
            "required": ["content"]
        }
    ]})
}

impl FirstMessage {
    /// # Errors
    /// What is wrong with it.
    pub(super) fn into_content(self) -> Result<Vec<Content>, Vec<Problem>> {
        let at = ["body", "initial_message"];
        if let Some(text) = self.0.as_str() {
            return checked_content(vec![Content::text(text)], &at);
        }
        validation::object::<SendMessage>(&self.0, &at)?.content(&at)
    }
}

/// One of the known ways to judge an action.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct SecurityAnalyzer(#[schemars(schema_with = "analyzer_schema")] Value);

fn analyzer_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "properties": {"kind": {"type": "string"}},
        "required": ["kind"]
    })
}

impl SecurityAnalyzer {
    /// # Errors
    /// When its kind is not known.
    pub(super) fn into_known(self) -> Result<Value, Vec<Problem>> {
        let kind = self
            .0
            .get("kind")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if !SECURITY_ANALYZERS.contains(&kind) {
            let at = ["body", "security_analyzer", "kind"];
            return Err(vec![Problem::choice(&at, &SECURITY_ANALYZERS).input(kind)]);
        }
        Ok(self.0)
    }
}

/// # Errors
/// What is wrong with it.
pub(super) fn workspace(value: &Value) -> Result<Workspace, Vec<Problem>> {
    let at = ["body", "workspace"];
    let fields = object(value, &at)?;
    let kind = fields
        .get("kind")
        .and_then(Value::as_str)
        .unwrap_or("LocalWorkspace");
    if kind != "LocalWorkspace" {
        let kind_at = ["body", "workspace", "kind"];
        return Err(vec![
            Problem::choice(&kind_at, &["LocalWorkspace"]).input(kind),
        ]);
    }
    let folder = fields.get("working_dir");
    let folder =
        folder.ok_or_else(|| vec![Problem::missing(&["body", "workspace", "working_dir"])])?;
    let working_dir: String = validation::typed(folder, &["body", "workspace", "working_dir"])?;
    if working_dir.trim().is_empty() || working_dir.contains('\0') {
        let why = "working_dir must name a folder";
        return Err(vec![Problem::value_error(
            &["body", "workspace", "working_dir"],
            why,
        )]);
    }
    Ok(Workspace {
        working_dir,
        kind: WorkspaceKind::LocalWorkspace,
    })
}

/// Model calls in one run.
///
/// # Errors
/// When there is not at least one.
pub(super) fn iterations(given: Option<i64>) -> Result<u32, Vec<Problem>> {
    let Some(given) = given else {
        return Ok(ConversationSettings::default().max_iterations);
    };
    if given < 1 {
        return Err(vec![at_least_one(&["body", "max_iterations"], given)]);
    }
    // Beyond what can be counted there is no difference.
    Ok(u32::try_from(given).unwrap_or(u32::MAX))
}

/// # Errors
/// When a limit is no number, or negative.
pub(in crate::conversations) fn budgets(
    at: &[&str],
    given: Budgets,
) -> Result<Budgets, Vec<Problem>> {
    for (scope, budget) in [("conversation", given.conversation), ("turn", given.turn)] {
        if let Some(limit) = budget.fault() {
            let place = [&["body"], at, &[scope, limit]].concat();
            let why = "a limit is a number of at least 0";
            return Err(vec![Problem::value_error(&place, why)]);
        }
    }
    Ok(given)
}

/// Plain, or wrapped as `POST …/confirmation_policy` takes it.
///
/// # Errors
/// What is wrong with it.
pub(super) fn policy(value: &Value) -> Result<ConfirmationPolicy, Vec<Problem>> {
    validation::typed(
        value.get("policy").unwrap_or(value),
        &["body", "confirmation_policy"],
    )
}
