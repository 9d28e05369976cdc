//! Tools of MCP servers, in whole conversations.

use std::time::Duration;

use serde_json::{Value, json};
use test_support::{
    TestServer,
    mcp_script::{McpScript, tool},
    model_server::{ModelServer, Reply},
};

async fn create(server: &TestServer, model: &ModelServer, config: Value) -> String {
    let body = json!({
        "agent": {"llm": model.llm_settings(), "mcp_config": config,
                  "tools": [{"name": "terminal"}]},
        "initial_message": "Do it.",
    });
    let (status, made) = server.post("/conversations", &body).await;
    assert_eq!(status, 201, "{made}");
    made["id"].as_str().unwrap().to_owned()
}

async fn say(server: &TestServer, id: &str, text: &str) {
    let body = json!({"role": "user", "content": [{"type": "text", "text": text}], "run": true});
    let (status, said) = server
        .post(&format!("/conversations/{id}/events"), &body)
        .await;
    assert_eq!(status, 200, "{said}");
}

/// The names of the tools that a model was offered with a request.
fn offered(request: &Value) -> Vec<&str> {
    let tools = request["tools"].as_array().unwrap();
    let name = |tool: &'_ Value| tool["function"]["name"].as_str().map(str::len);
    assert!(tools.iter().all(|tool| name(tool).is_some()));
    tools
        .iter()
        .filter_map(|tool| tool["function"]["name"].as_str())
        .collect()
}

fn observations(events: &[Value]) -> Vec<&Value> {
    let seen = events
        .iter()
        .filter(|event| event["kind"] == "ObservationEvent");
    seen.map(|event| &event["observation"]).collect()
}

fn last_told(events: &[Value]) -> &Value {
    let told = events
        .iter()
        .rev()
        .find(|event| event["key"] == "mcp_servers");
    &told.unwrap()["value"]
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let come = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let come = tokio::time::timeout(Duration::from_secs(30), come).await;
    assert!(come.is_ok(), "{what} did not come");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_is_called_and_its_server_ends_with_the_conversation() {
    let server = TestServer::start().await;
    let script = McpScript::new(&server.workspace().join("mcp"));
    script.offer(&json!([{
        "name": "add", "description": "Adds.", "annotations": {"readOnlyHint": true},
        "inputSchema": {"type": "object", "required": ["a"],
                        "properties": {"a": {"$ref": "#/$defs/N"}}, "$defs": {"N": {"type": "integer"}}},
    }, "no tool", {"name": "terminal", "inputSchema": 7}]));
    script.on_call(
        "add",
        r#"answer '{"content":[{"type":"text","text":"three"}]}'"#,
    );
    let model = ModelServer::start([Reply::call("add", json!({"a": 1})), Reply::finish("done")]);
    let id = create(
        &server,
        &model,
        json!({"mcpServers": {"calc": script.settings()}}),
    )
    .await;
    server.wait_for(&id, "finished").await;
    let events = server.events(&id).await;

    let system = events
        .iter()
        .find(|event| event["kind"] == "SystemPromptEvent")
        .unwrap();
    let tools = system["tools"].as_array().unwrap();
    let add = tools.iter().find(|tool| tool["title"] == "add").unwrap();
    let schema =
        json!({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]});
    let hints = json!({"readOnlyHint": true, "destructiveHint": false, "idempotentHint": false,
                       "openWorldHint": true});
    assert_eq!(
        add,
        &json!({
            "description": "Adds.", "action_type": "MCPToolAction",
            "observation_type": "MCPToolObservation", "annotations": hints,
            "kind": "MCPToolDefinition", "title": "add",
            "mcp_tool": {"name": "add", "description": "Adds.", "inputSchema": schema,
                         "annotations": hints},
        })
    );
    let action = events
        .iter()
        .find(|event| event["kind"] == "ActionEvent")
        .unwrap();
    assert_eq!(
        action["action"],
        json!({"data": {"a": 1}, "kind": "MCPToolAction"})
    );
    assert_eq!(
        observations(&events)[0],
        &json!({
            "content": [{"type": "text", "cache_prompt": false, "text": "three"}],
            "is_error": false, "tool_name": "add", "kind": "MCPToolObservation",
        })
    );
    assert_eq!(
        last_told(&events),
        &json!([{"name": "calc", "status": "connected", "tools": 2}])
    );
    // A tool of a server never stands in the place of a built-in one.
    let names = offered(&model.requests()[0]).join(" ");
    assert_eq!(names, "terminal finish think add calc_terminal");
    assert_eq!(model.violations(), [""; 0]);

    let (_, info) = server.get(&format!("/conversations/{id}")).await;
    assert_eq!(info["agent"]["mcp_config"]["calc"]["command"], "sh");
    let environment = script.read("environment");
    assert!(
        environment.contains("SERVER_TOKEN=hush-hush")
            && !environment.contains("CARGO_MANIFEST_DIR")
    );
    let log = server.folder(&id).join("mcp/calc.log");
    assert!(
        std::fs::read_to_string(log)
            .unwrap()
            .contains("it starts with an argument")
    );
    assert!(script.runs());
    server.delete(&format!("/conversations/{id}")).await;
    until("the server's end", || !script.runs()).await;
    assert!(!server.folder(&id).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_start_costs_nobody_the_others() {
    let server = TestServer::with(|settings| {
        settings.mcp_start_timeout_seconds = std::num::NonZeroU64::MIN;
    })
    .await;
    let good = McpScript::new(&server.workspace().join("good"));
    good.offer(&json!([tool("add", "Adds.")]));
    let ends = McpScript::new(&server.workspace().join("ends"));
    ends.on_start("echo \"cannot log in with $SERVER_TOKEN\" >&2; exit 3");
    let silent = McpScript::new(&server.workspace().join("silent"));
    silent.on_start("while :; do sleep 1; done");
    let config = json!({
        "ends": ends.settings(), "good": good.settings(), "silent": silent.settings(),
        "absent": {"command": "no-such-program-here"}, "far": {"url": "http://127.0.0.1:1/mcp"},
        "off": {"command": "no-such-program-here", "enabled": false},
    });
    let model = ModelServer::start([Reply::finish("one"), Reply::finish("two")]);
    let id = create(&server, &model, config).await;
    server.wait_for(&id, "finished").await;
    let events = server.events(&id).await;
    let told = last_told(&events);
    let status = |name: &str| {
        let servers = told.as_array().unwrap().iter();
        let mut found = servers.filter(|server| server["name"] == name);
        let one = found.next().unwrap();
        (
            one["status"].as_str().unwrap(),
            one["error"].as_str().unwrap_or(""),
        )
    };
    assert_eq!(told.as_array().unwrap().len(), 5);
    assert_eq!(status("good"), ("connected", ""));
    for (name, why) in [
        ("ends", "cannot log in with **********"),
        ("silent", "did not answer within 1 s"),
        ("absent", "cannot be started"),
        ("far", "error sending request"),
    ] {
        let (status, error) = status(name);
        assert_eq!(status, "failed");
        assert!(error.contains(why), "{name}: {error}");
    }
    assert!(!silent.runs());
    // The model is told, in a message of its own.
    let request = model.requests()[0].to_string();
    assert!(
        request.contains("The MCP server `ends` is not available"),
        "{request}"
    );
    assert!(offered(&model.requests()[0]).contains(&"good_add"));
    assert!(!json!(events).to_string().contains("hush-hush"));

    // It is tried again at the next turn.
    ends.on_start("");
    say(&server, &id, "again").await;
    until("the second run", || model.requests().len() == 2).await;
    server.wait_for(&id, "finished").await;
    let request = model.requests()[1].to_string();
    assert!(
        request.contains("The MCP server `ends` is available again"),
        "{request}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_is_started_again_and_a_changed_list_is_taken_up() {
    let server = TestServer::start().await;
    let script = McpScript::new(&server.workspace().join("mcp"));
    script.offer(&json!([tool("die", "Ends."), tool("grow", "Adds a tool.")]));
    script.on_call("die", "exit 1");
    let page = json!({"tools": [tool("new", "Is new.")]});
    script.write("more.json", &page.to_string());
    script.on_call(
        "grow",
        r#"cp more.json tools.json; notify notifications/tools/list_changed; sleep 0.2; answer '{"content":[]}'"#,
    );
    script.on_call(
        "new",
        r#"answer '{"isError":true,"content":[{"type":"text","text":"no"}]}'"#,
    );
    let model = ModelServer::start([
        Reply::call("die", json!({})),
        Reply::call("grow", json!({})),
        Reply::call("new", json!({})),
        Reply::finish("done"),
    ]);
    let id = create(&server, &model, json!({"s": script.settings()})).await;
    server.wait_for(&id, "finished").await;
    let events = server.events(&id).await;
    let seen = observations(&events);
    assert_eq!(seen[0]["is_error"], true);
    assert!(
        seen[0]["content"][0]["text"]
            .as_str()
            .unwrap()
            .contains("ended during the call")
    );
    assert_eq!(seen[1]["content"][0]["text"], "[The tool gave no output.]");
    assert_eq!(
        (&seen[2]["is_error"], &seen[2]["content"][0]["text"]),
        (&json!(true), &json!("no"))
    );
    assert_eq!(
        offered(&model.requests()[2]),
        ["terminal", "finish", "think", "new"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_tools_are_found_by_a_search_and_stay_found() {
    let server = TestServer::start().await;
    let script = McpScript::new(&server.workspace().join("mcp"));
    let tools: Vec<Value> = (0..60)
        .map(|n| tool(&format!("tool_{n}"), &format!("Does thing number {n}.")))
        .collect();
    script.offer(&json!(tools));
    script.on_call(
        "tool_42",
        r#"answer '{"content":[{"type":"text","text":"42 done"}]}'"#,
    );
    let model = ModelServer::start([
        Reply::call("search_tools", json!({"query": "tool_42", "limit": 1})),
        Reply::call("tool_42", json!({"a": 1})),
        Reply::finish("done"),
    ]);
    let id = create(&server, &model, json!({"s": script.settings()})).await;
    server.wait_for(&id, "finished").await;
    let requests = model.requests();
    let before = offered(&requests[0]);
    assert_eq!(before, ["terminal", "finish", "think", "search_tools"]);
    let listed = requests[0]["tools"].to_string();
    assert!(
        listed.contains("`tool_59`: Does thing number 59."),
        "{listed}"
    );
    assert_eq!(offered(&requests[1]), [&before[..], &["tool_42"]].concat());
    let events = server.events(&id).await;
    assert_eq!(observations(&events)[1]["content"][0]["text"], "42 done");

    let server = server.restart().await;
    assert!(!script.runs());
    model.push(Reply::finish("again"));
    say(&server, &id, "again").await;
    until("the run after the restart", || model.requests().len() == 4).await;
    server.wait_for(&id, "finished").await;
    assert_eq!(model.requests()[3]["tools"], requests[1]["tools"]);
    assert_eq!(model.violations(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_cancels_the_call_at_the_server() {
    let server = TestServer::start().await;
    let script = McpScript::new(&server.workspace().join("mcp"));
    script.offer(&json!([tool("wait", "Waits.")]));
    script.on_call("wait", ":");
    let model = ModelServer::start([Reply::call("wait", json!({}))]);
    let id = create(&server, &model, json!({"s": script.settings()})).await;
    until("the call", || {
        script.read("received").contains("tools/call")
    })
    .await;
    server
        .post(&format!("/conversations/{id}/interrupt"), &json!({}))
        .await;
    server.wait_for(&id, "paused").await;
    until("the cancellation", || {
        script.read("received").contains("notifications/cancelled")
    })
    .await;
    assert!(script.runs());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_work_is_refused_at_creation() {
    let server = TestServer::start().await;
    for (agent, at) in [
        (
            json!({"mcp_config": {"s": {"command": "x", "alwaysAllow": []}}}),
            "alwaysAllow",
        ),
        (
            json!({"mcp_config": {"mcpServers": {"s": {"url": "ftp://h"}}}}),
            "url",
        ),
        (
            json!({"mcp_config": {"s": {"url": "http://h", "transport": "sse"}}}),
            "transport",
        ),
        (
            json!({"mcp_config": {"s": {"url": "http://h", "auth": "oauth"}}}),
            "auth",
        ),
        (json!({"filter_tools_regex": "("}), "filter_tools_regex"),
    ] {
        let mut agent = agent;
        agent["llm"] = json!({"model": "scripted"});
        let (status, refused) = server
            .post("/conversations", &json!({"agent": agent}))
            .await;
        assert_eq!(status, 422, "{refused}");
        assert!(refused.to_string().contains(at), "{refused}");
    }
}
