use serde_json::json;

use super::*;

fn read(config: Value) -> Result<Vec<McpServer>, String> {
    let Value::Object(config) = config else {
        panic!("an object");
    };
    servers(&config).map_err(|error| error.to_string())
}

#[test]
fn both_forms_and_all_kinds_of_servers_are_read() {
    let inner = json!({
        "files": {"command": "npx", "args": ["-y", "x"], "env": {"TOKEN": "t"}, "cwd": "sub",
                  "type": "stdio", "timeout": 1500},
        "web": {"url": "https://h.example/mcp", "transport": "shttp", "headers": {"X-A": "1"},
                "auth": {"strategy": "bearer", "value": "t"}},
        "old": {"url": "https://h.example/mcp", "auth": "t"},
        "basic": {"url": "http://h/mcp", "auth": {"strategy": "basic", "username": "a", "password": "b"}},
        "key": {"url": "http://h/mcp", "auth": {"strategy": "api_key", "value": "k", "header_name": "X-Key"}},
        "off": {"command": "x", "enabled": false},
    });
    let found = read(inner.clone()).unwrap();
    assert_eq!(found, read(json!({"mcpServers": inner})).unwrap());
    let names: Vec<&str> = found.iter().map(|server| server.name.as_str()).collect();
    assert_eq!(names, ["files", "web", "old", "basic", "key"]);
    assert_eq!(
        found[0],
        McpServer {
            name: "files".to_owned(),
            transport: McpTransport::Stdio {
                command: "npx".to_owned(),
                args: vec!["-y".to_owned(), "x".to_owned()],
                env: BTreeMap::from([("TOKEN".to_owned(), "t".to_owned())]),
                cwd: Some("sub".to_owned()),
            },
            timeout: Some(Duration::from_millis(1500)),
        }
    );
    let header = |at: usize, name: &str| match &found[at].transport {
        McpTransport::Http { headers, .. } => headers.get(name).cloned(),
        McpTransport::Stdio { .. } => None,
    };
    assert_eq!(header(1, "Authorization").unwrap(), "Bearer t");
    assert_eq!(header(1, "X-A").unwrap(), "1");
    assert_eq!(header(2, "Authorization").unwrap(), "Bearer t");
    assert_eq!(header(3, "Authorization").unwrap(), "Basic YTpi");
    assert_eq!(header(4, "X-Key").unwrap(), "k");
}

#[test]
fn what_cannot_work_is_refused_and_no_value_is_quoted() {
    for (server, at) in [
        (json!(1), "s: "),
        (json!({}), "s.command: "),
        (json!({"command": "x", "url": "http://h"}), "s.url: "),
        (
            json!({"command": "x", "alwaysAllow": ["hush"]}),
            "s.alwaysAllow: ",
        ),
        (json!({"command": "x", "args": "hush"}), "s: "),
        (json!({"command": "x", "env": {"A=B": "hush"}}), "s.env: "),
        (
            json!({"command": "x", "headers": {"A": "hush"}}),
            "s.headers: ",
        ),
        (
            json!({"command": "x", "keep_alive": false}),
            "s.keep_alive: ",
        ),
        (json!({"command": "x", "timeout": -1}), "s.timeout: "),
        (json!({"url": "ftp://hush"}), "s.url: "),
        (
            json!({"url": "http://h", "transport": "sse"}),
            "s.transport: ",
        ),
        (
            json!({"url": "http://h", "transport": "hush"}),
            "s.transport: ",
        ),
        (json!({"url": "http://h", "auth": "oauth"}), "s.auth: "),
        (
            json!({"url": "http://h", "auth": {"strategy": "oauth2"}}),
            "s.auth: ",
        ),
        (
            json!({"url": "http://h", "auth": {"strategy": "bearer"}}),
            "s.auth: ",
        ),
        (
            json!({"url": "http://h", "headers": {"Host": "hush"}}),
            "s.headers: ",
        ),
        (
            json!({"url": "http://h", "headers": {"A": "hush\n"}}),
            "s.headers: ",
        ),
        (
            json!({"url": "http://h", "headers": {"authorization": "hush"},
                "auth": {"strategy": "bearer", "value": "hush"}}),
            "s.auth: ",
        ),
        (json!({"url": "http://h", "args": ["hush"]}), "s.args: "),
    ] {
        let error = read(json!({"s": server})).expect_err(&server.to_string());
        assert!(error.starts_with(at), "{server}: {error}");
        assert!(!error.contains("hush"), "{error}");
    }
    assert!(read(json!({" ": {"command": "x"}})).is_err());
}
