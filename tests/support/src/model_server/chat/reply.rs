use serde_json::{Value, json};

use super::super::render::{Answer, event};
use super::super::said::{Said, SaidPart, Stop, Style, Usage, pieces};

const CREATED: u64 = 1_700_000_000;

pub(super) fn answer(said: &Said, asked: &Value) -> Answer {
    let reply = ChatReply::new(said);
    let with_usage = asked["stream_options"]["include_usage"] == true;
    Answer {
        whole: reply.whole(),
        events: reply.events(with_usage),
        items: vec![reply.message.clone()],
    }
}

struct ChatReply<'a> {
    said: &'a Said,
    id: String,
    text: String,
    reasoning: String,
    calls: Vec<Value>,
    details: Vec<Value>,
    message: Value,
}

impl<'a> ChatReply<'a> {
    fn new(said: &'a Said) -> Self {
        let mut reply = Self {
            said,
            id: format!("chatcmpl-{}", said.number),
            text: String::new(),
            reasoning: String::new(),
            calls: Vec::new(),
            details: Vec::new(),
            message: Value::Null,
        };
        for item in &said.items {
            match &item.part {
                SaidPart::Text(text) => reply.text.push_str(text),
                SaidPart::Reasoning(text) => {
                    reply.reasoning.push_str(text);
                    reply.details.push(json!({
                        "type": "reasoning.text", "text": text, "signature": format!("sig{}", item.number),
                        "format": "anthropic-claude-v1", "id": null, "index": 0}));
                }
                SaidPart::HiddenReasoning => reply.details.push(json!({
                    "type": "reasoning.encrypted", "data": format!("data{}", item.number),
                    "format": "anthropic-claude-v1", "id": null, "index": 0})),
                SaidPart::Call { tool, arguments } => {
                    let call = call(item.number, tool, arguments, said.style);
                    reply.calls.push(call);
                }
            }
        }
        if !said.style.reasoning_details {
            reply.details.clear();
        }
        reply.message = reply.message();
        reply
    }

    fn message(&self) -> Value {
        let content = match self.text.is_empty() && !self.calls.is_empty() {
            true => Value::Null,
            false => json!(self.text),
        };
        let mut message = json!({"role": "assistant", "content": content, "refusal": null});
        if !self.reasoning.is_empty() {
            message["reasoning_content"] = json!(self.reasoning);
        }
        if !self.details.is_empty() {
            message["reasoning_details"] = json!(self.details);
        }
        if !self.calls.is_empty() {
            message["tool_calls"] = json!(self.calls);
        }
        message
    }

    fn finish_reason(&self) -> &'static str {
        match self.said.stop {
            Stop::Length => "length",
            Stop::Filtered => "content_filter",
            Stop::Done if self.calls.is_empty() => "stop",
            Stop::Done => "tool_calls",
        }
    }

    fn whole(&self) -> Value {
        let choice = json!({"index": 0, "message": self.message, "logprobs": null,
                            "finish_reason": self.finish_reason()});
        json!({"id": self.id, "object": "chat.completion", "created": CREATED, "model": self.said.model,
               "choices": [choice], "usage": usage(self.said.usage)})
    }

    fn events(&self, with_usage: bool) -> Vec<String> {
        let chunk = |choices: Value, usage: Value| {
            let mut chunk = json!({"id": self.id, "object": "chat.completion.chunk", "created": CREATED,
                                   "model": self.said.model, "choices": choices});
            if with_usage {
                chunk["usage"] = usage;
            }
            event(&chunk.to_string())
        };
        let ends = |delta: Value, reason: Value| {
            let choices = json!([{"index": 0, "delta": delta, "finish_reason": reason}]);
            chunk(choices, Value::Null)
        };
        let delta = |delta: Value| ends(delta, Value::Null);
        let mut events = vec![delta(json!({"role": "assistant", "content": ""}))];
        for piece in pieces(&self.reasoning) {
            events.push(delta(json!({"reasoning_content": piece})));
        }
        for details in &self.details {
            events.push(delta(json!({"reasoning_details": [details]})));
        }
        for piece in pieces(&self.text) {
            events.push(delta(json!({"content": piece})));
        }
        for (index, call) in self.calls.iter().enumerate() {
            let mut begun = call.clone();
            begun["index"] = json!(index);
            begun["function"]["arguments"] = json!("");
            events.push(delta(json!({"tool_calls": [begun]})));
            let arguments = call["function"]["arguments"].as_str().unwrap_or_default();
            for piece in pieces(arguments) {
                let function = json!({"arguments": piece});
                let piece = json!([{"index": index, "function": function}]);
                events.push(delta(json!({"tool_calls": piece})));
            }
        }
        events.push(ends(json!({}), json!(self.finish_reason())));
        if with_usage {
            events.push(chunk(json!([]), usage(self.said.usage)));
        }
        events.push(event("[DONE]"));
        events
    }
}

fn call(number: usize, tool: &str, arguments: &str, style: Style) -> Value {
    let id = match style.nine_character_ids {
        true => format!("{number:09}"),
        false => format!("call_{number}"),
    };
    let mut call = json!({"id": id, "type": "function",
                          "function": {"name": tool, "arguments": arguments}});
    if style.thought_signatures {
        let signature = json!({"google": {"thought_signature": format!("sig{number}")}});
        call["extra_content"] = signature;
    }
    call
}

fn usage(usage: Usage) -> Value {
    let prompt = usage.prompt;
    json!({"prompt_tokens": prompt.input, "completion_tokens": usage.output,
           "total_tokens": prompt.input + usage.output,
           "prompt_tokens_details": {"cached_tokens": prompt.cache_read},
           "completion_tokens_details": {"reasoning_tokens": usage.reasoning}})
}
