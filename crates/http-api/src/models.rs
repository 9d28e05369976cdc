//! Which models and providers this server knows.

mod bodies;
mod query;

use paperclip::actix::api_v2_operation;
use serde_json::{Value, json};

use self::{
    bodies::{DescribedModel, DescribedModels, ModelNames, ModelsByProvider, ProviderNames},
    query::{ModelListParams, ProviderParams},
};
use crate::{
    failure::Failure,
    operation::{Dialect, Operation, Tag, both, handler},
    reply::Reply,
    request::{Query, Required},
};

pub(crate) const OPERATIONS: &[Operation] = &[PROVIDERS, NAMES, DESCRIBED, FOR_AGENTS];

const PROVIDERS: Operation = Operation {
    paths: both!("/llm/providers"),
    example: Some(|_| json!({"providers": ["anthropic", "gemini", "openai"]})),
    difference: Some("Lists the providers that this server reaches by name."),
    ..Operation::get("list_providers", Tag::Models, handler!(list_providers))
};

/// List providers of models
///
/// The prefixes that names of models may have, `openai` of `openai/gpt-5`. Any other service that speaks a known
/// format is reached by its `base_url`.
#[api_v2_operation]
async fn list_providers() -> Result<Reply<ProviderNames>, Failure> {
    Ok(Reply(ProviderNames {
        providers: agent_runtime::provider_names(),
    }))
}

const NAMES: Operation = Operation {
    paths: both!("/llm/models"),
    example: Some(|_| json!({"models": ["anthropic/claude-opus-5-5", "openai/gpt-5.6"]})),
    difference: Some("All names have the prefix of their provider."),
    ..Operation::get("list_models", Tag::Models, handler!(list_names))
};

/// List known models
///
/// Their names as the `model` of an agent's `llm` has them, those of one provider with `provider`. Others may be
/// named all the same.
#[api_v2_operation]
async fn list_names(query: Query<ModelListParams>) -> Result<Reply<ModelNames>, Failure> {
    Ok(Reply(ModelNames {
        models: agent_runtime::model_names(query.0.provider.as_deref()),
    }))
}

const DESCRIBED: Operation = Operation {
    paths: &[(Dialect::Readme, "/llm/models/described")],
    example: Some(|_| json!({"models": [example()]})),
    ..Operation::get("describe_models", Tag::Models, handler!(describe_models))
};

/// Describe a provider's models
///
/// Context window, prices and abilities of each. What is not known is null: a price of null is not a price of zero.
#[api_v2_operation]
async fn describe_models(query: Query<ProviderParams>) -> Result<Reply<DescribedModels>, Failure> {
    let Required(provider) = query.0.provider;
    let names = agent_runtime::model_names(Some(&provider));
    let known = names
        .iter()
        .filter_map(|name| agent_runtime::known_model(name));
    Ok(Reply(DescribedModels {
        models: known.map(DescribedModel::from).collect(),
    }))
}

const FOR_AGENTS: Operation = Operation {
    paths: both!("/llm/models/verified"),
    example: Some(|_| json!({"models": {"openai": ["gpt-5.6"], "mistral": ["devstral-latest"]}})),
    difference: Some(
        "Models of their makers that take tools and prompts of 100,000 tokens; nobody tried each of them.",
    ),
    ..Operation::get(
        "list_models_for_agents",
        Tag::Models,
        handler!(list_for_agents),
    )
};

/// List models for agents
///
/// Models that take tools and long prompts, by the provider that makes them.
#[api_v2_operation]
async fn list_for_agents() -> Result<Reply<ModelsByProvider>, Failure> {
    Ok(Reply(ModelsByProvider {
        models: agent_runtime::models_for_agents().into_iter().collect(),
    }))
}

fn example() -> Value {
    json!({
        "name": "anthropic/claude-opus-4-5", "provider": "anthropic", "format": "messages",
        "context_window": 200_000, "max_output_tokens": 64_000,
        "price": {"input": 5.0, "output": 25.0, "cache_read": 0.5, "cache_write": 6.25},
        "vision": true, "tools": true, "reasoning": true, "effort_levels": ["low", "medium", "high"],
    })
}
