use core_model::Content;
use serde_json::json;

use super::*;
use crate::validation;

const LIMIT: usize = 1 << 20;

fn start(body: Value, dialect: Dialect) -> Result<NewConversation, Failure> {
    let body: StartConversation = validation::typed(&body, &["body"])?;
    body.into_new(dialect, LIMIT)
}

fn readme(body: Value) -> NewConversation {
    start(body, Dialect::Readme).unwrap()
}

fn refused(body: Value) -> Value {
    let Failure::Invalid(problems) = start(body, Dialect::Readme).unwrap_err() else {
        panic!("refused otherwise");
    };
    json!(problems)
}

#[test]
fn the_readme_dialect_asks_for_nothing() {
    let new = readme(json!({}));
    assert!(new.agent.is_none() && new.workspace.is_none() && new.initial_message.is_none());
    assert_eq!(
        (
            new.settings.max_iterations,
            new.settings.stuck_detection,
            new.settings.autotitle
        ),
        (500, true, true)
    );
}

#[test]
fn the_openhands_dialect_asks_for_a_workspace_and_an_agent() {
    let Failure::Invalid(problems) = start(json!({}), Dialect::OpenHands).unwrap_err() else {
        panic!("refused otherwise");
    };
    let problems = json!(problems);
    assert_eq!(
        problems[0],
        json!({
            "type": "missing", "loc": ["body", "workspace"], "msg": "Field required"
        })
    );
    assert_eq!(problems[1]["type"], "value_error");
}

#[test]
fn a_body_as_the_public_sdk_sends_it_is_taken_whole() {
    let new = start(
        json!({
            "agent": {
                "llm": {"model": "openai/fake", "api_key": "k", "base_url": "http://x/v1",
                        "num_retries": 0, "temperature": 0.5, "timeout": 300, "retry_multiplier": 8,
                        "stream_idle_timeout": 300, "some_future_key": true, "top_k": null},
                "tools": [{"name": "terminal", "params": {}}, {"name": "file_editor"}],
                "mcp_config": {}, "include_default_tools": ["FinishTool", "ThinkTool"],
                "agent_context": null, "condenser": null, "kind": "Agent"
            },
            "initial_message": null,
            "max_iterations": 7,
            "stuck_detection": true,
            "stuck_detection_thresholds": {"action_observation": 4},
            "workspace": {"working_dir": "/w", "kind": "LocalWorkspace", "read_timeout": 600},
            "hook_config": null,
            "plugins": null,
            "secrets": {},
            "tags": {"n": "0"},
            "confirmation_policy": {"kind": "ConfirmRisky", "threshold": "HIGH",
                                    "confirm_unknown": true},
            "security_analyzer": {"kind": "LLMSecurityAnalyzer"},
            "tool_module_qualnames": {"terminal": "my.module"},
            "user_id": null
        }),
        Dialect::OpenHands,
    )
    .unwrap();
    let agent = new.agent.unwrap();
    assert_eq!(agent.llm.model, "openai/fake");
    assert_eq!(agent.tools.len(), 2);
    assert_eq!(new.settings.max_iterations, 7);
    assert_eq!(new.settings.tool_module_qualnames["terminal"], "my.module");
    assert_eq!(
        new.settings.security_analyzer,
        Some(json!({"kind": "LLMSecurityAnalyzer"}))
    );
}

#[test]
fn the_typescript_clients_workspace_is_taken() {
    let new = readme(json!({"workspace": {"type": "local", "working_dir": "w"}}));
    assert_eq!(
        new.workspace.map(|workspace| workspace.working_dir),
        Some("w".to_owned())
    );
}

#[test]
fn agent_settings_bring_the_usual_tools() {
    let new = readme(json!({"agent_settings": {"llm": {"model": "m"}, "tools": null}}));
    let names: Vec<String> = new
        .agent
        .unwrap()
        .tools
        .into_iter()
        .map(|tool| tool.name)
        .collect();
    assert_eq!(names, ["terminal", "file_editor", "task_tracker"]);
    let new = readme(json!({"agent_settings": {"llm": {}, "tools": [{"name": "terminal"}]}}));
    assert_eq!(new.agent.unwrap().tools.len(), 1);
}

#[test]
fn an_initial_message_is_a_text_or_a_message() {
    for message in [
        json!("hi"),
        json!({"content": "hi"}),
        json!({"role": "user", "content": [{"type": "text", "text": "hi"}], "run": false}),
    ] {
        let new = readme(json!({"initial_message": message}));
        assert_eq!(new.initial_message, Some(vec![Content::text("hi")]));
    }
    let problems = refused(json!({"initial_message": {"content": [{"type": "x"}]}}));
    assert_eq!(
        problems[0]["loc"],
        json!(["body", "initial_message", "content", 0, "type"])
    );
}

#[test]
fn secrets_are_brought_into_one_form() {
    let new = readme(json!({"secrets": {
        "A": "a",
        "B": {"value": "b"},
        "C": {"kind": "StaticSecret", "value": "c", "description": "d"},
        "D": {"kind": "LookupSecret", "url": "http://x", "headers": {}}
    }}));
    assert_eq!(
        Value::Object(new.settings.secrets),
        json!({
            "A": {"kind": "StaticSecret", "description": null, "value": "a"},
            "B": {"kind": "StaticSecret", "description": null, "value": "b"},
            "C": {"kind": "StaticSecret", "description": "d", "value": "c"},
            "D": {"kind": "LookupSecret", "url": "http://x", "headers": {}}
        })
    );
}

#[test]
fn what_is_wrong_is_said_and_located() {
    for (body, loc, kind) in [
        (
            json!({"max_iterations": 0}),
            json!(["body", "max_iterations"]),
            "greater_than_equal",
        ),
        (
            json!({"max_iterations": "x"}),
            json!(["body", "max_iterations"]),
            "int_type",
        ),
        (
            json!({"tags": {"Bad": "x"}}),
            json!(["body", "tags"]),
            "value_error",
        ),
        (
            json!({"tags": {"ok": "x".repeat(257)}}),
            json!(["body", "tags"]),
            "value_error",
        ),
        (
            json!({"conversation_id": "x"}),
            json!(["body", "conversation_id"]),
            "uuid_parsing",
        ),
        (
            json!({"workspace": {"kind": "RemoteWorkspace", "working_dir": "/x", "host": "h"}}),
            json!(["body", "workspace", "kind"]),
            "enum",
        ),
        (
            json!({"workspace": {}}),
            json!(["body", "workspace", "working_dir"]),
            "missing",
        ),
        (
            json!({"agent": {"kind": "Nope"}}),
            json!(["body", "agent", "kind"]),
            "enum",
        ),
        (
            json!({"agent": {"tools": []}}),
            json!(["body", "agent", "llm"]),
            "missing",
        ),
        (
            json!({"agent": {"llm": {"num_retries": "sk-secret"}}}),
            json!(["body", "agent", "llm", "num_retries"]),
            "int_type",
        ),
        (
            json!({"secrets": {"A": 1}}),
            json!(["body", "secrets", "A"]),
            "value_error",
        ),
        (
            json!({"secrets": {"A": {"kind": "sk-secret"}}}),
            json!(["body", "secrets", "A", "kind"]),
            "enum",
        ),
        (
            json!({"security_analyzer": {"kind": "Nope"}}),
            json!(["body", "security_analyzer", "kind"]),
            "value_error",
        ),
        (
            json!({"confirmation_policy": {"kind": "Nope"}}),
            json!(["body", "confirmation_policy"]),
            "enum",
        ),
    ] {
        let problems = refused(body.clone());
        assert_eq!(problems[0]["type"], kind, "{body}: {problems}");
        let found = problems[0]["loc"].as_array().unwrap();
        let expected = loc.as_array().unwrap();
        assert!(found.starts_with(expected), "{body}: {problems}");
        assert!(!problems.to_string().contains("sk-secret"), "{problems}");
    }
}

#[test]
fn a_policy_comes_plain_or_wrapped() {
    for policy in [
        json!({"kind": "AlwaysConfirm"}),
        json!({"policy": {"kind": "AlwaysConfirm"}}),
    ] {
        let new = readme(json!({"confirmation_policy": policy}));
        assert_eq!(
            new.settings.confirmation_policy,
            ConfirmationPolicy::AlwaysConfirm {}
        );
    }
}

#[test]
fn a_profile_is_looked_for_and_excludes_other_agents() {
    let id = "00000000-0000-0000-0000-000000000003";
    let alone = start(json!({"agent_profile_id": id}), Dialect::Readme);
    assert!(matches!(alone, Err(Failure::ProfileNotFound(found)) if found.to_string() == id));
    let problems = refused(json!({"agent_profile_id": id, "agent": {"llm": {}}}));
    assert_eq!(
        problems[0]["msg"],
        "Value error, `agent_profile_id` is mutually exclusive with `agent`"
    );
}

#[test]
fn what_is_not_here_is_refused_rather_than_ignored() {
    for body in [
        json!({"secrets_encrypted": true}),
        json!({"worktree": true}),
        json!({"conversation_runtime": "docker"}),
    ] {
        assert!(matches!(
            start(body, Dialect::Readme),
            Err(Failure::Unprocessable(_))
        ));
    }
    readme(json!({"secrets_encrypted": false, "worktree": false, "conversation_runtime": "local"}));
}

#[test]
fn tags_are_few_and_short() {
    let many = |count: usize| -> Map<String, Value> {
        (0..count).map(|n| (format!("t{n}"), json!("v"))).collect()
    };
    assert_eq!(readme(json!({"tags": many(64)})).settings.tags.len(), 64);
    let longest = "k".repeat(64);
    readme(json!({"tags": {longest: "é".repeat(256)}}));
    for tags in [
        json!(many(65)),
        json!({"k".repeat(65): "v"}),
        json!({"k": "v".repeat(257)}),
    ] {
        let problems = refused(json!({ "tags": tags }));
        assert_eq!(problems.as_array().unwrap().len(), 1);
        assert_eq!(problems[0]["loc"], json!(["body", "tags"]));
        assert!(problems.to_string().len() < 400, "{problems}");
    }
}

#[test]
fn what_is_kept_with_a_conversation_is_limited_in_all_its_parts() {
    let long = "x".repeat(LIMIT);
    for (field, value) in [
        ("agent", json!({"llm": {"model": long}})),
        (
            "agent",
            json!({"llm": {}, "agent_context": {"system_message_suffix": long}}),
        ),
        (
            "agent",
            json!({"llm": {}, "mcp_config": {"mcpServers": {"s": {"command": long}}}}),
        ),
        ("workspace", json!({"working_dir": long})),
        ("hook_config", json!({"a": [long]})),
        ("secrets", json!({"A": long})),
        (
            "secrets",
            json!({"A": {"kind": "LookupSecret", "url": "http://x", "more": long}}),
        ),
        ("secrets", json!({ long.clone(): "a" })),
        ("client_tools", json!([{"name": long}])),
        ("tool_module_qualnames", json!({"terminal": long})),
        (
            "security_analyzer",
            json!({"kind": "LLMSecurityAnalyzer", "more": long}),
        ),
        ("user_id", json!(long)),
    ] {
        let problems = refused(json!({ field: value }));
        assert_eq!(problems[0]["type"], "metadata_too_large", "{field}");
        assert_eq!(problems[0]["loc"], json!(["body", field]));
        assert!(problems.to_string().len() < 500, "{field}");
    }
    readme(json!({"initial_message": long, "hook_config": "x".repeat(LIMIT / 2)}));
    let half = "x".repeat(LIMIT / 2);
    let both = refused(json!({"hook_config": half, "user_id": half}));
    assert_eq!(both[0]["type"], "metadata_too_large");
}

#[test]
fn a_first_message_says_something() {
    for (message, loc) in [
        (json!(""), json!(["body", "initial_message"])),
        (json!(" "), json!(["body", "initial_message"])),
        (json!({}), json!(["body", "initial_message", "content"])),
        (
            json!({"role": "user", "content": []}),
            json!(["body", "initial_message", "content"]),
        ),
        (
            json!({"content": [{"type": "image", "image_urls": []}]}),
            json!(["body", "initial_message", "content", 0, "image_urls"]),
        ),
    ] {
        let problems = refused(json!({"initial_message": message}));
        assert_eq!(problems[0]["loc"], loc, "{message}");
    }
    assert_eq!(
        readme(json!({"initial_message": null})).initial_message,
        None
    );
}
