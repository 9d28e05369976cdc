//! That each step's prompt begins with the one before, so that providers read it from their cache.

use serde_json::{Value, json};
use test_support::{
    TestServer,
    model_server::{Format, ModelServer, Part, Reply},
};

use super::{llm, model, strict};

const STEPS: usize = 50;
const STEPS_AFTER_RESTART: usize = 5;
/// What OpenAI's cache may leave out at the end of a prompt.
const BLOCK_TOKENS: u64 = 128;

/// One call's tokens, as `stats` has them.
#[derive(Debug)]
struct CallTokens {
    prompt: u64,
    cache_read: u64,
}

/// Of all kinds: one call, calls beside each other with words, thoughts, and calls that fail.
fn step(number: usize) -> Reply {
    let think = |text: String| Part::call("think", json!({"thought": text}));
    let command = json!({"command": format!("echo {number}")});
    match number % 5 {
        0 => Reply::Parts(vec![Part::call("terminal", command)]),
        1 => Reply::Parts(vec![
            Part::Text(format!("Two at once, step {number}.")),
            think(format!("first of {number}")),
            think(format!("second of {number}")),
        ]),
        2 => Reply::Parts(vec![
            Part::Reasoning(format!("hm, {number}")),
            think(format!("a thought of step {number}")),
        ]),
        3 => Reply::Parts(vec![
            Part::call("no_such_tool", json!({"number": number})),
            think("beside a wrong one".to_owned()),
        ]),
        _ => Reply::Parts(vec![
            Part::HiddenReasoning,
            Part::call("think", json!("{not json")),
        ]),
    }
}

/// Has the model take so many steps, which end with words, and waits for that.
async fn run(server: &TestServer, model: &ModelServer, id: &str, steps: usize) {
    (0..steps).map(step).for_each(|reply| model.push(reply));
    model.push(Reply::text("done"));
    let path = format!("/conversations/{id}/events");
    let message = json!({"content": [{"type": "text", "text": "go on"}], "run": true});
    let (status, answer) = server.post(&path, &message).await;
    assert_eq!(status, 200, "{answer}");
    while model.waits() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    server.wait_for(id, "finished").await;
}

async fn new_conversation(server: &TestServer, llm: &Value) -> String {
    let body = json!({
        "agent": {"llm": llm, "tools": [{"name": "terminal"}]},
        "stuck_detection": false,
    });
    let (status, made) = server.post("/conversations", &body).await;
    assert_eq!(status, 201, "{made}");
    made["id"].as_str().unwrap().to_owned()
}

async fn calls(server: &TestServer, id: &str) -> Vec<CallTokens> {
    let (_, info) = server.get(&format!("/conversations/{id}")).await;
    let metrics = &info["stats"]["usage_to_metrics"]["default"];
    let calls = metrics["token_usages"].as_array().unwrap().iter();
    let calls: Vec<CallTokens> = calls
        .map(|call| CallTokens {
            prompt: call["prompt_tokens"].as_u64().unwrap(),
            cache_read: call["cache_read_tokens"].as_u64().unwrap(),
        })
        .collect();
    let total = metrics["accumulated_token_usage"]["cache_read_tokens"].as_u64();
    let read: u64 = calls.iter().map(|call| call.cache_read).sum();
    assert_eq!(total, Some(read));
    calls
}

/// The calls that did not read from the cache what the call before had sent.
fn breaks(format: Format, calls: &[CallTokens]) -> Vec<usize> {
    let left_out = match format {
        // The end of each prompt is marked.
        Format::Messages => 0,
        Format::Chat | Format::Responses => BLOCK_TOKENS,
    };
    let pairs = calls.windows(2).enumerate();
    let broken = pairs.filter(|(_, pair)| pair[1].cache_read + left_out < pair[0].prompt);
    broken.map(|(at, _)| at + 1).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_fifty_steps_reads_the_step_before_from_the_cache() {
    for format in Format::ALL {
        let server = TestServer::start().await;
        let model = model(strict(format));
        let llm = llm(&model, format, true);
        let id = new_conversation(&server, &llm).await;
        run(&server, &model, &id, STEPS).await;
        let server = server.restart().await;
        run(&server, &model, &id, STEPS_AFTER_RESTART).await;
        let calls = calls(&server, &id).await;
        assert_eq!(calls.len(), STEPS + 1 + STEPS_AFTER_RESTART + 1);
        assert_eq!(calls[0].cache_read, 0);
        assert_eq!(breaks(format, &calls), [0; 0], "{format:?}: {calls:?}");
        assert_eq!(model.violations(), [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_summary_breaks_the_cached_prefix_once() {
    for format in Format::ALL {
        let server = TestServer::start().await;
        let model = model(strict(format));
        let llm = llm(&model, format, false);
        let id = new_conversation(&server, &llm).await;
        run(&server, &model, &id, 10).await;
        model.push(Reply::text("what happened so far"));
        let path = format!("/conversations/{id}/condense");
        let (status, answer) = server.post(&path, &json!({})).await;
        assert_eq!(status, 200, "{answer}");
        run(&server, &model, &id, 10).await;
        let calls = calls(&server, &id).await;
        assert_eq!(breaks(format, &calls), [11], "{format:?}: {calls:?}");
        let system_and_tools = calls[11].cache_read;
        assert!(system_and_tools > 0, "{format:?}: {calls:?}");
        assert_eq!(model.violations(), [""; 0]);
    }
}
