//! Whatever is said in a conversation, its transcript shows it as text: by readers that others wrote.

use std::fs;

use core_model::ConversationId;
use proptest::prelude::*;
use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};
use serde_json::{Value, json};
use transcript::export::{Format, Heading, export};

use crate::support::log_items;

/// What opens, closes, or is more than text in Markdown or HTML, in one dialect or another.
const MARKUP: [&str; 52] = [
    "`",
    "``",
    "```",
    "````",
    "~~~",
    "~~~~",
    "```html",
    "~~~ a b",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "</script>",
    "</pre>",
    "<!--",
    "-->",
    "<?php",
    "<![CDATA[",
    "<div>",
    "<a href=\"javascript:alert(1)\">",
    "<javascript:alert(1)>",
    "[x](javascript:alert(1))",
    "[x](<javascript:alert(1)>)",
    "![x](data:text/html,y)",
    "[y]: javascript:alert(1)",
    "[y]",
    "[^1]",
    "[^1]: z",
    "[[w]]",
    "&lt;b&gt;",
    "&#60;",
    "&",
    "\\",
    "\\\\",
    "\n",
    "\n\n",
    "\r",
    "\r\n",
    " ",
    "    ",
    "\t",
    "- ",
    "1. ",
    "> ",
    "# ",
    "## {#a onclick=b}",
    "---",
    "***",
    "===",
    "|",
    "-|-",
    "$$",
    "{{",
    ": ",
];

fn said() -> impl Strategy<Value = String> {
    let word = "[a-zäß]{1,4}";
    let piece = prop_oneof![
        5 => proptest::sample::select(&MARKUP[..]).prop_map(str::to_owned),
        2 => word.prop_map(|word| format!(" {word} ")),
        1 => word,
        1 => any::<char>().prop_map(String::from),
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

fn event(number: usize, kind: &str, fields: Value) -> String {
    let mut event = json!({
        "id": number.to_string(), "timestamp": "2026-11-22T19:31:36", "source": "agent", "kind": kind,
    });
    let all = event.as_object_mut().unwrap();
    all.extend(fields.as_object().unwrap().clone());
    format!("{event}\n")
}

/// A log that says `text` wherever something can be said. Each event but the last becomes a section.
fn log(text: &str) -> (Vec<String>, String) {
    let content = json!([{"type": "text", "text": text}, {"type": "image", "image_urls": [text, format!("https://{text}")]}]);
    let events = [
        (
            "MessageEvent",
            json!({"sender": text, "llm_message": {
            "role": "user", "content": content, "reasoning_content": text}}),
        ),
        (
            "ActionEvent",
            json!({"tool_name": text, "thought": content, "reasoning_content": text,
            "action": {text: "short", "s": text, text.repeat(2): "long\n", "command": text, "l": format!("\n{text}"),
                       "o": {text: text}}}),
        ),
        (
            "ActionEvent",
            json!({"tool_name": "terminal", "thought": [], "action": {"command": text}}),
        ),
        (
            "ActionEvent",
            json!({"tool_name": "finish", "thought": [], "action": {"message": text}}),
        ),
        (
            "ActionEvent",
            json!({"tool_name": "t", "thought": [], "tool_call": {"arguments": text}}),
        ),
        (
            "ObservationEvent",
            json!({"tool_name": text, "observation": {"content": content, "exit_code": text},
            "extended_content": [{"text": text}]}),
        ),
        ("AgentErrorEvent", json!({"tool_name": text, "error": text})),
        (
            "ConversationErrorEvent",
            json!({"code": text, "detail": text}),
        ),
        (
            "SystemPromptEvent",
            json!({"system_prompt": {"text": text}, "tools": [{"title": text}]}),
        ),
        ("Condensation", json!({"summary": text})),
        (
            "UserRejectObservation",
            json!({"tool_name": text, "rejection_reason": text}),
        ),
        ("AnEventOfTomorrow", json!({"said": text})),
    ];
    let mut lines: Vec<String> = events
        .iter()
        .enumerate()
        .map(|(number, (kind, fields))| event(number, kind, fields.clone()))
        .collect();
    // A line without a section of its own.
    let status = json!({"key": text, "value": "x"});
    lines.push(event(lines.len(), "ConversationStateUpdateEvent", status));
    (lines, text.to_owned())
}

fn exported(lines: &[String], title: &str, format: Format) -> String {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("events.jsonl"), lines.concat()).unwrap();
    let heading = Heading {
        title: Some(format!("Title {title}")),
        ..Heading::untitled(ConversationId::random())
    };
    let mut out = Vec::new();
    let done = export(log_items(folder.path()), &heading, format, &mut out).unwrap();
    assert_eq!(done.events, lines.len() as u64);
    String::from_utf8(out).unwrap()
}

/// What a reader of Markdown makes of a transcript.
#[derive(Default)]
struct Rendered {
    text: String,
    /// Headings that stand by themselves, in no quotation.
    titles: usize,
    markup: Vec<String>,
}

fn rendered(markdown: &str, options: Options) -> Rendered {
    let mut rendered = Rendered::default();
    let mut quotations = 0;
    for event in Parser::new_ext(markdown, options) {
        match event {
            Event::Html(html) | Event::InlineHtml(html) => rendered.markup.push(html.into_string()),
            Event::Start(Tag::Link { dest_url, .. }) if !is_web(&dest_url) => {
                rendered.markup.push(dest_url.into_string());
            }
            Event::Start(Tag::Image { dest_url, .. }) => {
                rendered.markup.push(dest_url.into_string())
            }
            Event::Start(Tag::Heading {
                level, attrs, id, ..
            }) => {
                rendered
                    .markup
                    .extend(attrs.iter().map(|(name, _)| name.to_string()));
                rendered.markup.extend(id.map(|id| id.into_string()));
                if quotations == 0 {
                    assert!(level <= HeadingLevel::H2);
                    rendered.titles += 1;
                }
            }
            Event::Start(Tag::BlockQuote(_)) => quotations += 1,
            Event::End(TagEnd::BlockQuote(_)) => quotations -= 1,
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                rendered.text.push_str(&info)
            }
            Event::Text(text) | Event::Code(text) => rendered.text.push_str(&text),
            Event::SoftBreak | Event::HardBreak | Event::End(_) => rendered.text.push('\n'),
            Event::InlineMath(math) | Event::DisplayMath(math) => {
                rendered.markup.push(math.into_string())
            }
            Event::FootnoteReference(name) => rendered.markup.push(name.into_string()),
            Event::Start(_) | Event::Rule | Event::TaskListMarker(_) => {}
        }
    }
    rendered
}

fn is_web(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("http://")
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !matches!(letter, 'a'..='z' | 'ä' | 'ß'))
        .filter(|word| !word.is_empty())
}

/// The tags of a page, without what is in them.
fn tags(html: &str) -> Vec<&str> {
    let opened = html.split('<').skip(1);
    opened
        .map(|tag| tag.split(['>', ' ', '\n']).next().unwrap_or_default())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn markdown_shows_what_was_said_as_text(text in said()) {
        let (lines, text) = log(&text);
        let markdown = exported(&lines, &text, Format::Markdown);
        for options in [Options::empty(), Options::all()] {
            let rendered = rendered(&markdown, options);
            prop_assert_eq!(&rendered.markup, &Vec::<String>::new(), "in:\n{}", markdown);
            // One for the conversation and each event but the last: nobody can pose as another.
            prop_assert_eq!(rendered.titles, lines.len(), "in:\n{}", markdown);
            for word in words(&text) {
                prop_assert!(rendered.text.contains(word), "no {} in:\n{}", word, markdown);
            }
        }
    }

    /// As often as the words stand in a message alone, so often they come out.
    #[test]
    fn no_word_of_a_message_is_lost(text in said()) {
        let message = json!({"llm_message": {"role": "user", "content": [{"type": "text", "text": text}]}});
        let markdown = exported(&[event(0, "MessageEvent", message)], "", Format::Markdown);
        for options in [Options::empty(), Options::all()] {
            let shown = rendered(&markdown, options).text;
            let mut rest = &shown[..];
            for word in words(&text) {
                let at = rest.find(word);
                prop_assert!(at.is_some(), "no {} in {:?} of:\n{}", word, rest, markdown);
                rest = &rest[at.unwrap() + word.len()..];
            }
        }
    }

    #[test]
    fn a_page_has_the_tags_that_are_ours_and_no_others(text in said()) {
        // As long as before, also as JSON: what is long is shown otherwise.
        let plain: String = text
            .chars()
            .map(|letter| match letter {
                '<' | '>' | '&' | '\'' => 'x',
                '"' => '\\',
                other => other,
            })
            .collect();
        let page = |text: &str| exported(&log(text).0, text, Format::Html);
        let (hostile, plain) = (page(&text), page(&plain));
        prop_assert_eq!(tags(&hostile), tags(&plain), "in:\n{}", hostile);
        prop_assert!(!hostile.contains("href=\"javascript"));
    }
}

#[test]
fn the_well_known_ways_out_are_closed() {
    for text in [
        "```\n```\n<script>alert(1)</script>",
        "- ~~~\n\n```\n~~~\n<script>\n```",
        "x | y\n-|-\n`| <script>` | z",
        "x\n:-:\n`| <script>`",
        "`a\n<script>`",
        "[a]: javascript:x\n\n[a]",
        "\u{2028}<b>",
        "\r<b>",
    ] {
        let (lines, _) = log(text);
        let markdown = exported(&lines, text, Format::Markdown);
        for options in [Options::empty(), Options::all()] {
            let rendered = rendered(&markdown, options);
            assert_eq!(
                rendered.markup,
                Vec::<String>::new(),
                "{text:?} in:\n{markdown}"
            );
            assert_eq!(rendered.titles, lines.len(), "{text:?} in:\n{markdown}");
        }
    }
}
