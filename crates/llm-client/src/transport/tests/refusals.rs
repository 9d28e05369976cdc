//! Requests that a provider refuses for how they are written.

use core_model::{Content, LlmSettings, MessageToolCall};
use serde_json::{Value, json};
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::{bodies, failure, model, own_settings, reply};
use crate::{AssistantMessage, Block, Model, ModelMessage, ModelReply, ModelRequest};

/// Says why it refuses a list of messages, if it does.
type Rule = fn(&[Value]) -> Option<&'static str>;

async fn strict(status: u16, rule: Rule) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(move |request: &Request| -> ResponseTemplate {
            let body: Value = request.body_json().expect("a JSON body");
            match rule(body["messages"].as_array().expect("messages")) {
                Some(reason) => failure(status, reason),
                None => reply("hi"),
            }
        })
        .mount(&server)
        .await;
    server
}

/// Asks twice, each time with a model that was opened anew, as two turns do. How many requests each took.
async fn ask_twice(
    server: &MockServer,
    messages: &[ModelMessage],
) -> (Vec<ModelReply>, [usize; 2]) {
    ask_twice_as(&own_settings(&server.uri()), server, messages).await
}

async fn ask_twice_as(
    settings: &LlmSettings,
    server: &MockServer,
    messages: &[ModelMessage],
) -> (Vec<ModelReply>, [usize; 2]) {
    let request = ModelRequest::of(messages.to_vec());
    let (mut replies, mut counts) = (Vec::new(), [0; 2]);
    for count in &mut counts {
        let before = bodies(server).await.len();
        let model = model(settings);
        replies.push(model.reply(&request, &|_| {}).await.expect("a reply"));
        *count = bodies(server).await.len() - before;
    }
    (replies, counts)
}

fn user(text: &str) -> ModelMessage {
    ModelMessage::User(vec![Content::text(text)])
}

fn thinking_call(id: &str, state: Option<Value>) -> ModelMessage {
    let call = MessageToolCall::new(id, "think", "{}");
    ModelMessage::Assistant(AssistantMessage {
        blocks: vec![Block::reasoning("hm"), Block::call(call).with_state(state)],
        made_by: None,
    })
}

fn result(id: &str) -> ModelMessage {
    ModelMessage::ToolResult {
        call_id: id.to_owned(),
        tool: "think".to_owned(),
        content: vec![Content::text("logged")],
    }
}

fn conversation() -> Vec<ModelMessage> {
    vec![
        user("a"),
        thinking_call("call_0", None),
        result("call_0"),
        user("b"),
    ]
}

#[tokio::test]
async fn what_a_provider_insists_on_is_added_once_and_remembered() {
    let rules: [(&str, u16, Rule); 6] =
        [
            ("reasoning on every reply", 400, |messages| {
                let lacks =
                    |it: &Value| it["role"] == "assistant" && it.get("reasoning_content").is_none();
                messages.iter().any(lacks).then_some(
                "Missing `reasoning_content` field in the assistant message at message index 1.",
            )
            }),
            ("content that is a text", 422, |messages| {
                let lacks = |it: &Value| !it["content"].is_string() && !it["content"].is_array();
                messages
                    .iter()
                    .any(lacks)
                    .then_some("messages.1.content: Field required")
            }),
            (
                "content that is there, and null",
                400,
                |messages| match messages[1].get("content") {
                    Some(Value::Null) => None,
                    Some(_) => Some("`content` must not be empty"),
                    None => Some("missing field `content`"),
                },
            ),
            ("a reply after a result", 400, |messages| {
                let roles: Vec<&str> = messages
                    .iter()
                    .filter_map(|it| it["role"].as_str())
                    .collect();
                roles
                    .windows(2)
                    .any(|pair| pair == ["tool", "user"])
                    .then_some("Unexpected role 'user' after role 'tool'")
            }),
            ("the same of a template that fails", 500, |messages| {
                let roles: Vec<&str> = messages
                    .iter()
                    .filter_map(|it| it["role"].as_str())
                    .collect();
                roles.windows(2).any(|pair| pair == ["tool", "user"]).then_some(
                "Jinja Exception: After the optional system message, conversation roles must \
                 alternate user/assistant/user/assistant/...",
            )
            }),
            ("ids of nine characters", 400, |messages| {
                let id = messages[1]["tool_calls"][0]["id"]
                    .as_str()
                    .unwrap_or_default();
                let same = messages[2]["tool_call_id"] == id;
                (id.len() != 9 || !same).then_some(
                    "Tool call id was call_0 but must be a-z, A-Z, 0-9, with a length of 9.",
                )
            }),
        ];
    for (name, status, rule) in rules {
        let server = strict(status, rule).await;
        let (_, [first, second]) = ask_twice(&server, &conversation()).await;
        assert!(first > 1, "{name}: it was refused at first");
        assert_eq!(second, 1, "{name}: it was remembered");
    }
}

#[tokio::test]
async fn thoughts_that_a_provider_refuses_are_not_sent_again() {
    let server = strict(400, |messages| {
        let has = |it: &Value| it.get("reasoning_content").is_some();
        messages
            .iter()
            .any(has)
            .then_some("property 'reasoning_content' is unsupported")
    })
    .await;
    let came = Some(json!({"field": "reasoning_content"}));
    let messages = [user("a"), thinking_call("call_0", came), result("call_0")];
    let (_, counts) = ask_twice(&server, &messages).await;
    assert_eq!(counts, [2, 1]);
}

#[tokio::test]
async fn a_signature_that_is_refused_is_left_out_and_one_that_is_missed_is_marked() {
    let state = |signature: &str| {
        Some(json!({"extra_content": {"google": {"thought_signature": signature}}}))
    };
    let server = strict(400, |messages| {
        let all = json!(messages).to_string();
        all.contains("\"stale\"")
            .then_some("Corrupted thought signature.")
    })
    .await;
    let messages = [
        user("a"),
        thinking_call("call_0", state("stale")),
        result("call_0"),
    ];
    let settings = own_settings(&server.uri());
    let (_, counts) = ask_twice_as(&settings, &server, &messages).await;
    assert_eq!(counts, [2, 1]);
    // Only what was refused is left out.
    let mut longer = messages.to_vec();
    longer.extend([thinking_call("call_1", state("fresh")), result("call_1")]);
    let (_, counts) = ask_twice_as(&settings, &server, &longer).await;
    assert_eq!(counts, [1, 1]);
    let sent = bodies(&server).await;
    let sent = json!(sent.last()).to_string();
    assert!(sent.contains("fresh") && !sent.contains("stale"), "{sent}");

    let server = strict(400, |messages| {
        messages[1]["tool_calls"][0]
            .get("extra_content")
            .is_none()
            .then_some("Function call is missing a thought_signature in functionCall parts.")
    })
    .await;
    let (_, counts) = ask_twice(&server, &conversation()).await;
    assert_eq!(counts, [2, 1]);
}

fn image(url: &str) -> ModelMessage {
    ModelMessage::User(vec![
        Content::text("see"),
        Content::Image {
            cache_prompt: false,
            image_urls: vec![url.to_owned()],
        },
    ])
}

#[tokio::test]
async fn an_image_that_is_refused_is_left_out_with_a_note_and_told_once() {
    let server = strict(400, |messages| {
        let all = json!(messages).to_string();
        all.contains("broken")
            .then_some("Unable to process input image")
    })
    .await;
    let messages = [
        image("https://h/good.png"),
        thinking_call("call_0", None),
        result("call_0"),
    ];
    let mut messages = messages.to_vec();
    messages.push(image("https://h/broken.png"));
    let (replies, counts) = ask_twice(&server, &messages).await;
    assert_eq!(counts, [2, 1]);
    let notices: Vec<usize> = replies.iter().map(|reply| reply.notices.len()).collect();
    assert_eq!(notices, [1, 0]);
    let notice = &replies[0].notices[0];
    assert_eq!(notice.code, "images_left_out");
    assert!(notice.detail.contains("Unable to process"), "{notice:?}");
    let sent = bodies(&server).await;
    let sent = json!(sent.last()).to_string();
    assert!(
        sent.contains("good.png") && sent.contains("was left out"),
        "{sent}"
    );
}

#[tokio::test]
async fn a_model_that_takes_no_images_is_sent_none() {
    for (status, reason) in [
        (404, "No endpoints found that support image input"),
        (400, "unknown variant `image_url`, expected `text`"),
        (
            500,
            "image input is not supported - hint: you may need to provide the mmproj",
        ),
    ] {
        let server = MockServer::start().await;
        Mock::given(method("POST"))
            .respond_with(move |request: &Request| -> ResponseTemplate {
                let body = String::from_utf8_lossy(&request.body);
                if body.contains("image_url") {
                    failure(status, reason)
                } else {
                    reply("hi")
                }
            })
            .mount(&server)
            .await;
        let messages = [image("https://h/1.png")];
        let (_, counts) = ask_twice(&server, &messages).await;
        assert_eq!(counts, [2, 1], "{reason}");
    }
}

#[tokio::test]
async fn a_refusal_that_nothing_can_be_done_about_is_told_at_once() {
    let server = strict(400, |_| Some("the moon is full")).await;
    let request = ModelRequest::of(conversation());
    let model = model(&own_settings(&server.uri()));
    let error = model.reply(&request, &|_| {}).await.expect_err("a failure");
    assert_eq!(error.code(), "LLMBadRequestError");
    assert_eq!(bodies(&server).await.len(), 1);

    let server = strict(400, |_| Some("content is required")).await;
    let model = super::model(&own_settings(&server.uri()));
    let error = model.reply(&request, &|_| {}).await.expect_err("a failure");
    assert_eq!(error.code(), "LLMBadRequestError");
    assert_eq!(bodies(&server).await.len(), 3, "each way is tried once");
}
