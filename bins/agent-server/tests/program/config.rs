//! Where configuration comes from, what is said about it, and what stops a start.

use std::{fs, path::Path};

use crate::support::{agent_server, output, start_error};
use agent_server::config::{ConfigError, Loaded, LogFormat, Overrides, Settings, load};
use serde_json::{Value, json};

fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect()
}

pub(crate) fn read(file: Option<Value>, pairs: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    fs::write(&path, file.unwrap_or_else(|| json!({})).to_string()).unwrap();
    let flags = Overrides {
        config: Some(path),
        ..Overrides::default()
    };
    load(&flags, &variables(pairs))
}

pub(crate) fn refused(file: Option<Value>, pairs: &[(&str, &str)]) -> String {
    match read(file, pairs) {
        Ok(_) => panic!("accepted"),
        Err(error) => error.to_string(),
    }
}

fn source(loaded: &Loaded, key: &str) -> String {
    let sources = loaded.sources();
    let found = sources
        .iter()
        .find(|(_, keys)| keys.iter().any(|known| known == key));
    found.map_or("default".to_owned(), |(source, _)| source.to_string())
}

#[test]
fn each_layer_outranks_the_one_below() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    fs::write(
        &path,
        json!({"port": 1, "host": "file", "max_concurrent_runs": 3}).to_string(),
    )
    .unwrap();
    let flags = Overrides {
        config: Some(path.clone()),
        port: Some(3),
        log_format: Some(LogFormat::Json),
        ..Overrides::default()
    };
    let loaded = load(
        &flags,
        &variables(&[("OH_PORT", "2"), ("OH_HOST", "variable")]),
    )
    .unwrap();
    let settings = &loaded.settings;
    assert_eq!(settings.port, 3);
    assert_eq!(settings.host, "variable");
    assert_eq!(settings.max_concurrent_runs.get(), 3);
    assert_eq!(settings.max_body_bytes.get(), 10 << 20);
    assert_eq!(settings.log_format, LogFormat::Json);
    assert_eq!(source(&loaded, "port"), "flag --port");
    assert_eq!(source(&loaded, "log_format"), "flag --log-format");
    assert_eq!(source(&loaded, "host"), "environment OH_HOST");
    assert_eq!(
        source(&loaded, "max_concurrent_runs"),
        format!("file {}", path.display())
    );
    assert_eq!(source(&loaded, "max_body_bytes"), "default");
}

#[test]
fn a_socket_s_limits_can_be_set() {
    let unset = read(None, &[]).unwrap().settings;
    assert_eq!(unset.max_frame_bytes, None);
    assert_eq!(unset.max_unauthenticated_sockets.get(), 256);
    let loaded = read(
        Some(json!({"max_unauthenticated_sockets": 3})),
        &[("OH_MAX_FRAME_BYTES", "5")],
    )
    .unwrap();
    let settings = &loaded.settings;
    assert_eq!(settings.max_frame_bytes.map(usize::from), Some(5));
    assert_eq!(settings.max_unauthenticated_sockets.get(), 3);
    for value in ["0", "x"] {
        let why = refused(None, &[("OH_MAX_FRAME_BYTES", value)]);
        assert!(why.contains("a whole number, one or more"), "{why}");
    }
}

#[test]
fn the_longest_foreground_time_has_its_bounds() {
    let name = "OH_MAX_FOREGROUND_TERMINAL_TIMEOUT_SECONDS";
    let seconds = |loaded: &Loaded| {
        let settings = &loaded.settings;
        settings.max_foreground_terminal_timeout_seconds.get()
    };
    assert_eq!(seconds(&read(None, &[]).unwrap()), 600);
    assert_eq!(seconds(&read(None, &[(name, "86400")]).unwrap()), 86_400);
    for (wrong, expected) in [
        ("0", "a whole number, one or more"),
        ("86401", "a whole number, at most 86400"),
    ] {
        let error = refused(None, &[(name, wrong)]);
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn times_of_sockets_have_their_bounds() {
    let loaded = read(
        Some(json!({"socket_ping_interval_seconds": 2, "socket_idle_timeout_seconds": 3})),
        &[("OH_SOCKET_SEND_TIMEOUT_SECONDS", "7")],
    )
    .unwrap();
    let settings = &loaded.settings;
    assert_eq!(settings.socket_send_timeout_seconds.get(), 7);
    assert_eq!(settings.socket_auth_timeout_seconds.get(), 10);
    assert!(loaded.table().contains("socket_send_timeout_seconds"));
    for (name, value, expected) in [
        ("SEND_TIMEOUT", "0", "a whole number, one or more"),
        ("SEND_TIMEOUT", "86401", "a whole number, at most 86400"),
        ("AUTH_TIMEOUT", "86401", "a whole number, at most 86400"),
        (
            "IDLE_TIMEOUT",
            "20",
            "more than `socket_ping_interval_seconds`, which is 20",
        ),
    ] {
        let name = format!("OH_SOCKET_{name}_SECONDS");
        let why = refused(None, &[(&name, value)]);
        assert!(why.contains(expected) && why.contains(&name), "{why}");
    }
}

#[test]
fn the_readme_example_is_accepted_whole() {
    let loaded = read(
        Some(json!({
            "session_api_key": "your-secret-api-key",
            "allow_cors_origins": ["https://your-frontend.com"],
            "conversations_path": "workspace/conversations",
            "webhooks": [{
                "webhook_url": "https://your-webhook-endpoint.com/events",
                "method": "POST",
                "event_buffer_size": 10,
                "num_retries": 3,
                "retry_delay": 5,
                "headers": {"Authorization": "Bearer your-webhook-token"}
            }]
        })),
        &[],
    )
    .unwrap();
    assert_eq!(loaded.notices, []);
    let settings = &loaded.settings;
    assert_eq!(settings.keys().collect::<Vec<_>>(), ["your-secret-api-key"]);
    assert_eq!(settings.allow_cors_origins, ["https://your-frontend.com"]);
    let here = std::env::current_dir().unwrap();
    assert_eq!(
        settings.conversations_path,
        here.join("workspace/conversations")
    );
    assert_eq!(settings.workspace_root(), here.join("workspace"));
    let headers = &settings.webhooks[0].headers;
    assert_eq!(
        headers["Authorization"].text(),
        Some("Bearer your-webhook-token")
    );
}

#[test]
fn variables_reach_into_lists_and_objects() {
    let loaded = read(
        Some(json!({"webhooks": [{"webhook_url": "http://file/", "num_retries": 7}]})),
        &[
            ("SESSION_API_KEY", "one"),
            ("OH_SESSION_API_KEYS_0", "two"),
            ("OH_SESSION_API_KEYS_2", "three"),
            (
                "OH_ALLOW_CORS_ORIGINS",
                "https://a.example, https://b.example/",
            ),
            ("OH_WEBHOOKS_0_WEBHOOK_URL", "http://variable/"),
            ("OH_WEBHOOKS_0_HEADERS_X_TOKEN", "t"),
            (
                "OH_WEBHOOKS_0_SECRET",
                "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            ),
            ("OH_WEBHOOKS_0_KINDS", "MessageEvent, ObservationEvent"),
            ("OH_WEBHOOKS_0_ALLOW_LINK_LOCAL", "true"),
            ("OH_WEBHOOKS_0_MAX_IN_FLIGHT", "2"),
            ("OH_WEBHOOKS_1_BASE_URL", "http://second/"),
            ("OH_WEBHOOKS_1_NAME", "second"),
            ("OH_WEBHOOKS_1_START", "beginning"),
            ("OH_WEBHOOKS_1_ON_EXHAUSTED", "drop"),
            ("OH_WEBHOOKS_1_TIMEOUT", "1.5"),
            ("OH_LLM", r#"{"model": "openai/a", "num_retries": 1}"#),
            ("LLM_MODEL", "outranked"),
            ("LLM_API_KEY", "12345"),
            ("OH_LLM_TIMEOUT", "12"),
            ("OH_LLM_STREAM", "true"),
        ],
    )
    .unwrap();
    assert_eq!(loaded.notices, []);
    let settings = &loaded.settings;
    assert_eq!(settings.keys().collect::<Vec<_>>(), ["one", "two", "three"]);
    assert_eq!(
        settings.allow_cors_origins,
        ["https://a.example", "https://b.example/"]
    );
    let webhooks = serde_json::to_value(&settings.webhooks).unwrap();
    assert_eq!(webhooks[0]["webhook_url"], "http://variable/");
    assert_eq!(webhooks[0]["num_retries"], 7);
    assert_eq!(webhooks[0]["headers"], json!({"x-token": "t"}));
    assert_eq!(
        webhooks[0]["secret"],
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    );
    assert_eq!(
        webhooks[0]["kinds"],
        json!(["MessageEvent", "ObservationEvent"])
    );
    assert_eq!(webhooks[0]["allow_link_local"], true);
    assert_eq!(webhooks[0]["max_in_flight"], 2);
    assert_eq!(webhooks[1]["base_url"], "http://second/");
    assert_eq!(webhooks[1]["name"], "second");
    assert_eq!(webhooks[1]["start"], "beginning");
    assert_eq!(webhooks[1]["on_exhausted"], "drop");
    assert_eq!(webhooks[1]["timeout"], 1.5);
    let llm = &settings.llm;
    assert_eq!((llm.model.as_str(), llm.num_retries), ("openai/a", 1));
    assert_eq!(llm.api_key.as_deref(), Some("12345"));
    assert_eq!((llm.timeout, llm.stream), (Some(12), true));
    assert_eq!(
        source(&loaded, "webhooks[0].num_retries").split(' ').next(),
        Some("file")
    );
    assert_eq!(source(&loaded, "webhooks[0].retry_delay"), "default");
}

#[test]
fn empty_keys_and_variables_count_as_unset() {
    let loaded = read(
        Some(json!({"session_api_key": ""})),
        &[
            ("SESSION_API_KEY", ""),
            ("OH_PORT", " "),
            ("OH_SECRET_KEY", ""),
        ],
    )
    .unwrap();
    assert_eq!(loaded.settings.keys().count(), 0);
    assert_eq!(loaded.settings.port, 8000);
    assert!(loaded.settings.secret_key.is_none());
    // Whoever wrote them may think that the server asks for a key.
    let said: Vec<String> = loaded.notices.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].starts_with("environment SESSION_API_KEY: the session key is empty"));
    assert!(said[1].starts_with("file "));

    let file = json!({"session_api_key": " k\n"});
    let loaded = read(Some(file), &[("SESSION_API_KEY", "")]).unwrap();
    assert_eq!(loaded.settings.keys().collect::<Vec<_>>(), ["k"]);
    assert_eq!(loaded.notices, []);
}

#[test]
fn keys_that_protect_nothing_stop_the_start() {
    for (file, variable, place) in [
        (json!({"session_api_key": " "}), None, "file "),
        (json!({"session_api_keys": ["k", ""]}), None, "file "),
        (json!({"session_api_keys": ["k", "\t"]}), None, "file "),
        (json!({"session_api_key": "a\nb"}), None, "file "),
        (json!({"secret_key": "  "}), None, "file "),
        (
            json!({}),
            Some(("SESSION_API_KEY", " ")),
            "environment SESSION_API_KEY: ",
        ),
        (
            json!({}),
            Some(("OH_SESSION_API_KEY", "\n")),
            "environment OH_SESSION_API_KEY: ",
        ),
        (
            json!({}),
            Some(("OH_SESSION_API_KEYS_0", " ")),
            "environment OH_SESSION_API_KEYS_0: ",
        ),
        (
            json!({}),
            Some(("OH_SESSION_API_KEYS", " ")),
            "environment OH_SESSION_API_KEYS: ",
        ),
        (
            json!({}),
            Some(("OH_SESSION_API_KEYS", " , ")),
            "environment OH_SESSION_API_KEYS: ",
        ),
        (
            json!({}),
            Some(("OH_SESSION_API_KEYS", r#"["", " "]"#)),
            "environment OH_SESSION_API_KEYS: ",
        ),
        (
            json!({}),
            Some(("OH_SECRET_KEY", " ")),
            "environment OH_SECRET_KEY: ",
        ),
        (
            json!({"session_api_key": "k"}),
            Some(("SESSION_API_KEY", " ")),
            "environment SESSION_API_KEY: ",
        ),
    ] {
        let variables: Vec<(&str, &str)> = variable.into_iter().collect();
        let error = refused(Some(file), &variables);
        assert!(error.starts_with(place), "{error}");
        // It is no key that clients send.
        let seals = error.contains("`secret_key`");
        assert_eq!(error.contains("seals nothing"), seals, "{error}");
    }
}

#[test]
fn the_check_and_the_start_are_one_validation() {
    for (file, place, instead) in [
        (
            json!({"allow_cors_origins": ["null", "wss://app.example.com"]}),
            "allow_cors_origins[1]",
            "write `https://app.example.com`",
        ),
        (
            json!({"allow_cors_origins": ["https://a.example.com/path"]}),
            "allow_cors_origins[0]",
            "write `https://a.example.com`",
        ),
        (
            json!({"allow_cors_origins": ["file:///index.html"]}),
            "allow_cors_origins[0]",
            "write `null`",
        ),
        (
            json!({"allow_cors_origin_regex": "(?x) https://a # a"}),
            "allow_cors_origin_regex",
            "is not a regular expression",
        ),
        (
            json!({"allowed_hosts": ["https://agents.example.com"]}),
            "allowed_hosts[0]",
            "write `agents.example.com`",
        ),
    ] {
        let error = refused(Some(file), &[]);
        assert!(error.contains(&format!("at `{place}`: ")), "{error}");
        assert!(error.contains(instead), "{error}");
    }
    let loaded = read(
        Some(json!({"allow_cors_origins": ["tauri://localhost", "https://*.example.com/"]})),
        &[
            ("OH_ALLOWED_HOSTS", "agents.example.com, *.ts.example"),
            ("OH_MAX_METADATA_BYTES", "5"),
        ],
    )
    .unwrap();
    assert_eq!(
        loaded.settings.allowed_hosts,
        ["agents.example.com", "*.ts.example"]
    );
    assert_eq!(loaded.settings.max_metadata_bytes.get(), 5);
    assert_eq!(loaded.notices, []);
}

#[test]
fn without_anything_the_documented_defaults_hold() {
    let loaded = load(&Overrides::default(), &[]).unwrap();
    let settings = &loaded.settings;
    assert_eq!((settings.host.as_str(), settings.port), ("0.0.0.0", 8000));
    assert_eq!(settings.llm.model, "scripted");
    assert_eq!(settings.keys().count(), 0);
    assert!(settings.workspace_path.ends_with("workspace/project"));
    assert!(settings.bash_events_dir.ends_with("workspace/bash_events"));
    assert!(loaded.sources().is_empty());
}

#[test]
fn a_wrong_value_is_named_with_what_was_expected_and_found() {
    for (file, text) in [
        (
            json!({"port": "80x"}),
            r#"at `port`: expected a whole number from 0 to 65535, found "80x""#,
        ),
        (
            json!({"port": 70000}),
            "at `port`: expected a whole number from 0 to 65535, found 70000",
        ),
        (
            json!({"port": "8000"}),
            r#"at `port`: expected a whole number from 0 to 65535, found "8000""#,
        ),
        (json!({"host": 7}), "at `host`: expected a string, found 7"),
        (
            json!({"max_concurrent_runs": 0}),
            "at `max_concurrent_runs`: expected a whole number, one or more, found 0",
        ),
        (
            json!({"allow_cors_origins": "x"}),
            r#"at `allow_cors_origins`: expected a list, found "x""#,
        ),
        (
            json!({"webhooks": [{"webhook_url": "nowhere"}]}),
            r#"at `webhooks[0].webhook_url`: expected an http:// or https:// URL, found "nowhere""#,
        ),
        (
            json!({"webhooks": [{"webhook_url": "http://h/", "method": "GET"}]}),
            r#"at `webhooks[0].method`: expected one of `POST`, `PUT`, `PATCH`, found "GET""#,
        ),
        (
            json!({"webhooks": [{}]}),
            "at `webhooks[0]`: a webhook needs a `webhook_url` or a `base_url`",
        ),
        (
            json!({"webhooks": [{"webhook_url": "http://h/", "num_retries": -1}]}),
            "at `webhooks[0].num_retries`: expected a whole number, zero or more, found -1",
        ),
        (
            json!({"webhooks": [{"webhook_url": "http://h/", "start": "soon"}]}),
            r#"at `webhooks[0].start`: expected `now` or `beginning`, found "soon""#,
        ),
        (
            json!({"webhooks": [{"webhook_url": "http://169.254.169.254/"}]}),
            "at `webhooks[0]`: `webhook_url` is a link-local address, where clouds keep their \
             metadata; set `allow_link_local` if that is meant",
        ),
        (
            json!({"webhooks": [{"base_url": "http://h/", "method": "PUT"}]}),
            "at `webhooks[0]`: requests below a `base_url` are always POST; leave `method` out, \
             or use `webhook_url`",
        ),
        (
            json!({"webhooks": [{"webhook_url": "http://h/?a"}, {"base_url": "http://h/?a"}]}),
            "at `webhooks`: webhooks 0 and 1 are the same one, `http://h`; give each a `name` \
             of its own",
        ),
        (
            json!({"llm": {"base_url": "nowhere"}}),
            r#"at `llm.base_url`: expected an http:// or https:// URL, found "nowhere""#,
        ),
        (
            json!({"llm": "gpt"}),
            r#"at `llm`: expected an object, found "gpt""#,
        ),
        (
            json!({"llm": []}),
            "at `llm`: expected an object, found a list",
        ),
        (
            json!({"llm": {"model": " "}}),
            "at `llm.model`: it should be the name of a model",
        ),
        (
            json!({"llm": {"retry_multiplier": -1}}),
            "at `llm.retry_multiplier`: it should be a number, zero or more",
        ),
        (
            json!({"llm": {"extra_headers": {"a b": "hush"}}}),
            "at `llm.extra_headers.a b`: it should be named by letters, digits and dashes",
        ),
        (
            json!({"webhooks": {}}),
            "at `webhooks`: expected a list, found an object",
        ),
        (
            json!({"durability": {}}),
            "at `durability`: expected one of `always`, `interval`, `os`, found an object",
        ),
        (
            json!({"durability": 1}),
            "at `durability`: expected one of `always`, `interval`, `os`, found 1",
        ),
        (
            json!({"ephemeral": "yes"}),
            r#"at `ephemeral`: expected `true` or `false`, found "yes""#,
        ),
        (
            json!({"host": " "}),
            r#"at `host`: expected a name or address of this machine, found " ""#,
        ),
        (
            json!({"durability": "never"}),
            r#"at `durability`: expected one of `always`, `interval`, `os`, found "never""#,
        ),
    ] {
        let error = refused(Some(file), &[]);
        assert!(error.starts_with("file "), "{error}");
        assert!(error.ends_with(text), "{error}");
    }
    assert_eq!(
        refused(None, &[("OH_PORT", "abc")]),
        r#"environment OH_PORT: at `port`: expected a whole number from 0 to 65535, found "abc""#
    );
    for (file, text) in [
        (
            json!({"conversations_path": ""}),
            r#"at `conversations_path`: expected a path, found """#,
        ),
        (
            json!({"workers": 1_000_000_000}),
            "at `workers`: expected a whole number, at most 512, found 1000000000",
        ),
        (
            json!({"max_concurrent_runs": u64::MAX}),
            "at `max_concurrent_runs`: expected a whole number, at most 1000000, found 18446744073709551615",
        ),
    ] {
        let error = refused(Some(file), &[]);
        assert!(
            error.starts_with("file ") && error.ends_with(text),
            "{error}"
        );
    }
    assert_eq!(
        refused(None, &[("OH_WEBHOOKS_0_RETRY_DELAY", "5")]),
        "environment OH_WEBHOOKS_0_RETRY_DELAY: at `webhooks[0]`: a webhook needs a `webhook_url` or a `base_url`"
    );
    assert_eq!(
        refused(None, &[("OH_LLM", "gpt")]),
        "environment OH_LLM: at `llm`: expected a JSON object, found other text"
    );
}

#[test]
fn a_default_model_that_cannot_be_asked_stops_the_start() {
    let error = refused(Some(json!({"llm": {"model": "nowhere/model"}})), &[]);
    assert!(
        error.starts_with("file ") && error.contains(": at `llm`: "),
        "{error}"
    );
}

#[test]
fn variables_that_mean_nothing_are_named() {
    for value in ["1", "yes", "TRUE"] {
        let error = refused(None, &[("OH_EPHEMERAL", value)]);
        let text = "environment OH_EPHEMERAL: at `ephemeral`: expected `true` or `false`, found ";
        assert!(error.starts_with(text), "{error}");
    }
    let loaded = read(None, &[("OH_", "x")]).unwrap();
    let notices: Vec<String> = loaded.notices.iter().map(ToString::to_string).collect();
    assert_eq!(notices, ["environment OH_: unknown key `OH_` is ignored"]);
}

#[test]
fn errors_show_no_secret() {
    for (file, key) in [
        (json!({"session_api_key": 123_456}), "session_api_key"),
        (
            json!({"session_api_keys": [123_456]}),
            "session_api_keys[0]",
        ),
        (json!({"llm": {"api_key": 123_456}}), "llm.api_key"),
        (
            json!({"webhooks": [{"webhook_url": "http://h/", "headers": {"Authorization": 123_456}}]}),
            "webhooks[0].headers.Authorization",
        ),
        (
            json!({"webhooks": [{"webhook_url": "http://h/", "secret": 123_456}]}),
            "webhooks[0].secret",
        ),
    ] {
        let error = refused(Some(file), &[]);
        assert!(
            error.ends_with("expected a string, found a number"),
            "{error}"
        );
        assert!(
            error.contains(&format!("`{key}`")) && !error.contains("123456"),
            "{error}"
        );
    }
    for variables in [
        ("OH_WEBHOOKS", r#"[{"headers": {"Authorization": "hush"}}"#),
        ("OH_LLM_BASE_URL", "htp://user:hush@h.example/"),
        ("OH_LLM_BASE_URL", "user:hush@h.example/"),
        ("OH_WEBHOOKS_0_WEBHOOK_URL", "htp://hush@h.example/"),
        ("OH_WEBHOOKS_0_WEBHOOK_URL", "user:hush@h.example/"),
        ("OH_WEBHOOKS_0_BASE_URL", "//h.example/?token=hush"),
        ("OH_WEBHOOKS_0_SECRET", "hush"),
    ] {
        let error = refused(None, &[variables]);
        assert!(!error.contains("hush"), "{error}");
    }
}

#[test]
fn null_counts_as_unset_at_any_depth() {
    let loaded = read(
        Some(json!({"port": null, "llm": {"model": null, "num_retries": 1}})),
        &[],
    )
    .unwrap();
    assert_eq!(loaded.settings.port, 8000);
    assert_eq!(loaded.settings.llm.model, "scripted");
    assert_eq!(loaded.settings.llm.num_retries, 1);
    assert_eq!(source(&loaded, "llm.model"), "default");
}

#[test]
fn an_unknown_key_is_reported_with_the_nearest_known_one() {
    let loaded = read(
        Some(json!({
            "sesion_api_key": "hush",
            "enable_vscode": true,
            "llm": {"modle": "x"},
            "webhooks": [{"webhook_url": "http://h/", "retry_dely": 1, "max_queue_size": 1}],
            "zzzz": 1
        })),
        &[
            ("OH_CONVERSATION_PATH", "x"),
            ("OH_ENABLE_VNC", "1"),
            ("OH_LLM_MODLE", "x"),
            ("OH_WEBHOOKS_3_WEBHOK_URL", "x"),
            ("OH_WEBHOOKS_0_MAX_QUEUE_BYTES", "1"),
            ("LLM_WHATEVER", "x"),
        ],
    )
    .unwrap();
    let said: Vec<String> = loaded
        .notices
        .iter()
        .map(|notice| notice.to_string().rsplit_once(": ").unwrap().1.to_owned())
        .collect();
    assert_eq!(
        said,
        [
            "unknown key `sesion_api_key` is ignored; did you mean `session_api_key`?",
            "`enable_vscode` is known to the reference server and has no effect here",
            "unknown key `llm.modle` is ignored; did you mean `model`?",
            "unknown key `webhooks[0].retry_dely` is ignored; did you mean `retry_delay`?",
            "`webhooks[0].max_queue_size` is known to the reference server and has no effect here",
            "unknown key `zzzz` is ignored",
            "unknown key `conversation_path` is ignored; did you mean `OH_CONVERSATIONS_PATH`?",
            "`enable_vnc` is known to the reference server and has no effect here",
            "unknown key `llm_modle` is ignored; did you mean `OH_LLM_MODEL`?",
            "unknown key `webhooks_3_webhok_url` is ignored; did you mean `OH_WEBHOOKS_3_WEBHOOK_URL`?",
            "`webhooks_0_max_queue_bytes` is known to the reference server and has no effect here",
        ]
    );
}

#[test]
fn files_that_cannot_be_read_stop_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let with = |path: &Path| {
        start_error(
            agent_server(folder.path())
                .args(["--port", "0", "--config"])
                .arg(path),
        )
    };
    let missing = with(&at("missing.json"));
    assert!(
        missing.contains("missing.json: no such configuration file (named by --config)"),
        "{missing}"
    );
    let named = start_error(
        agent_server(folder.path()).env("OPENHANDS_AGENT_SERVER_CONFIG_PATH", at("gone.json")),
    );
    assert!(
        named.contains("(named by OPENHANDS_AGENT_SERVER_CONFIG_PATH)"),
        "{named}"
    );
    let unreadable = with(folder.path());
    assert!(
        unreadable.contains("cannot read the configuration file"),
        "{unreadable}"
    );
    fs::write(at("broken.json"), "{\n  \"port\": ,\n}").unwrap();
    let broken = with(&at("broken.json"));
    assert!(
        broken.contains("broken.json:2:11: expected JSON"),
        "{broken}"
    );
    fs::write(at("list.json"), "[]").unwrap();
    let list = with(&at("list.json"));
    assert!(
        list.contains("list.json: expected one JSON object, found a list"),
        "{list}"
    );
    let filter = start_error(agent_server(folder.path()).env("OH_LOG_LEVEL", "a=b=c"));
    assert!(
        filter.contains("log settings: at `log_level`: "),
        "{filter}"
    );
}

#[test]
fn the_default_file_is_found_and_config_shows_all_but_secrets() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("workspace")).unwrap();
    let file = "workspace/openhands_agent_server_config.json";
    let content = json!({
        "session_api_key": "hush-1",
        "port": 4321,
        "webhooks": [{
            "webhook_url": "https://user:hush-2@h.example/x?token=hush-3#hush-7",
            "headers": {"Authorization": "hush-4"}
        }, {
            "base_url": "https://hush-8@h.example",
            "secret": "${HOOK_KEY}"
        }],
    });
    fs::write(folder.path().join(file), content.to_string()).unwrap();
    let run = |arguments: &[&str]| {
        output(
            agent_server(folder.path())
                .args(arguments)
                .env("LLM_API_KEY", "hush-5")
                .env("OH_SECRET_KEY", "hush-6")
                .env("HOOK_KEY", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
                .env("OH_PROT", "1"),
        )
    };
    let (success, table, stderr) = run(&["config", "--host", "::1"]);
    assert!(success, "{stderr}");
    let line = |key: &str| {
        let found = table
            .lines()
            .find(|line| line.split(' ').next() == Some(key));
        let words = found
            .unwrap_or_else(|| panic!("no {key} in\n{table}"))
            .split_whitespace();
        words.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(line("port"), format!("port 4321 file {file}"));
    assert_eq!(line("host"), "host ::1 flag --host");
    assert_eq!(
        line("session_api_key"),
        format!("session_api_key ********** file {file}")
    );
    assert_eq!(
        line("llm.api_key"),
        "llm.api_key ********** environment LLM_API_KEY"
    );
    assert_eq!(line("llm.model"), "llm.model scripted default");
    assert_eq!(
        line("webhooks[0].webhook_url"),
        format!(
            "webhooks[0].webhook_url https://**********@h.example/x?**********#********** file {file}"
        )
    );
    assert_eq!(
        line("webhooks[1].secret"),
        format!("webhooks[1].secret ********** file {file}")
    );
    assert_eq!(
        line("webhooks[1].flush_delay"),
        "webhooks[1].flush_delay 30.0 default"
    );
    assert!(
        stderr.contains("unknown key `prot` is ignored; did you mean `OH_PORT`?"),
        "{stderr}"
    );

    let (success, json, _) = run(&["config", "--json"]);
    assert!(success);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        json["port"],
        json!({"value": 4321, "source": format!("file {file}")})
    );
    assert_eq!(
        json["max_concurrent_runs"],
        json!({"value": 10, "source": "default"})
    );
    for text in [table, json.to_string(), stderr] {
        assert!(!text.contains("hush") && !text.contains("MfKQ9"), "{text}");
    }

    assert!(run(&["config", "--check"]).0);
    assert!(!run(&["config", "--check", "--config", "nowhere.json"]).0);
}

#[test]
fn an_empty_key_is_shown_as_none_and_the_check_warns() {
    let folder = tempfile::tempdir().unwrap();
    let content = json!({"session_api_key": "", "llm": {"api_key": ""}, "sesion_api_key": "hush"});
    fs::write(folder.path().join("f.json"), content.to_string()).unwrap();
    let run = |more: &[&str]| {
        let arguments = ["config", "--config", "f.json"];
        output(agent_server(folder.path()).args(arguments).args(more))
    };
    let (success, table, warned) = run(&[]);
    assert!(success, "{warned}");
    let has_row = |words: [&str; 2]| {
        table.lines().any(|line| {
            let row = line.strip_prefix(words[0]);
            row.is_some_and(|row| row.trim_start().starts_with(words[1]))
        })
    };
    for row in [
        ["session_api_key ", "(empty: no key) "],
        ["llm.api_key ", "(empty) "],
        ["max_connections ", "(by files and memory) "],
        ["max_connections_per_address ", "(half of max_connections) "],
        ["max_frame_bytes ", "(as max_body_bytes) "],
    ] {
        assert!(has_row(row), "no {row:?} in\n{table}");
    }
    assert!(warned.contains("the session key is empty"), "{warned}");
    assert!(
        warned.contains("did you mean `session_api_key`?"),
        "{warned}"
    );

    let (_, shown, _) = run(&["--json"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(
        shown["session_api_key"],
        json!({"value": "", "note": "empty: no key", "source": "file f.json"})
    );
    assert_eq!(
        shown["max_connections"],
        json!({"value": null, "note": "by files and memory", "source": "default"})
    );

    assert_eq!(run(&["--check"]), (true, String::new(), warned));
}

#[test]
fn the_documents_have_each_key() {
    let document = include_str!("../../../../docs/CONFIGURATION.md");
    let settings = serde_json::to_value(Settings::default()).unwrap();
    let keys = settings.as_object().unwrap().keys();
    let missing: Vec<&String> = keys
        .filter(|key| !document.contains(&format!("| `{key}")))
        .collect();
    assert!(missing.is_empty(), "without a row: {missing:?}");
}
