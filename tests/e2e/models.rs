//! Conversations with models of every wire format, on a model server that refuses what providers refuse.

mod caching;
mod scenarios;
mod talk;

use serde_json::{Value, json};
use test_support::{
    TestServer,
    model_server::{Format, ModelServer, Reply, Rules},
};

use scenarios::{Scenario, finish, images, reasoning, scenarios};
use talk::{NEXT_ANSWER, Talk};

fn model(rules: Rules) -> ModelServer {
    ModelServer::answering(|_| Reply::text(NEXT_ANSWER)).with_rules(rules)
}

fn llm(model: &ModelServer, format: Format, stream: bool) -> Value {
    let mut llm = json!(model.settings_in(format));
    llm["stream"] = json!(stream);
    llm
}

/// What newer models of each format refuse beside what all refuse.
fn strict_rules(format: Format) -> &'static [&'static str] {
    match format {
        Format::Chat => &[],
        Format::Responses => &[
            "responses.encrypted_reasoning_asked",
            "responses.no_sampling",
        ],
        Format::Messages => &[
            "messages.no_prefill",
            "messages.no_sampling",
            "messages.always_thinks",
            "messages.no_forced_tool",
            "messages.thoughts_of_this_prefix",
        ],
    }
}

fn strict(format: Format) -> Rules {
    let more = strict_rules(format).iter();
    more.fold(Rules::usual(), |rules, name| rules.and(name))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_reply_of_any_format_ends_a_conversation() {
    let server = TestServer::start().await;
    let mut talks = Vec::new();
    for format in Format::ALL {
        for stream in [false, true] {
            for scenario in scenarios() {
                let name = format!("{format:?}, stream: {stream}, {}", scenario.name);
                let model = model(strict(format));
                let llm = llm(&model, format, stream);
                talks.push(Talk::start(&server, name, model, llm, &scenario).await);
            }
        }
    }
    let server = server.restart().await;
    let mut failures = Vec::new();
    for talk in &mut talks {
        talk.fork(&server).await;
        failures.extend(talk.next_turn(&server).await.err());
    }
    assert_eq!(failures, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_continues_with_a_model_of_another_format() {
    let server = TestServer::start().await;
    let rules = Format::ALL.iter().flat_map(|format| strict_rules(*format));
    let model = model(rules.fold(Rules::usual(), |rules, name| rules.and(name)));
    let first = llm(&model, Format::Messages, false);
    let talk = Talk::start(&server, "switched".to_owned(), model, first, &reasoning()).await;
    let mut failures = Vec::new();
    for format in [
        Format::Responses,
        Format::Messages,
        Format::Chat,
        Format::Responses,
    ] {
        for (stream, name) in [(true, None), (false, Some("another"))] {
            let mut llm = llm(&talk.model, format, stream);
            if let Some(name) = name {
                llm["model"] = json!(format!("{}-{name}", llm["model"].as_str().unwrap()));
            }
            talk.switch(&server, &llm).await;
            for reply in (reasoning().replies)() {
                talk.model.push(reply);
            }
            talk.say(&server, "go on").await;
            failures.extend(talk.next_turn(&server).await.err());
        }
    }
    assert_eq!(failures, [""; 0]);
}

/// A turn, a restart, a fork and a second turn with a provider of Chat Completions that has this rule.
/// Of some rules, a model has to be told: so many refusals are no failure.
async fn chat_with(rule: &str, name: &str, tolerated: usize) {
    for stream in [false, true] {
        let server = TestServer::start().await;
        let model = model(Rules::usual().and(rule));
        let mut llm = llm(&model, Format::Chat, stream);
        llm["model"] = json!(name);
        let name = format!("{rule}, stream: {stream}");
        let mut talk = Talk::start(&server, name, model, llm, &reasoning()).await;
        talk.tolerated = tolerated;
        let server = server.restart().await;
        talk.fork(&server).await;
        talk.next_turn(&server).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mistral_gets_ids_of_nine_characters_for_calls_of_others() {
    after_another("chat.call_ids_of_nine", &reasoning()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mistral_gets_no_user_message_right_after_a_result() {
    after_another("chat.no_user_after_tool", &finish()).await;
}

/// A turn of another model's, and the next one with Mistral, which has this rule.
async fn after_another(rule: &str, first: &Scenario) {
    let server = TestServer::start().await;
    let model = model(Rules::usual().and(rule));
    let other = llm(&model, Format::Messages, false);
    let mut mistral = llm(&model, Format::Chat, false);
    mistral["model"] = json!("mistral/mistral-large-latest");
    let talk = Talk::start(&server, rule.to_owned(), model, other, first).await;
    talk.switch(&server, &mistral).await;
    talk.next_turn(&server).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn deepseek_gets_its_reasoning_back() {
    chat_with("chat.reasoning_back", "deepseek/deepseek-v4-pro", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deepseek_gets_reasoning_with_every_message() {
    chat_with("chat.reasoning_everywhere", "deepseek/deepseek-v4-pro", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gemini_gets_its_signatures_back() {
    chat_with("chat.thought_signatures", "gemini/gemini-3-pro-preview", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn openrouter_gets_its_details_back() {
    chat_with(
        "chat.reasoning_details",
        "openrouter/anthropic/claude-opus-5",
        0,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_takes_no_effort_beside_tools_is_asked_for_none() {
    chat_with("chat.no_effort_beside_tools", "openai/gpt-5.6", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn content_is_a_string_where_lists_are_refused() {
    chat_with("chat.plain_content", "deepseek/deepseek-v4-pro", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_have_content_beside_them_where_that_is_wanted() {
    chat_with("chat.content_beside_calls", "openai/fake", 1).await;
}

/// The refusal of an image is no end: the next message works.
#[tokio::test(flavor = "multi_thread")]
async fn a_model_without_eyes_answers_the_next_message() {
    let rules = [
        "chat.no_images",
        "responses.no_images",
        "messages.no_images",
    ];
    let server = TestServer::start().await;
    let mut failures = Vec::new();
    for (format, rule) in Format::ALL.into_iter().zip(rules) {
        let model = model(strict(format).and(rule));
        let llm = llm(&model, format, true);
        let mut talk = Talk::start(&server, rule.to_owned(), model, llm, &images()).await;
        talk.tolerated = 1;
        failures.extend(talk.next_turn(&server).await.err());
    }
    assert_eq!(failures, [""; 0]);
}
