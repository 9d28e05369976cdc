/// A service that offers models, by the prefix that model names give it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Provider {
    pub(crate) prefix: &'static str,
    pub(crate) address: Address,
    /// Hosted services refuse calls without a key; those on one's own machine do without.
    pub(crate) needs_key: bool,
    /// Whether it takes a key as a bearer token in every wire format.
    pub(crate) bearer: bool,
    /// The header that carries the key as it is; None: the one of the format.
    pub(crate) key_header: Option<&'static str>,
    /// Headers that every request has, their names in lower case.
    pub(crate) headers: &'static [(&'static str, &'static str)],
    /// Whether the user runs it, and with it chooses how long prompts may be.
    pub(crate) local_limits: bool,
    /// What genai-prices calls the list of its prices.
    pub(crate) price_list: Option<&'static str>,
    /// Whether what a model costs at its maker is taken for its price here, where the list does not have it.
    pub(crate) maker_prices: bool,
    /// Whether its replies state what they cost.
    pub(crate) states_costs: bool,
    pub(crate) chat: ChatStyle,
}

/// How a provider deviates from OpenAI's Chat Completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChatStyle {
    /// What it calls the limit on a reply's length.
    pub(crate) length_limit: &'static str,
    /// Whether message content must be a string where it could be a list of parts.
    pub(crate) plain_content: bool,
    pub(crate) reasoning: ReasoningField,
    /// The field for the key of requests that share a prefix; None where it is refused or of no use.
    pub(crate) cache_key: Option<&'static str>,
    /// Whether it takes `top_k`.
    pub(crate) top_k: bool,
}

/// Where requests go, unless the settings' `base_url` says otherwise.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Address {
    At(&'static str),
    /// Only the user knows; what the address looks like.
    Given(&'static str),
    /// The resource is the user's; deployments and versions are part of the path.
    Azure,
    /// Each region has its own.
    Bedrock,
}

/// How reasoning is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReasoningField {
    /// `reasoning_effort: LEVEL`
    Effort,
    /// `reasoning: {effort: LEVEL}`
    Nested,
    /// `thinking: {type: enabled | disabled}`
    Thinking,
    /// The same, and `reasoning_effort` beside it.
    ThinkingAndEffort,
    /// `enable_thinking`, to switch it off.
    EnableThinking,
}

const NEW_LIMIT: &str = "max_completion_tokens";
const OLD_LIMIT: &str = "max_tokens";
const CACHE_KEY: Option<&str> = Some("prompt_cache_key");

const OF_VERTEX: &str = "https://REGION-aiplatform.googleapis.com/v1/projects/PROJECT/locations/REGION/endpoints/openapi";
const ANY: &str = "the address of its OpenAI-compatible API, http://HOST:PORT/v1";

/// GitHub's API answers programs that it knows; `extra_headers` replace these.
const COPILOT_HEADERS: &[(&str, &str)] = &[
    ("copilot-integration-id", "vscode-chat"),
    ("editor-version", "vscode/1.95.0"),
];

const HOSTED: Provider = Provider {
    prefix: "",
    address: Address::Given(ANY),
    needs_key: true,
    bearer: false,
    key_header: None,
    headers: &[],
    local_limits: false,
    price_list: None,
    maker_prices: false,
    states_costs: false,
    chat: CHAT,
};

const CHAT: ChatStyle = ChatStyle {
    length_limit: OLD_LIMIT,
    plain_content: false,
    reasoning: ReasoningField::Effort,
    cache_key: None,
    top_k: true,
};

const OPENAI: ChatStyle = ChatStyle {
    length_limit: NEW_LIMIT,
    cache_key: CACHE_KEY,
    top_k: false,
    ..CHAT
};

const NEWER: ChatStyle = ChatStyle {
    length_limit: NEW_LIMIT,
    cache_key: CACHE_KEY,
    ..CHAT
};

const LOCAL_CHAT: ChatStyle = ChatStyle {
    plain_content: true,
    cache_key: CACHE_KEY,
    ..CHAT
};

/// Addresses and deviations from the providers' own documentation of their OpenAI-compatible endpoints.
#[rustfmt::skip]
pub(super) static PROVIDERS: &[Provider] = &[
    Provider { chat: OPENAI, ..hosted("openai", "https://api.openai.com/v1", Some("openai")) },
    Provider {
        bearer: true,
        states_costs: true,
        chat: ChatStyle { reasoning: ReasoningField::Nested, cache_key: Some("session_id"), ..CHAT },
        ..hosted("openrouter", "https://openrouter.ai/api/v1", Some("openrouter"))
    },
    hosted("anthropic", "https://api.anthropic.com/v1", Some("anthropic")),
    hosted("gemini", "https://generativelanguage.googleapis.com/v1beta/openai", Some("google")),
    Provider {
        chat: ChatStyle { plain_content: true, reasoning: ReasoningField::ThinkingAndEffort, ..CHAT },
        ..hosted("deepseek", "https://api.deepseek.com/v1", Some("deepseek"))
    },
    Provider {
        chat: ChatStyle { length_limit: NEW_LIMIT, ..CHAT },
        ..hosted("groq", "https://api.groq.com/openai/v1", Some("groq"))
    },
    hosted("mistral", "https://api.mistral.ai/v1", Some("mistral")),
    Provider { chat: NEWER, ..hosted("xai", "https://api.x.ai/v1", Some("x-ai")) },
    Provider {
        chat: ChatStyle { cache_key: CACHE_KEY, ..CHAT },
        ..hosted("moonshot", "https://api.moonshot.ai/v1", Some("moonshotai"))
    },
    Provider {
        chat: ChatStyle { reasoning: ReasoningField::Thinking, ..CHAT },
        ..hosted("zai", "https://api.z.ai/api/paas/v4", Some("zai"))
    },
    Provider {
        chat: ChatStyle { length_limit: NEW_LIMIT, ..CHAT },
        ..hosted("cerebras", "https://api.cerebras.ai/v1", Some("cerebras"))
    },
    Provider {
        chat: ChatStyle { reasoning: ReasoningField::EnableThinking, ..CHAT },
        ..hosted("dashscope", "https://dashscope-intl.aliyuncs.com/compatible-mode/v1", None)
    },
    hosted("minimax", "https://api.minimax.io/v1", Some("minimax")),
    hosted("together_ai", "https://api.together.xyz/v1", Some("together")),
    hosted("fireworks_ai", "https://api.fireworks.ai/inference/v1", Some("fireworks")),
    Provider {
        chat: OPENAI, headers: COPILOT_HEADERS,
        ..hosted("github_copilot", "https://api.githubcopilot.com", Some("github-copilot"))
    },
    Provider {
        prefix: "azure", address: Address::Azure, key_header: Some("api-key"), chat: OPENAI,
        price_list: Some("azure"), maker_prices: true, ..HOSTED
    },
    Provider { prefix: "bedrock", address: Address::Bedrock, price_list: Some("aws"), ..HOSTED },
    Provider { prefix: "vertex_ai", address: Address::Given(OF_VERTEX), price_list: Some("google"), maker_prices: true, ..HOSTED },
    Provider { address: Address::At("http://localhost:11434/v1"), ..local("ollama", LOCAL_CHAT) },
    Provider { address: Address::At("http://localhost:11434/v1"), ..local("ollama_chat", LOCAL_CHAT) },
    Provider { address: Address::At("http://localhost:1234/v1"), ..local("lm_studio", LOCAL_CHAT) },
    local("hosted_vllm", NEWER),
    Provider { local_limits: false, maker_prices: true, ..local("litellm_proxy", NEWER) },
    Provider { local_limits: false, maker_prices: true, ..local("custom_openai", NEWER) },
];

const fn hosted(
    prefix: &'static str,
    address: &'static str,
    price_list: Option<&'static str>,
) -> Provider {
    Provider {
        prefix,
        address: Address::At(address),
        price_list,
        ..HOSTED
    }
}

const fn local(prefix: &'static str, chat: ChatStyle) -> Provider {
    Provider {
        prefix,
        needs_key: false,
        local_limits: true,
        chat,
        ..HOSTED
    }
}
