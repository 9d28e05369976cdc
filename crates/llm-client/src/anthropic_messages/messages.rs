use serde_json::Value;

use super::content::{blocks, text, tool_result, tool_use};
use super::images::Images;
use crate::call_ids::CallIds;
use crate::format::ListPart;
use crate::{AssistantMessage, Block, ModelMessage, Part, provider::Route};

/// A conversation as Messages has it: users and the model speak by turns, a user first and last, and
/// what tools answer is what a user says.
#[derive(Debug, Default)]
pub(super) struct Prompt {
    /// The system messages before anything else.
    pub(super) system: Vec<Value>,
    pub(super) turns: Vec<Turn>,
}

/// One message: all that one side says before the other does.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) role: Role,
    /// Never empty.
    pub(super) content: Vec<Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    User,
    Assistant,
}

const NO_RESULT: &str = "[No result of this call was recorded.]";
const BEGINNING: &str = "[The conversation begins here.]";
/// Between two replies, and at the end: a request must not end with what the model said.
const GO_ON: &str = "Continue.";

/// A part of a request's messages in this form. A longer conversation begins with what a shorter one
/// gives, so that caches and signatures hold.
pub(super) fn prompt(route: &Route, part: &ListPart<'_>) -> Prompt {
    let mut builder = PromptBuilder {
        route,
        images: Images::of(part, route.capabilities.takes_images()),
        calls: CallIds::default(),
        is_beginning: part.is_first,
        prompt: Prompt::default(),
    };
    for message in part.messages {
        builder.add(message);
    }
    builder.finish()
}

struct PromptBuilder<'a> {
    route: &'a Route,
    images: Images,
    calls: CallIds,
    /// Nothing of the conversation stands before what is built.
    is_beginning: bool,
    prompt: Prompt,
}

impl PromptBuilder<'_> {
    fn add(&mut self, message: &ModelMessage) {
        match message {
            ModelMessage::System(content) if self.is_beginning && self.prompt.turns.is_empty() => {
                let content = blocks(content, &mut self.images).into_iter();
                // An image has no place there.
                let texts = content.filter(|block| block["type"] == "text");
                self.prompt.system.extend(texts);
            }
            ModelMessage::System(content) | ModelMessage::User(content) => {
                let content = blocks(content, &mut self.images);
                self.say(Role::User, content);
            }
            ModelMessage::Assistant(said) => {
                self.answer_open_calls();
                let content = self.reply(said);
                if !content.is_empty() && self.last_said() == Some(Role::Assistant) {
                    // As it was when the model was asked for this one.
                    self.go_on();
                }
                self.say(Role::Assistant, content);
            }
            ModelMessage::ToolResult {
                call_id,
                tool,
                content,
            } => {
                let content = blocks(content, &mut self.images);
                match self.calls.result(call_id) {
                    Some(id) => self.answer(tool_result(&id, content)),
                    None => {
                        let what = text(&format!("[A result of the tool {tool}:]"));
                        self.say(Role::User, what.into_iter().chain(content).collect());
                    }
                }
            }
        }
    }

    fn last_said(&self) -> Option<Role> {
        self.prompt.turns.last().map(|turn| turn.role)
    }

    fn go_on(&mut self) {
        self.say(Role::User, text(GO_ON).into_iter().collect());
    }

    fn say(&mut self, role: Role, content: Vec<Value>) {
        let turns = &mut self.prompt.turns;
        match turns.last_mut() {
            _ if content.is_empty() => {}
            Some(turn) if turn.role == role => turn.content.extend(content),
            Some(_) | None => turns.push(Turn { role, content }),
        }
    }

    /// Adds a result of the last reply's calls: results come before all else that a user says.
    fn answer(&mut self, result: Value) {
        match self.prompt.turns.last_mut() {
            Some(turn) if turn.role == Role::User => {
                let results = turn.content.iter();
                let results = results.take_while(|block| block["type"] == "tool_result");
                let end = results.count();
                turn.content.insert(end, result);
            }
            Some(_) | None => self.say(Role::User, vec![result]),
        }
    }

    fn answer_open_calls(&mut self) {
        for id in self.calls.unanswered() {
            let content = text(NO_RESULT).into_iter().collect();
            self.answer(tool_result(&id, content));
        }
    }

    fn reply(&mut self, said: &AssistantMessage) -> Vec<Value> {
        let mut content: Vec<Value> = Vec::with_capacity(said.blocks.len());
        for block in &said.blocks {
            content.extend(match &block.part {
                Part::Reasoning(_) => thinking_block(said, block, self.route).cloned(),
                Part::Text(said) => text(said),
                Part::Call(call) => Some(tool_use(&self.calls.call(&call.id), call)),
            });
        }
        // Nothing may end with a thought: it was cut off there, and what follows it is missing.
        while content.last().is_some_and(is_thinking) {
            content.pop();
        }
        content
    }

    fn finish(mut self) -> Prompt {
        self.answer_open_calls();
        let turns = &mut self.prompt.turns;
        let first = turns.first().map(|turn| turn.role);
        if self.is_beginning && first != Some(Role::User) {
            let content = text(BEGINNING).into_iter().collect();
            turns.insert(
                0,
                Turn {
                    role: Role::User,
                    content,
                },
            );
        }
        if self.last_said() == Some(Role::Assistant) {
            self.go_on();
        }
        self.prompt
    }
}

/// The thought as this model signed it; others are no use to it and would be refused.
fn thinking_block<'a>(
    said: &'a AssistantMessage,
    block: &'a Block,
    route: &Route,
) -> Option<&'a Value> {
    let state = said.state_for(&route.made_by, block)?;
    let seal = match state["type"].as_str()? {
        "thinking" => &state["signature"],
        "redacted_thinking" => &state["data"],
        _ => return None,
    };
    let sealed = seal.as_str().is_some_and(|seal| !seal.is_empty());
    sealed.then_some(state)
}

pub(super) fn is_thinking(block: &Value) -> bool {
    matches!(
        block["type"].as_str(),
        Some("thinking" | "redacted_thinking")
    )
}

impl Prompt {
    /// Whether the model has called tools since the user last spoke and had no thought before it did.
    /// Where thinking is by budget, such a turn and a request to think do not go together.
    pub(super) fn turn_without_thinking(&self) -> bool {
        let has = |turn: &Turn, kind: &str| turn.content.iter().any(|block| block["type"] == kind);
        let this_turn = self.turns.iter().rev();
        let this_turn =
            this_turn.take_while(|turn| turn.role == Role::Assistant || has(turn, "tool_result"));
        let mut replies = this_turn
            .filter(|turn| turn.role == Role::Assistant)
            .peekable();
        let calls = replies.peek().is_some_and(|last| has(last, "tool_use"));
        calls && !replies.any(|reply| reply.content.first().is_some_and(is_thinking))
    }

    /// Removes all thoughts: with thinking switched off, those of the last reply are refused.
    pub(super) fn forget_thoughts(&mut self) {
        for turn in &mut self.turns {
            turn.content.retain(|block| !is_thinking(block));
        }
    }
}

impl Role {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}
