use std::sync::Mutex;
use std::time::Duration;

use core_model::{Content, LlmSettings};
use llm_client::{
    Block, Delta, ModelError, ModelMessage, ModelReply, ModelRequest, ToolSpec, connect,
};
use serde_json::{Value, json};

use super::{ModelServer, Part, Reply};

fn asking(messages: Vec<ModelMessage>) -> ModelRequest {
    ModelRequest {
        tools: vec![ToolSpec {
            name: "terminal".to_owned(),
            description: "runs a command".to_owned(),
            parameters: json!({"type": "object"}),
        }],
        cache_key: Some("key".to_owned()),
        ..ModelRequest::of(messages)
    }
}

async fn ask(settings: &LlmSettings, messages: &[ModelMessage]) -> Result<ModelReply, ModelError> {
    let model = connect(settings).expect("a model");
    model.reply(&asking(messages.to_vec()), &|_| {}).await
}

fn streaming(server: &ModelServer, stream: bool) -> LlmSettings {
    LlmSettings {
        stream,
        ..server.llm_settings()
    }
}

fn hello() -> Vec<ModelMessage> {
    vec![
        ModelMessage::System(vec![Content::text("be good")]),
        user("hello"),
    ]
}

fn user(text: &str) -> ModelMessage {
    ModelMessage::User(vec![Content::text(text)])
}

fn result(call_id: &str, tool: &str, texts: &[&str]) -> ModelMessage {
    ModelMessage::ToolResult {
        call_id: call_id.to_owned(),
        tool: tool.to_owned(),
        content: texts.iter().map(|text| Content::text(*text)).collect(),
    }
}

#[tokio::test]
async fn a_conversation_keeps_the_rules_streamed_or_not() {
    for stream in [false, true] {
        let server = ModelServer::start([
            Reply::Parts(vec![
                Part::Reasoning("erst einmal denken".to_owned()),
                Part::Text("Grüße, ich fange an".to_owned()),
                Part::call("terminal", json!({"command": "echo ü"})),
                Part::call("terminal", json!({"command": "ls"})),
            ]),
            Reply::text("fertig"),
        ]);
        let settings = streaming(&server, stream);
        let mut messages = hello();
        let first = ask(&settings, &messages).await.expect("a reply");
        let reasoning = Block::reasoning("erst einmal denken");
        let text = Block::text("Grüße, ich fange an");
        assert_eq!(first.blocks[0].part, reasoning.part);
        assert_eq!(first.blocks[1], text);
        let arguments: Vec<Value> = first
            .calls()
            .map(|call| serde_json::from_str(&call.arguments).expect("JSON"))
            .collect();
        assert_eq!(
            arguments,
            [json!({"command": "echo ü"}), json!({"command": "ls"})]
        );
        assert!(first.usage.prompt_tokens > 0 && first.cost > Some(0.0));

        let results: Vec<ModelMessage> = first
            .calls()
            .map(|call| result(&call.id, &call.name, &["[error]", ""]))
            .collect();
        messages.push(first.into());
        messages.extend(results);
        let second = ask(&settings, &messages).await.expect("a reply");
        assert_eq!(second.text(), "fertig");
        assert_eq!(server.violations(), [""; 0]);
        assert_eq!(server.requests().len(), 2);
        assert_eq!(
            server.authorizations()[0].as_deref(),
            Some("Bearer test-key")
        );
    }
}

#[tokio::test]
async fn deltas_make_up_the_reply() {
    let server = ModelServer::start([Reply::text("a reply that is longer than a piece")]);
    let heard = Mutex::new(String::new());
    let hear = |delta| match delta {
        Delta::Text(piece) => heard.lock().expect("no panic").push_str(&piece),
        Delta::Reasoning(piece) => panic!("no reasoning was sent: {piece}"),
        Delta::Discarded => panic!("nothing failed"),
    };
    let model = connect(&streaming(&server, true)).expect("a model");
    let reply = model.reply(&asking(hello()), &hear).await.expect("a reply");
    assert_eq!(heard.into_inner().expect("no panic"), reply.text());
}

#[tokio::test]
async fn a_request_that_breaks_the_rules_is_refused_and_recorded() {
    let server = ModelServer::start([Reply::text("kept for a good request")]);
    let settings = server.llm_settings();
    let unasked = vec![result("c", "terminal", &["x"])];
    let refused = ask(&settings, &unasked).await.expect_err("a refusal");
    assert_eq!(refused.code(), "LLMBadRequestError");
    assert!(refused.to_string().contains("no open call"), "{refused}");
    assert_eq!(server.violations().len(), 1);

    ask(&settings, &hello()).await.expect("a reply");
    let refused = ask(&settings, &hello()).await.expect_err("a refusal");
    assert!(
        refused.to_string().contains("no reply is left"),
        "{refused}"
    );
    assert_eq!(server.violations().len(), 2);
}

#[tokio::test]
async fn failures_come_as_told() {
    let raw = Reply::Raw {
        status: 503,
        headers: vec![("retry-after".to_owned(), "9".to_owned())],
        body: "down".to_owned(),
    };
    let server = ModelServer::start([
        Reply::Error(429, "slow down".to_owned()),
        raw,
        Reply::StreamCut(Box::new(Reply::text("never heard in full"))),
        Reply::StreamCut(Box::new(Reply::text("never heard in full"))),
    ]);
    let limited = ask(&server.llm_settings(), &hello()).await;
    assert_eq!(
        limited,
        Err(ModelError::from_status(429, "slow down", None))
    );
    let down = ask(&server.llm_settings(), &hello()).await;
    let wait = Some(Duration::from_secs(9));
    assert_eq!(down, Err(ModelError::from_status(503, "down", wait)));
    for stream in [false, true] {
        let cut = ask(&streaming(&server, stream), &hello()).await;
        assert_eq!(cut.expect_err("a cut").code(), "LLMServiceUnavailableError");
    }
}

#[tokio::test]
async fn a_handler_answers_and_a_slow_reply_can_be_abandoned() {
    let server = ModelServer::answering(|request| {
        let asked = request["messages"][1]["content"][0]["text"].as_str();
        let reply = Reply::text(format!("you said {}", asked.unwrap_or_default()));
        match asked {
            Some("hello") => reply,
            _ => reply.after(Duration::from_secs(3_600)),
        }
    });
    let quick = ask(&server.llm_settings(), &hello())
        .await
        .expect("a reply");
    assert_eq!(quick.text(), "you said hello");

    let settings = server.llm_settings();
    let mut messages = hello();
    messages[1] = user("wait");
    tokio::select! {
        reply = ask(&settings, &messages) => panic!("too early: {reply:?}"),
        () = server.asked(2) => {}
    }
}
