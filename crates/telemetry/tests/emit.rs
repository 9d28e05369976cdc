//! What becomes of happenings: log lines, counts, and completed spans.
#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails is a test that fails"
)]

use std::{
    collections::BTreeMap,
    fmt::Debug,
    io::{self, Write},
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use telemetry::{
    COUNTS, Counter, ModelCallEnded, ModelCallFailed, RequestServed, SPANS, ToolCallEnded,
    TurnEnded,
};
use tracing::{
    Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    EnvFilter, Layer,
    fmt::MakeWriter,
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
};

/// The only test here, because counts are the whole process's.
#[test]
fn a_happening_is_a_line_and_a_count_and_completes_its_span() {
    let lines = Lines::default();
    let without_spans = EnvFilter::new(format!("{SPANS}=off,trace"));
    let log = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_writer(lines.clone())
        .with_filter(without_spans);
    let spans = Spans::default();
    let subscriber = tracing_subscriber::registry().with(log).with(spans.clone());
    tracing::subscriber::with_default(subscriber, emit_one_of_each);

    assert_eq!(
        lines.read(),
        [
            json!({"level": "INFO", "target": "http_api::access_log", "message": "request",
                   "method": "GET", "route": "/conversations/{conversation_id}",
                   "operation": "get_conversation", "status": 503,
                   "ms": 7, "conversation.id": "c1"}),
            json!({"level": "INFO", "target": "http_api::access_log", "message": "request",
                   "method": "PUT", "route": "-", "status": 404, "ms": 0}),
            json!({"level": "DEBUG", "target": "agent_runtime::step", "message": "model replied",
                   "conversation.id": "c1", "ms": 1500, "tool_calls": 2, "last_event": "e1"}),
            json!({"level": "WARN", "target": "agent_runtime::step",
                   "message": "a model call failed", "conversation.id": "c1",
                   "code": "LLMTimeoutError", "last_event": "e2"}),
        ]
    );
    let expected = [
        json!(["request", {"http.request.method": "GET",
                           "http.route": "/conversations/{conversation_id}",
                           "http.response.status_code": "503", "error.type": "503",
                           "gen_ai.conversation.id": "c1"}]),
        json!(["request", {"http.request.method": "PUT", "http.response.status_code": "404"}]),
        json!(["turn", {"gen_ai.operation.name": "invoke_agent", "gen_ai.conversation.id": "c1",
                        "error.type": "LLMTimeoutError"}]),
        json!(["step", {"gen_ai.operation.name": "chat", "gen_ai.conversation.id": "c1",
                        "gen_ai.request.model": "m", "gen_ai.response.id": "r1",
                        "gen_ai.usage.input_tokens": "30", "gen_ai.usage.output_tokens": "4"}]),
        json!(["tool_call", {"gen_ai.operation.name": "execute_tool",
                             "gen_ai.conversation.id": "c1", "gen_ai.tool.name": "terminal",
                             "gen_ai.tool.call.id": "t1"}]),
        json!(["tool_call", {"gen_ai.operation.name": "execute_tool",
                             "gen_ai.conversation.id": "c1", "gen_ai.tool.name": "terminal",
                             "gen_ai.tool.call.id": "t2", "error.type": "execution"}]),
        json!(["step", {"gen_ai.operation.name": "chat", "gen_ai.conversation.id": "c1",
                        "gen_ai.request.model": "m", "error.type": "LLMTimeoutError"}]),
    ];
    assert_eq!(json!(*spans.0.lock().unwrap()), json!(expected));

    let counted = [
        (&COUNTS.requests, 2),
        (&COUNTS.failed_requests, 1),
        (&COUNTS.turns, 1),
        (&COUNTS.failed_turns, 1),
        (&COUNTS.model_calls, 2),
        (&COUNTS.failed_model_calls, 1),
        (&COUNTS.input_tokens, 30),
        (&COUNTS.output_tokens, 4),
        (&COUNTS.tool_calls, 2),
        (&COUNTS.failed_tool_calls, 1),
    ];
    assert_eq!(
        counted.map(|(counter, _)| Counter::get(counter)),
        counted.map(|(_, n)| n)
    );
}

fn emit_one_of_each() {
    let route = Some("/conversations/{conversation_id}");
    let span = telemetry::request("GET", route);
    let served = RequestServed {
        method: "GET",
        route,
        operation: Some("get_conversation"),
        status: 503,
        elapsed: Duration::from_millis(7),
        conversation: Some("c1"),
    };
    span.in_scope(|| served.emit(&span));
    let refused = RequestServed {
        method: "PUT",
        route: None,
        operation: None,
        status: 404,
        elapsed: Duration::ZERO,
        conversation: None,
    };
    refused.emit(&telemetry::request("PUT", None));

    let turn = telemetry::turn(&"c1");
    let step = telemetry::step(&"c1", "m");
    let replied = ModelCallEnded {
        conversation: &"c1",
        elapsed: Duration::from_millis(1_500),
        response_id: "r1",
        input_tokens: 30,
        output_tokens: 4,
        tool_calls: 2,
        last_event: "e1",
    };
    replied.emit(&step);
    for (call, error) in [("t1", None), ("t2", Some("execution"))] {
        ToolCallEnded { error }.emit(&telemetry::tool_call(&"c1", "terminal", call));
    }
    let failed = ModelCallFailed {
        conversation: &"c1",
        code: "LLMTimeoutError",
        last_event: "e2",
    };
    failed.emit(&telemetry::step(&"c1", "m"));
    let ended = TurnEnded {
        error: Some("LLMTimeoutError"),
    };
    ended.emit(&turn);
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    /// What was logged, without the times.
    fn read(&self) -> Vec<Value> {
        let bytes = self.0.lock().unwrap();
        let lines = serde_json::Deserializer::from_slice(&bytes).into_iter::<Value>();
        lines
            .map(|line| {
                let mut line = line.unwrap();
                line.as_object_mut().unwrap().remove("timestamp");
                line
            })
            .collect()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// The spans in the order they began, each with its name and all of its attributes.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<Span>>>);

type Span = (&'static str, BTreeMap<String, String>);

/// A span's place among them.
struct Place(usize);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        assert_eq!(attributes.metadata().target(), SPANS);
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let mut spans = self.0.lock().unwrap();
        let span = context.span(id).unwrap();
        span.extensions_mut().insert(Place(spans.len()));
        spans.push((attributes.metadata().name(), fields.0));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        values.record(&mut fields);
        let span = context.span(id).unwrap();
        let place = span.extensions().get::<Place>().unwrap().0;
        self.0.lock().unwrap()[place].1.append(&mut fields.0);
    }
}

#[derive(Default)]
struct Fields(BTreeMap<String, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }
}
