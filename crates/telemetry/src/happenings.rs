use std::{fmt::Display, time::Duration};

use tracing::Span;

use crate::counts::COUNTS;
use crate::spans::{
    CONVERSATION_ID, ERROR_TYPE, HTTP_RESPONSE_STATUS_CODE, INPUT_TOKENS, OUTPUT_TOKENS,
    RESPONSE_ID,
};

// The targets of log lines are what filters name, so they stay when code moves.
const REQUEST_LINES: &str = "http_api::access_log";
const MODEL_LINES: &str = "agent_runtime::step";

/// A request was answered; the body of its answer may still be on its way.
pub struct RequestServed<'a> {
    pub method: &'a str,
    /// The route's template; never the path, which may hold what nobody may read.
    pub route: Option<&'a str>,
    /// The id of the operation, if it is one.
    pub operation: Option<&'a str>,
    pub status: u16,
    pub elapsed: Duration,
    pub conversation: Option<&'a str>,
}

impl RequestServed<'_> {
    pub fn emit(&self, span: &Span) {
        let failed = self.status >= 500;
        COUNTS.requests.add(1);
        COUNTS.failed_requests.add_if(failed);
        span.record(HTTP_RESPONSE_STATUS_CODE, self.status);
        span.record(CONVERSATION_ID, self.conversation);
        span.record(ERROR_TYPE, failed.then_some(self.status));
        tracing::info!(
            target: REQUEST_LINES,
            method = self.method,
            route = self.route.unwrap_or("-"),
            operation = self.operation,
            status = self.status,
            ms = milliseconds(self.elapsed),
            conversation.id = self.conversation,
            "request"
        );
    }
}

/// A turn ended, in whichever way. What came of it is in the log of its conversation.
pub struct TurnEnded<'a> {
    /// The code of the error that ended it, if one did.
    pub error: Option<&'a str>,
}

impl TurnEnded<'_> {
    pub fn emit(&self, span: &Span) {
        COUNTS.turns.add(1);
        COUNTS.failed_turns.add_if(self.error.is_some());
        span.record(ERROR_TYPE, self.error);
    }
}

/// A model replied.
pub struct ModelCallEnded<'a> {
    pub conversation: &'a dyn Display,
    pub elapsed: Duration,
    pub response_id: &'a str,
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub tool_calls: usize,
    /// The last event that the model was shown.
    pub last_event: &'a str,
}

impl ModelCallEnded<'_> {
    pub fn emit(&self, span: &Span) {
        COUNTS.model_calls.add(1);
        COUNTS.input_tokens.add(self.input_tokens);
        COUNTS.output_tokens.add(self.output_tokens);
        span.record(RESPONSE_ID, self.response_id);
        span.record(INPUT_TOKENS, self.input_tokens);
        span.record(OUTPUT_TOKENS, self.output_tokens);
        tracing::debug!(
            target: MODEL_LINES,
            {
                conversation.id = %self.conversation,
                ms = milliseconds(self.elapsed),
                tool_calls = self.tool_calls,
                last_event = self.last_event,
            },
            "model replied"
        );
    }
}

/// A model gave no reply, and is not asked again.
pub struct ModelCallFailed<'a> {
    pub conversation: &'a dyn Display,
    /// As in `ConversationErrorEvent`.
    pub code: &'a str,
    /// The last event that the model was shown.
    pub last_event: &'a str,
}

impl ModelCallFailed<'_> {
    pub fn emit(&self, span: &Span) {
        COUNTS.model_calls.add(1);
        COUNTS.failed_model_calls.add(1);
        span.record(ERROR_TYPE, self.code);
        tracing::warn!(
            target: MODEL_LINES,
            {
                conversation.id = %self.conversation,
                code = self.code,
                last_event = self.last_event,
            },
            "a model call failed"
        );
    }
}

/// A tool call ended. What it brought back is in the log of its conversation.
pub struct ToolCallEnded {
    /// Why there is no observation that says it worked.
    pub error: Option<&'static str>,
}

impl ToolCallEnded {
    pub fn emit(&self, span: &Span) {
        COUNTS.tool_calls.add(1);
        COUNTS.failed_tool_calls.add_if(self.error.is_some());
        span.record(ERROR_TYPE, self.error);
    }
}

fn milliseconds(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}
