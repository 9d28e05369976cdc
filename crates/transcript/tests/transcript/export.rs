//! A log as its lines and as transcripts, damage and hostile content included.

use std::{fs, path::Path};

use core_model::ConversationId;
use transcript::export::{Exported, Format, Heading, LogItem, export};

use crate::support::log_items;

const ID: &str = "2f34c5cd-31d6-4dcf-acdf-cf89c5641e99";

/// A folder whose log has these lines.
fn log(lines: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("events.jsonl"), lines.concat()).unwrap();
    folder
}

fn exported(folder: &Path, format: Format) -> (String, Exported) {
    let heading = Heading {
        title: Some("Fix <it> & go".to_owned()),
        created_at: Some(serde_json::from_str("\"2026-11-22T19:30:00Z\"").unwrap()),
        ..Heading::untitled(id())
    };
    let mut out = Vec::new();
    let done = export(log_items(folder), &heading, format, &mut out).unwrap();
    (String::from_utf8(out).unwrap(), done)
}

fn id() -> ConversationId {
    ID.parse().unwrap()
}

const USER: &str = r##"{"id":"1","timestamp":"2026-11-22T19:31:36.469689","source":"user","llm_message":{"role":"user","content":[{"type":"text","text":"# Please\n\n```\nfix <script>alert(1)</script> it"},{"type":"image","image_urls":["data:image/png;base64,AAAA","https://pictures.example/a.png"]}]},"activated_skills":["testing"],"kind":"MessageEvent"}"##;
const ACTION: &str = r#"{"id":"2","timestamp":"2026-11-22T19:31:37","source":"agent","thought":[{"type":"text","text":"I look."}],"reasoning_content":"Hm, where is it?","action":{"command":"ls -l\necho `pwd`","is_input":false,"timeout":null,"kind":"TerminalAction"},"tool_name":"terminal","tool_call_id":"c","tool_call":{},"llm_response_id":"r","security_risk":"LOW","kind":"ActionEvent"}"#;
const OBSERVATION: &str = r#"{"id":"3","timestamp":"2026-11-22T19:31:38","source":"environment","tool_name":"terminal","tool_call_id":"c","action_id":"2","observation":{"content":[{"type":"text","text":"OUTPUT"}],"is_error":false,"exit_code":3,"kind":"TerminalObservation"},"kind":"ObservationEvent"}"#;
const ERROR: &str = r#"{"id":"4","timestamp":"2026-11-22T19:31:39","source":"agent","tool_name":"file_editor","tool_call_id":"d","error":"no such file","kind":"AgentErrorEvent"}"#;
const STATUS: &str = r#"{"id":"5","timestamp":"2026-11-22T19:31:40","source":"environment","key":"execution_status","value":"waiting_for_confirmation","kind":"ConversationStateUpdateEvent"}"#;
const BOOKKEEPING: &str = r#"{"id":"6","timestamp":"2026-11-22T19:31:40","source":"environment","key":"last_user_message_id","value":"1","kind":"ConversationStateUpdateEvent"}"#;
const FUTURE: &str = r#"{"id":"7","timestamp":"2026-11-22T19:31:41","source":"agent","kind":"HologramEvent","pixels":[1,{"deep":"<b>"}]}"#;

#[test]
fn jsonl_is_the_lines_as_they_are_without_the_damaged_ones() {
    let lines = [USER, "\n", "{\"half", "\n", FUTURE, "\n", "{\"torn\":"];
    let folder = log(&lines);
    let (text, done) = exported(folder.path(), Format::Jsonl);
    assert_eq!(text, [USER, "\n", FUTURE, "\n"].concat());
    assert_eq!(
        done,
        Exported {
            events: 2,
            damaged: 1,
            torn: true
        }
    );
}

#[test]
fn a_caller_that_looks_on_the_way_sees_each_damaged_line() {
    let folder = log(&[USER, "\n", "null\n", FUTURE, "\n"]);
    let mut seen = Vec::new();
    let log = log_items(folder.path()).inspect(|item| {
        if let Ok(LogItem::Damaged { seq, .. }) = item {
            seen.push(seq.0);
        }
    });
    export(
        log,
        &Heading::untitled(id()),
        Format::Jsonl,
        std::io::sink(),
    )
    .unwrap();
    assert_eq!(seen, [1]);
}

#[test]
fn a_transcript_says_who_did_what_and_when() {
    let lines = [
        USER,
        ACTION,
        OBSERVATION,
        ERROR,
        STATUS,
        BOOKKEEPING,
        FUTURE,
    ]
    .join("\n")
        + "\n";
    let folder = log(&[&lines, "not JSON\n"]);
    let (markdown, done) = exported(folder.path(), Format::Markdown);
    assert_eq!((done.events, done.damaged), (7, 1));
    for text in [
        "# Fix \\<it\\> & go\n",
        ID,
        "- Created: 2026-11-22 19:30:00",
        "## User\n\n*2026-11-22 19:31:36 · event 0*\n\n> # Please\n>\n> ```\n> fix <script>",
        "(an image of 26 bytes is part of the event)",
        "[An image](<https://pictures.example/a.png>)",
        "Skills: `testing`",
        "Reasoning:\n\n> Hm, where is it?\n\n> I look.\n\n```sh\nls -l\necho `pwd`\n```\n\nRisk: `low`",
        "## Agent calls terminal",
        "## Result of terminal\n\n*2026-11-22 19:31:38 · event 2*\n\n```\nOUTPUT\n```\n\nExit code: `3`",
        "## file_editor failed",
        "no such file",
        "*2026-11-22 19:31:40 · Status: waiting for confirmation*",
        "## HologramEvent",
        "\"pixels\": [",
        "**Event 7 is damaged and left out: ",
        "7 events, 1 damaged line left out",
    ] {
        assert!(markdown.contains(text), "no {text:?} in\n{markdown}");
    }
    assert!(!markdown.contains("last_user_message_id"), "{markdown}");
    assert!(!markdown.contains("is_input"), "{markdown}");

    let (html, _) = exported(folder.path(), Format::Html);
    for text in [
        "<title>Fix &lt;it&gt; &amp; go</title>",
        "fix &lt;script&gt;alert(1)&lt;/script&gt; it",
        "<img src=\"data:image/png;base64,AAAA\"",
        "<details><summary>Reasoning</summary>",
        "<h2>Agent calls terminal ",
        "Exit code: <code>3</code>",
        "<article class=\"error\" id=\"event-3\">\n<h2>file_editor failed",
        "Status: waiting for confirmation",
        "&quot;deep&quot;: &quot;&lt;b&gt;&quot;",
        "Event 7 is damaged and left out",
        "prefers-color-scheme: dark",
    ] {
        assert!(html.contains(text), "no {text:?} in\n{html}");
    }
    assert!(!html.contains("<script"), "{html}");
    assert!(!html.contains("<img src=\"http"), "{html}");
    assert!(html.ends_with("</html>\n"));
    balanced(&html);
}

/// The reference's own events, recorded from it, have no surprises in them.
#[test]
fn every_kind_in_a_recorded_conversation_is_known() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/transcript/fixtures/reference/2f34c5cd31d64dcfacdfcf89c5641e99/events");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .collect();
    files.sort();
    let lines: String = files
        .iter()
        .map(|path| fs::read_to_string(path).unwrap() + "\n")
        .collect();
    let folder = log(&[&lines]);
    let (markdown, done) = exported(folder.path(), Format::Markdown);
    assert_eq!((done.events, done.damaged), (32, 0));
    assert!(!markdown.contains("```json\n{\n  \"id\""), "{markdown}");
    assert_eq!(
        markdown.matches("All done").count(),
        2,
        "asked for and said"
    );
    for text in [
        "## Instructions to the agent",
        "## Agent calls nosuch\n",
        "The call could not be understood",
        "file_text:\n\n```\none <b>two</b>\n& three\n```",
        "## nosuch failed",
        "## Agent, finishing",
        "All done: ünï ✓ \u{2401}",
        "## The user did not allow terminal",
        "> Not that one",
        "So far 28062 prompt and 366 completion tokens, \\$0.0288",
    ] {
        assert!(markdown.contains(text), "no {text:?} in\n{markdown}");
    }
    let (html, _) = exported(folder.path(), Format::Html);
    // The output of `seq 1 400` is long.
    assert!(html.contains("<details><summary>400 lines, "), "{html}");
    balanced(&html);
}

#[test]
fn odd_fields_of_known_kinds_do_not_stop_a_transcript() {
    let head = r#""id":"1","timestamp":"2026-11-22T19:31:36","source":"agent""#;
    for rest in [
        r#""kind":"MessageEvent""#,
        r#""kind":"MessageEvent","llm_message":7"#,
        r#""kind":"ActionEvent","tool_name":"x","action":null,"tool_call":null"#,
        r#""kind":"ObservationEvent","tool_name":"x","observation":[]"#,
        r#""kind":"ConversationStateUpdateEvent","key":"stats""#,
        r#""kind":"ConversationStateUpdateEvent","key":[]"#,
        r#""kind":"Condensation","forgotten_event_ids":"all""#,
        r#""kind":"SystemPromptEvent","system_prompt":"text""#,
    ] {
        let folder = log(&[&format!("{{{head},{rest}}}\n")]);
        for format in [Format::Markdown, Format::Html] {
            let (text, done) = exported(folder.path(), format);
            assert_eq!((done.events, done.damaged), (1, 0), "{rest}");
            assert!(text.contains("2026-11-22 19:31:36"), "{text}");
        }
    }
}

/// Every element that was opened is closed, in order.
fn balanced(html: &str) {
    const VOID: [&str; 3] = ["meta", "img", "!doctype"];
    let mut open: Vec<&str> = Vec::new();
    for tag in html.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').unwrap();
        let name = tag.split([' ', '\n']).next().unwrap();
        match name.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name)),
            None if VOID.contains(&name) => {}
            None => open.push(name),
        }
    }
    assert_eq!(open, Vec::<&str>::new());
}
