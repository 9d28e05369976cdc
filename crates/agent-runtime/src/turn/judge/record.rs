//! What the judge is shown of the work.

use llm_client::ModelMessage;

/// The work in words, oldest part first: no message longer than `longest` characters, and no more than
/// `most` in all; what is left out is the oldest. Agents' instructions are not part of it.
pub(super) fn record(messages: &[ModelMessage], longest: usize, most: usize) -> String {
    let mut parts = Vec::new();
    let mut left = most;
    for message in messages.iter().rev() {
        let Some(part) = described(message, longest) else {
            continue;
        };
        let chars = part.chars().count();
        if chars > left {
            parts.push("[the oldest part is left out]".to_owned());
            break;
        }
        left -= chars;
        parts.push(part);
    }
    parts.reverse();
    parts.join("\n\n")
}

fn described(message: &ModelMessage, longest: usize) -> Option<String> {
    let who = match message {
        ModelMessage::System(_) => return None,
        ModelMessage::User(_) => "USER".to_owned(),
        ModelMessage::Assistant(_) => "AGENT".to_owned(),
        ModelMessage::ToolResult { tool, .. } => format!("RESULT of {tool}"),
    };
    let mut described = format!("{who}: {}", without_middle(message.text().trim(), longest));
    for call in message.calls() {
        let arguments = without_middle(&call.arguments, longest);
        described.push_str(&format!("\nCALLS {}: {arguments}", call.name));
    }
    Some(described)
}

/// How a command ended stands at the end of its output, so both ends stay.
fn without_middle(text: &str, longest: usize) -> String {
    let chars = text.chars().count();
    if chars <= longest {
        return text.to_owned();
    }
    let head: String = text.chars().take(longest / 2).collect();
    let tail: String = text.chars().skip(chars - longest / 2).collect();
    format!("{head}\n[cut: the middle was too long]\n{tail}")
}

#[cfg(test)]
mod tests {
    use core_model::Content;

    use super::*;

    fn said(text: &str) -> ModelMessage {
        ModelMessage::User(vec![Content::text(text)])
    }

    #[test]
    fn long_texts_lose_their_middle_and_long_records_their_oldest_part() {
        let messages = [
            ModelMessage::System(vec![Content::text("instructions")]),
            said("the first"),
            said("0123456789"),
        ];
        assert_eq!(
            record(&messages, 100, 1_000),
            "USER: the first\n\nUSER: 0123456789"
        );
        assert_eq!(
            record(&messages, 4, 50),
            "[the oldest part is left out]\n\nUSER: 01\n[cut: the middle was too long]\n89"
        );
    }
}
