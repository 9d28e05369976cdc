use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The agent of a conversation: a model, its tools, its instructions. Absent fields get the
/// defaults of the public clients; unknown ones are ignored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Agent {
    pub llm: LlmSettings,
    pub tools: Vec<ToolChoice>,
    pub mcp_config: Map<String, Value>,
    pub filter_tools_regex: Option<String>,
    /// Class names of tools that the agent has without listing them in `tools`.
    pub include_default_tools: Vec<String>,
    pub agent_context: Option<Value>,
    /// Replaces the built-in system prompt.
    pub system_prompt: Option<String>,
    pub system_prompt_filename: String,
    pub security_policy_filename: String,
    pub system_prompt_kwargs: Map<String, Value>,
    pub condenser: Option<Value>,
    pub critic: Option<Value>,
    /// How many calls of one reply may run beside each other, where their tools allow that.
    #[schemars(range(min = 1))]
    pub tool_concurrency_limit: u32,
    pub persona: Option<String>,
    pub kind: AgentKind,
}

/// The kinds of agent this server can run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AgentKind {
    #[default]
    Agent,
}

/// A tool by its registered name, with settings for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ToolChoice {
    pub name: String,
    #[serde(default)]
    pub params: Map<String, Value>,
}

impl Default for Agent {
    fn default() -> Self {
        Self {
            llm: LlmSettings::default(),
            tools: Vec::new(),
            mcp_config: Map::new(),
            filter_tools_regex: None,
            include_default_tools: vec!["FinishTool".to_owned(), "ThinkTool".to_owned()],
            agent_context: None,
            system_prompt: None,
            system_prompt_filename: "system_prompt.j2".to_owned(),
            security_policy_filename: "security_policy.j2".to_owned(),
            system_prompt_kwargs: Map::from_iter([(
                "llm_security_analyzer".to_owned(),
                Value::Bool(true),
            )]),
            condenser: None,
            critic: None,
            tool_concurrency_limit: 1,
            persona: None,
            kind: AgentKind::Agent,
        }
    }
}

impl Agent {
    /// The agent for `agent_settings` or an empty request: with the usual coding tools.
    #[must_use]
    pub fn with_usual_tools(llm: LlmSettings) -> Self {
        let tools = ["terminal", "file_editor", "task_tracker"].map(|name| ToolChoice {
            name: name.to_owned(),
            params: Map::new(),
        });
        Self {
            llm,
            tools: tools.into(),
            ..Self::default()
        }
    }
}

/// Which wire format is used for a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ApiMode {
    #[default]
    Auto,
    Chat,
    Responses,
    /// Anthropic's; the public clients do not know this one.
    Messages,
}

/// How to reach a model and what to ask of it: the keys and defaults of the public SDK's LLM
/// object. Times are in seconds, prices in US dollars a token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LlmSettings {
    /// Provider prefix and model name, `openai/gpt-5`, `ollama/qwen3`, or a plain name.
    pub model: String,
    pub api_key: Option<String>,
    pub provider_connection_id: Option<String>,
    pub auth_type: String,
    pub subscription_vendor: Option<String>,
    pub base_url: Option<String>,
    pub api_version: Option<String>,
    pub aws_access_key_id: Option<String>,
    pub aws_secret_access_key: Option<String>,
    pub aws_session_token: Option<String>,
    pub aws_region_name: Option<String>,
    pub aws_profile_name: Option<String>,
    pub aws_role_name: Option<String>,
    pub aws_session_name: Option<String>,
    pub aws_bedrock_runtime_endpoint: Option<String>,
    pub openrouter_site_url: Option<String>,
    pub openrouter_app_name: Option<String>,
    pub num_retries: u32,
    pub retry_multiplier: f64,
    pub retry_min_wait: u64,
    pub retry_max_wait: u64,
    pub timeout: Option<u64>,
    pub stream_idle_timeout: Option<f64>,
    pub max_message_chars: u64,
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
    pub top_k: Option<f64>,
    pub max_input_tokens: Option<u64>,
    pub max_output_tokens: Option<u64>,
    pub model_canonical_name: Option<String>,
    pub api_mode: ApiMode,
    pub capability_overrides: Map<String, Value>,
    pub extra_headers: Option<BTreeMap<String, String>>,
    pub input_cost_per_token: Option<f64>,
    pub output_cost_per_token: Option<f64>,
    pub ollama_base_url: Option<String>,
    pub stream: bool,
    pub drop_params: bool,
    pub disable_vision: Option<bool>,
    pub disable_stop_word: Option<bool>,
    pub caching_prompt: bool,
    pub log_completions: bool,
    pub log_completions_folder: String,
    pub custom_tokenizer: Option<String>,
    pub native_tool_calling: bool,
    pub force_string_serializer: Option<bool>,
    pub inline_image_urls: Option<bool>,
    pub reasoning_effort: Option<String>,
    pub reasoning_summary: Option<String>,
    pub enable_encrypted_reasoning: bool,
    pub prompt_cache_retention: Option<String>,
    pub extended_thinking_budget: Option<u64>,
    pub seed: Option<i64>,
    pub usage_id: String,
    pub litellm_extra_body: Map<String, Value>,
    pub fallback_strategy: Option<Value>,
    pub is_subscription: bool,
}

impl Default for LlmSettings {
    fn default() -> Self {
        Self {
            model: "gpt-5.6".to_owned(),
            api_key: None,
            provider_connection_id: None,
            auth_type: "api_key".to_owned(),
            subscription_vendor: None,
            base_url: None,
            api_version: None,
            aws_access_key_id: None,
            aws_secret_access_key: None,
            aws_session_token: None,
            aws_region_name: None,
            aws_profile_name: None,
            aws_role_name: None,
            aws_session_name: None,
            aws_bedrock_runtime_endpoint: None,
            // The public clients' models do not accept null here.
            openrouter_site_url: Some("https://docs.all-hands.dev/".to_owned()),
            openrouter_app_name: Some("OpenHands".to_owned()),
            num_retries: 5,
            retry_multiplier: 8.0,
            retry_min_wait: 8,
            retry_max_wait: 64,
            timeout: Some(300),
            stream_idle_timeout: Some(300.0),
            max_message_chars: 30_000,
            temperature: None,
            top_p: None,
            top_k: None,
            max_input_tokens: None,
            max_output_tokens: None,
            model_canonical_name: None,
            api_mode: ApiMode::Auto,
            capability_overrides: Map::new(),
            extra_headers: None,
            input_cost_per_token: None,
            output_cost_per_token: None,
            ollama_base_url: None,
            stream: false,
            drop_params: true,
            disable_vision: None,
            disable_stop_word: Some(false),
            caching_prompt: true,
            log_completions: false,
            log_completions_folder: "logs/completions".to_owned(),
            custom_tokenizer: None,
            native_tool_calling: true,
            force_string_serializer: None,
            inline_image_urls: None,
            reasoning_effort: Some("high".to_owned()),
            reasoning_summary: None,
            enable_encrypted_reasoning: true,
            prompt_cache_retention: Some("24h".to_owned()),
            extended_thinking_budget: Some(200_000),
            seed: None,
            usage_id: "default".to_owned(),
            litellm_extra_body: Map::new(),
            fallback_strategy: None,
            is_subscription: false,
        }
    }
}
