use std::fmt::Display;

use tracing::{Span, debug_span, field::Empty};

/// The target of all spans, by which a subscriber takes or leaves them.
pub const SPANS: &str = "spans";

// OpenTelemetry's semantic conventions, "HTTP" and "Generative AI".
pub(crate) const ERROR_TYPE: &str = "error.type";
const HTTP_REQUEST_METHOD: &str = "http.request.method";
const HTTP_ROUTE: &str = "http.route";
pub(crate) const HTTP_RESPONSE_STATUS_CODE: &str = "http.response.status_code";
const OPERATION_NAME: &str = "gen_ai.operation.name";
pub(crate) const CONVERSATION_ID: &str = "gen_ai.conversation.id";
const REQUEST_MODEL: &str = "gen_ai.request.model";
pub(crate) const RESPONSE_ID: &str = "gen_ai.response.id";
pub(crate) const INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
pub(crate) const OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
const TOOL_NAME: &str = "gen_ai.tool.name";
const TOOL_CALL_ID: &str = "gen_ai.tool.call.id";

/// One request to the API, until its answer begins.
#[must_use]
pub fn request(method: &str, route: Option<&str>) -> Span {
    debug_span!(
        target: SPANS,
        "request",
        { HTTP_REQUEST_METHOD } = method,
        { HTTP_ROUTE } = route,
        { HTTP_RESPONSE_STATUS_CODE } = Empty,
        { CONVERSATION_ID } = Empty,
        { ERROR_TYPE } = Empty,
    )
}

/// One run of the agent.
#[must_use]
pub fn turn(conversation: &dyn Display) -> Span {
    debug_span!(
        target: SPANS,
        "turn",
        { OPERATION_NAME } = "invoke_agent",
        { CONVERSATION_ID } = %conversation,
        { ERROR_TYPE } = Empty,
    )
}

/// One model call and the tool calls it asks for.
#[must_use]
pub fn step(conversation: &dyn Display, model: &str) -> Span {
    debug_span!(
        target: SPANS,
        "step",
        { OPERATION_NAME } = "chat",
        { CONVERSATION_ID } = %conversation,
        { REQUEST_MODEL } = model,
        { RESPONSE_ID } = Empty,
        { INPUT_TOKENS } = Empty,
        { OUTPUT_TOKENS } = Empty,
        { ERROR_TYPE } = Empty,
    )
}

/// One tool call.
#[must_use]
pub fn tool_call(conversation: &dyn Display, tool: &str, call_id: &str) -> Span {
    debug_span!(
        target: SPANS,
        "tool_call",
        { OPERATION_NAME } = "execute_tool",
        { CONVERSATION_ID } = %conversation,
        { TOOL_NAME } = tool,
        { TOOL_CALL_ID } = call_id,
        { ERROR_TYPE } = Empty,
    )
}
