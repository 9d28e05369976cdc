use std::sync::Mutex;

use core_model::{Content, MessageToolCall};
use serde_json::json;

use super::*;
use crate::{AssistantMessage, Block, ModelMessage, ToolSpec};

/// Answers with a text, in pieces of three characters.
struct Answers {
    text: &'static str,
    asked: Mutex<Vec<ModelRequest>>,
}

#[async_trait]
impl Model for Answers {
    fn name(&self) -> &str {
        "answers"
    }

    async fn reply(
        &self,
        request: &ModelRequest,
        on_delta: &(dyn Fn(Delta) + Send + Sync),
    ) -> Result<ModelReply, ModelError> {
        self.asked.lock().unwrap().push(request.clone());
        let characters: Vec<char> = self.text.chars().collect();
        for piece in characters.chunks(3) {
            on_delta(Delta::Text(piece.iter().collect()));
        }
        Ok(ModelReply {
            blocks: vec![Block::text(self.text)],
            ..ModelReply::default()
        })
    }
}

fn request(messages: Vec<ModelMessage>) -> ModelRequest {
    let tool = |name: &str| ToolSpec {
        name: name.to_owned(),
        description: format!("what {name} does"),
        parameters: json!({"type": "object"}),
    };
    ModelRequest {
        tools: vec![tool("terminal"), tool("think")],
        ..ModelRequest::of(messages)
    }
}

/// What a model that answers with `text` is taken to say, what is told of it, and its request.
async fn answered(
    text: &'static str,
    only_text: bool,
    messages: Vec<ModelMessage>,
) -> (ModelReply, String, ModelRequest) {
    let model = Arc::new(Answers {
        text,
        asked: Mutex::default(),
    });
    let heard = Mutex::new(String::new());
    let hear = |delta| match delta {
        Delta::Text(text) => heard.lock().unwrap().push_str(&text),
        Delta::Reasoning(_) | Delta::Discarded => panic!("more than text"),
    };
    let text_calls = TextCalls::new(model.clone(), only_text);
    let reply = text_calls.reply(&request(messages), &hear).await.unwrap();
    let asked = model.asked.lock().unwrap().remove(0);
    (reply, heard.into_inner().unwrap(), asked)
}

fn calls(reply: &ModelReply) -> Vec<(&str, &str)> {
    let calls = reply.calls();
    calls
        .map(|call| (call.name.as_str(), call.arguments.as_str()))
        .collect()
}

#[tokio::test]
async fn a_model_is_told_of_its_tools_and_of_what_it_called() {
    let call = |id: &str| Block::call(MessageToolCall::new(id, "think", r#"{"thought":"q"}"#));
    let result = |id: &str, text: &str| ModelMessage::ToolResult {
        call_id: id.to_owned(),
        tool: "think".to_owned(),
        content: vec![Content::text(text)],
    };
    let user = |text: &str| ModelMessage::User(vec![Content::text(text)]);
    let messages = vec![
        ModelMessage::System(vec![Content::text("be good")]),
        user("hello"),
        ModelMessage::Assistant(AssistantMessage {
            blocks: vec![Block::text("hm"), call("a"), call("b")],
            made_by: None,
        }),
        result("a", "one"),
        result("b", "two"),
        user("more"),
    ];
    let (_, _, asked) = answered("yes", true, messages).await;
    assert_eq!(asked.tools, []);
    let texts: Vec<String> = asked
        .messages
        .iter()
        .map(|message| message.text())
        .collect();
    assert!(texts[0].starts_with("be good\n# Tools"), "{}", texts[0]);
    assert!(texts[0].contains("what terminal does"), "{}", texts[0]);
    let called =
        "<tool_call>\n{\"name\":\"think\",\"arguments\":{\"thought\":\"q\"}}\n</tool_call>";
    assert_eq!(texts[2], format!("hm\n{called}\n{called}"));
    let shown = |text: &str| format!("<tool_result name=\"think\">\n{text}\n</tool_result>");
    assert_eq!(
        texts[3],
        format!("{}\n{}\nmore", shown("one"), shown("two"))
    );
    assert_eq!(texts.len(), 4);
}

#[tokio::test]
async fn calls_as_they_were_asked_for_are_read_and_not_told() {
    let text = "I look.\n<tool_call>\n{\"name\": \"terminal\", \"arguments\": {\"command\": \"ls\"}}\n\
                </tool_call>\n<tool_call>{\"name\": \"think\", \"arguments\": {}}</tool_call>\n\
                <tool_result>\nnonsense";
    let (reply, heard, _) = answered(text, true, Vec::new()).await;
    let expected = [("terminal", r#"{"command":"ls"}"#), ("think", "{}")];
    assert_eq!(calls(&reply), expected);
    assert_eq!(
        (reply.text().as_str(), heard.as_str()),
        ("I look.", "I look.\n")
    );
    let ids: Vec<&String> = reply.calls().map(|call| &call.id).collect();
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test]
async fn a_call_that_cannot_be_read_is_handed_on_to_be_answered() {
    for (text, name, arguments) in [
        (
            "<tool_call>{\"name\": \"terminal\", \"arguments\": {\"command\": \"a\nb\"}}</tool_call>",
            "terminal",
            "{\"command\": \"a\nb\"}",
        ),
        (
            "<tool_call>{\"name\": \"terminal\", \"arguments\": {\"command\": \"cut o",
            "terminal",
            "{\"command\": \"cut o",
        ),
        ("<tool_call>ls -la</tool_call>", "unreadable", "ls -la"),
    ] {
        let (reply, _, _) = answered(text, true, Vec::new()).await;
        assert_eq!(calls(&reply), [(name, arguments)], "{text}");
    }
}

#[tokio::test]
async fn calls_that_a_model_writes_in_its_own_form_are_read() {
    for text in [
        r#"<tool_call>{"name": "terminal", "arguments": {"command": "ls"}}</tool_call>"#,
        "<tool_call>\n<function=terminal>\n<parameter=command>\nls\n</parameter>\n</function>\n</tool_call>",
        r#"<function=terminal>{"command":"ls"}</function>"#,
        r#"[TOOL_CALLS][{"name": "terminal", "arguments": {"command": "ls"}}]"#,
        r#"<|python_tag|>{"name": "terminal", "parameters": {"command": "ls"}}"#,
        r#"{"name": "terminal", "parameters": {"command": "ls"}}"#,
        r#"[{"name": "terminal", "arguments": "{\"command\":\"ls\"}"}]"#,
    ] {
        let (reply, _, _) = answered(text, false, Vec::new()).await;
        assert_eq!(
            calls(&reply),
            [("terminal", r#"{"command":"ls"}"#)],
            "{text}"
        );
        assert_eq!(reply.text(), "", "{text}");
    }
}

#[tokio::test]
async fn a_text_about_calls_is_a_text() {
    for text in [
        "Write <tool_call>{\"name\": \"other\", \"arguments\": {}}</tool_call> to call it.",
        "<tool_call> is the tag",
        r#"{"name": "Ada", "age": 3}"#,
        "{}",
        "plain",
    ] {
        let (reply, heard, asked) = answered(text, false, Vec::new()).await;
        assert_eq!((reply.text().as_str(), heard.as_str()), (text, text));
        assert_eq!(asked.tools.len(), 2);
    }
}
