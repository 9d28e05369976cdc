use serde_json::{Value, json};

use super::super::said::{Item, Said, SaidPart};

/// A reply's items. Reasoning is encrypted when that is asked for.
pub(super) fn output(said: &Said, encrypted: bool) -> Vec<Value> {
    let items = said.items.iter();
    items
        .map(|item| output_item(said, item, encrypted))
        .collect()
}

fn output_item(said: &Said, item: &Item, encrypted: bool) -> Value {
    let number = item.number;
    let status = match item.cut {
        true => "incomplete",
        false => "completed",
    };
    match &item.part {
        SaidPart::Text(text) => {
            let phase = match said.has_calls() {
                true => "commentary",
                false => "final_answer",
            };
            let part =
                json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []});
            json!({"id": format!("msg_{number:032}"), "type": "message", "role": "assistant",
                   "status": status, "phase": phase, "content": [part]})
        }
        SaidPart::Reasoning(text) => reasoning(
            item,
            &[json!({"type": "summary_text", "text": text})],
            encrypted,
        ),
        SaidPart::HiddenReasoning => reasoning(item, &[], encrypted),
        SaidPart::Call { tool, arguments } => {
            json!({"id": format!("fc_{number:032}"), "type": "function_call", "status": status,
                   "call_id": format!("call_{number:024}"), "name": tool, "arguments": arguments})
        }
    }
}

fn reasoning(item: &Item, summary: &[Value], encrypted: bool) -> Value {
    let number = item.number;
    let content = (encrypted && !item.cut).then(|| format!("gAAAAABo{number:016}=="));
    json!({"id": format!("rs_{number:032}"), "type": "reasoning", "summary": summary,
           "encrypted_content": content, "status": null})
}
