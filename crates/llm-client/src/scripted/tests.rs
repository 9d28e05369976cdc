use std::sync::Mutex;

use core_model::{Content, LlmSettings};
use serde_json::{Value, json};

use super::*;
use crate::ToolSpec;

fn model(stream: bool) -> Scripted {
    Scripted::new(&LlmSettings {
        model: "scripted".to_owned(),
        stream,
        ..LlmSettings::default()
    })
}

fn tools(names: &[&str]) -> Vec<ToolSpec> {
    let spec = |name: &&str| ToolSpec {
        name: (*name).to_owned(),
        description: "d".to_owned(),
        parameters: json!({"type": "object"}),
    };
    names.iter().map(spec).collect()
}

fn asking(text: &str) -> ModelRequest {
    ModelRequest {
        messages: vec![
            ModelMessage::System(vec![Content::text("be good")]),
            ModelMessage::User(vec![Content::text(text)]),
        ],
        tools: tools(&["terminal", "finish"]),
        cache_key: None,
    }
}

/// Says every reply's text and calls until a reply has no call or calls `finish`.
async fn play(mut request: ModelRequest, result: &str) -> Vec<Value> {
    let mut heard = Vec::new();
    loop {
        let reply = model(false)
            .reply(&request, &|_| {})
            .await
            .expect("a reply");
        let calls: Vec<Value> = reply
            .calls()
            .map(|call| json!([call.name, call.arguments]))
            .collect();
        heard.push(json!({"text": reply.text(), "calls": calls}));
        if reply.calls().all(|call| call.name == "finish") {
            return heard;
        }
        let results: Vec<ModelMessage> = reply
            .calls()
            .map(|call| ModelMessage::ToolResult {
                call_id: call.id.clone(),
                tool: call.name.clone(),
                content: vec![Content::text(result)],
            })
            .collect();
        request.messages.push(reply.into());
        request.messages.extend(results);
    }
}

#[tokio::test]
async fn command_lines_run_one_a_step_and_then_it_finishes() {
    let heard = play(
        asking("please\n$ echo 1\n$ ls -l  \nthanks"),
        "1\n[The command completed with exit code 0.]\n[Command finished with exit code 0]",
    );
    let summary = "Ran 2 scripted steps; the last call, of terminal, ended with exit code 0: 1.";
    assert_eq!(
        heard.await,
        [
            json!({"text": "", "calls": [["terminal", r#"{"command":"echo 1"}"#]]}),
            json!({"text": "", "calls": [["terminal", r#"{"command":"ls -l"}"#]]}),
            json!({"text": "", "calls": [["finish", json!({"message": summary}).to_string()]]}),
        ]
    );
}

#[tokio::test]
async fn lists_give_any_calls_and_mix_with_command_lines() {
    let script = r#"$ a
```json
[{"tools": [{"tool": "x", "args": {"n": 1}}, {"tool": "y", "arguments": "{oops"}], "thought": "hm"},
 {"say": "bye"}]
```
$ never"#;
    assert_eq!(
        play(asking(script), "ok").await,
        [
            json!({"text": "", "calls": [["terminal", r#"{"command":"a"}"#]]}),
            json!({"text": "hm", "calls": [["x", r#"{"n":1}"#], ["y", "{oops"]]}),
            json!({"text": "bye", "calls": []}),
        ]
    );
}

#[tokio::test]
async fn a_failed_call_shows_in_the_summary() {
    let mut request = asking("$ cat x");
    request.tools = tools(&["terminal"]);
    let result = "[An error occurred during execution.]\nno such file";
    let heard = play(request, result).await;
    let summary =
        "Ran 1 scripted step; the last call, of terminal, reported an error: no such file.";
    assert_eq!(heard[1], json!({"text": summary, "calls": []}));
}

#[tokio::test]
async fn a_message_without_steps_is_answered_with_help() {
    let reply = model(false)
        .reply(&asking("hello"), &|_| {})
        .await
        .expect("help");
    for word in [
        "LLM_MODEL",
        "LLM_API_KEY",
        "LLM_BASE_URL",
        "agent.llm",
        "$ echo",
    ] {
        assert!(reply.text().contains(word), "{word} is missing");
    }
    assert_eq!(reply.calls().count(), 0);
}

#[tokio::test]
async fn a_script_that_cannot_be_read_says_where() {
    let say = async |list: &str| {
        let request = asking(&format!("```json\n{list}\n```"));
        model(false)
            .reply(&request, &|_| {})
            .await
            .expect("a reply")
            .text()
    };
    let told = [
        (r#"[{"say": "a"}, {"do": 1}]"#, "element 2"),
        (r#"[{"say": "a", "tool": "b"}]"#, "exactly one of"),
        (r#"[{"error": 200}]"#, "HTTP status"),
        (r#"[{"tools": []}]"#, "not a list of calls"),
        (r#"[{"say": "a", "delay_ms": -1}]"#, "milliseconds"),
        ("[", "not a JSON list"),
    ];
    for (list, reason) in told {
        let text = say(list).await;
        assert!(text.contains(reason), "{list}: {text}");
    }
}

#[tokio::test]
async fn a_failure_is_one_a_provider_would_give() {
    let request = asking("```json\n[{\"error\": 429, \"message\": \"slow\"}]\n```");
    let failed = model(false).reply(&request, &|_| {}).await;
    assert_eq!(failed, Err(ModelError::from_status(429, "slow", None)));
}

#[tokio::test]
async fn without_tools_no_call_is_made() {
    let mut request = asking("$ ls");
    request.tools.clear();
    let reply = model(false)
        .reply(&request, &|_| {})
        .await
        .expect("a reply");
    assert_eq!((reply.calls().count(), reply.text().is_empty()), (0, false));
}

#[tokio::test(start_paused = true)]
async fn a_delayed_step_waits() {
    let request = asking("```json\n[{\"say\": \"late\", \"delay_ms\": 5000}]\n```");
    let start = tokio::time::Instant::now();
    let reply = model(false)
        .reply(&request, &|_| {})
        .await
        .expect("a reply");
    assert_eq!(
        (reply.text().as_str(), start.elapsed().as_secs()),
        ("late", 5)
    );
}

#[tokio::test]
async fn streamed_pieces_make_up_the_reply() {
    let said = "Grüße aus der Werkstatt, in kleinen Stücken";
    let request = asking(&format!(
        "```json\n[{{\"say\": \"{said}\", \"reasoning\": \"r\"}}]\n```"
    ));
    let heard = Mutex::new(Vec::new());
    let hear = |delta| heard.lock().unwrap().push(delta);
    let reply = model(true).reply(&request, &hear).await.expect("a reply");
    let mut heard = heard.into_inner().unwrap();
    assert_eq!(heard.remove(0), Delta::Reasoning("r".to_owned()));
    let texts = heard.iter().map(|delta| match delta {
        Delta::Text(piece) => piece.as_str(),
        Delta::Reasoning(_) | Delta::Discarded => panic!("more than text"),
    });
    assert_eq!(texts.collect::<String>(), said);
    assert!(heard.len() > 1);
    assert_eq!((reply.text().as_str(), reply.cost), (said, Some(0.0)));
    assert!(reply.usage.prompt_tokens > 0 && reply.usage.completion_tokens > 0);
}

/// Messages with no reply between them reach a model as one message of several parts.
#[tokio::test]
async fn a_failure_is_not_repeated_for_the_message_after_it() {
    let failing = "```json\n[{\"error\": 500}]\n```";
    let said = async |parts: &[&str]| {
        let mut request = asking("");
        let parts = parts.iter().map(|part| Content::text(*part)).collect();
        request.messages[1] = ModelMessage::User(parts);
        let reply = model(false).reply(&request, &|_| {}).await?;
        let calls = reply.calls().map(|call| call.arguments.clone());
        Ok::<_, ModelError>((reply.text(), calls.collect()))
    };
    let call = |command: &str| (String::new(), vec![format!(r#"{{"command":"{command}"}}"#)]);
    said(&[failing]).await.unwrap_err();
    assert_eq!(said(&[failing, "$ b"]).await, Ok(call("b")));
    assert_eq!(said(&[failing, failing, "$ b"]).await, Ok(call("b")));
    assert_eq!(
        said(&[failing, "hello"]).await,
        Ok((HELP.to_owned(), vec![]))
    );
    // what was asked for meanwhile comes after what was asked for first
    assert_eq!(said(&["$ a", "$ b"]).await, Ok(call("a")));
}

#[tokio::test]
async fn a_goal_is_reached_unless_the_last_command_failed() {
    let verdict = async |record: &str| {
        let request = ModelRequest {
            messages: vec![
                ModelMessage::System(vec![Content::text(format!(
                    "judge\n\n{}",
                    crate::VERDICT_FORM
                ))]),
                ModelMessage::User(vec![Content::text(record)]),
            ],
            ..ModelRequest::default()
        };
        let reply = model(false).reply(&request, &|_| {}).await;
        serde_json::from_str::<Value>(&reply.expect("a reply").text()).expect("a verdict")
    };
    let passed =
        "$ false\n[Command finished with exit code 1]\n[Command finished with exit code 0]";
    let reached = json!({"score": 1.0, "complete": true, "missing": ""});
    assert_eq!(verdict(passed).await, reached);
    assert_eq!(verdict("nothing was run").await, reached);
    let failed = verdict("[Command finished with exit code 7]").await;
    assert_eq!(
        failed,
        json!({"score": 0.0, "complete": false, "missing": "The last command ended with exit code 7."})
    );
}
