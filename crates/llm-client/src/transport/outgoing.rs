//! A request as it can be sent: without what the provider refused, and with ids and names that every
//! provider takes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use core_model::Content;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::adjustments::Adjustments;
use crate::wire_names::{is_legal, legal_id, legal_name, short_id};
use crate::{ModelMessage, Part};

const REFUSED_IMAGE: &str = "[An image was left out: the model's provider refused it.]";
const NO_IMAGES: &str = "[An image was left out: the model takes none.]";

/// What a message says and thinks.
fn texts_of(message: &ModelMessage) -> impl Iterator<Item = &str> {
    let (content, blocks) = match message {
        ModelMessage::System(content)
        | ModelMessage::User(content)
        | ModelMessage::ToolResult { content, .. } => (content.as_slice(), [].as_slice()),
        ModelMessage::Assistant(said) => ([].as_slice(), said.blocks.as_slice()),
    };
    let said = blocks.iter().filter_map(|block| match &block.part {
        Part::Text(text) | Part::Reasoning(text) => Some(text.as_str()),
        Part::Call(_) => None,
    });
    content.iter().filter_map(Content::as_text).chain(said)
}

/// What a provider wants back of a message.
pub(super) fn states_of(message: &ModelMessage) -> impl Iterator<Item = &Value> {
    let blocks = match message {
        ModelMessage::Assistant(said) => said.blocks.as_slice(),
        ModelMessage::System(_) | ModelMessage::User(_) | ModelMessage::ToolResult { .. } => &[],
    };
    blocks.iter().filter_map(|block| block.state.as_ref())
}

/// Takes the messages of a conversation, one after the other, and gives each as it can be sent.
pub(super) struct Outgoing {
    adjustments: Adjustments,
    /// How often an id was used, as it is stored.
    uses: BTreeMap<String, usize>,
    /// What the ids of the latest calls became.
    latest: BTreeMap<String, String>,
}

impl Outgoing {
    pub(super) fn new(adjustments: Adjustments) -> Self {
        Self {
            adjustments,
            uses: BTreeMap::new(),
            latest: BTreeMap::new(),
        }
    }

    /// The next message; the same one when nothing of it has to change.
    pub(super) fn next(&mut self, message: &Arc<ModelMessage>) -> Arc<ModelMessage> {
        if !self.changes(message) {
            self.note_ids(message);
            return Arc::clone(message);
        }
        let mut changed = message.as_ref().clone();
        self.change(&mut changed);
        Arc::new(changed)
    }

    /// For a message whose ids stay as they are.
    fn note_ids(&mut self, message: &ModelMessage) {
        if let ModelMessage::Assistant(_) = message {
            self.latest.clear();
            for call in message.calls() {
                self.id(&call.id);
            }
        }
    }

    fn changes(&self, message: &ModelMessage) -> bool {
        let id_changes = |id: &str| self.adjustments.short_call_ids || !is_legal(id);
        let call_changes = match message {
            ModelMessage::ToolResult { call_id, tool, .. } => {
                let latest = self.latest.get(call_id);
                latest.is_some_and(|id| id != call_id) || id_changes(call_id) || !is_legal(tool)
            }
            ModelMessage::System(_) | ModelMessage::User(_) | ModelMessage::Assistant(_) => {
                let mut ids = BTreeSet::new();
                message.calls().any(|call| {
                    let repeats = self.uses.contains_key(&call.id) || !ids.insert(&call.id);
                    repeats
                        || id_changes(&call.id)
                        || !is_legal(&call.name)
                        || !is_object(&call.arguments)
                })
            }
        };
        call_changes
            || texts_of(message).any(|text| text.contains('\0'))
            || message.images().any(|image| self.leaves_out_image(image))
            || states_of(message).any(|state| self.adjustments.leaves_out(state))
    }

    fn change(&mut self, message: &mut ModelMessage) {
        match message {
            ModelMessage::System(content) | ModelMessage::User(content) => self.content(content),
            ModelMessage::ToolResult {
                call_id,
                tool,
                content,
            } => {
                if let Some(id) = self.latest.get(call_id) {
                    call_id.clone_from(id);
                } else {
                    *call_id = self.legal(call_id);
                }
                *tool = legal_name(tool).into_owned();
                self.content(content);
            }
            ModelMessage::Assistant(said) => {
                self.latest.clear();
                for block in &mut said.blocks {
                    if let Part::Text(text) | Part::Reasoning(text) = &mut block.part {
                        replace_nul(text);
                    }
                    block
                        .state
                        .take_if(|state| self.adjustments.leaves_out(state));
                    if let Part::Call(call) = &mut block.part {
                        call.id = self.id(&call.id);
                        call.name = legal_name(&call.name).into_owned();
                        if !is_object(&call.arguments) {
                            call.arguments = "{}".to_owned();
                        }
                    }
                }
            }
        }
    }

    /// The id of a further call: unlike those before, also where the stored ones are not.
    fn id(&mut self, stored: &str) -> String {
        let uses = self.uses.entry(stored.to_owned()).or_default();
        *uses += 1;
        let id = match *uses {
            1 => self.legal(stored),
            again => self.legal(&format!("{stored}#{again}")),
        };
        self.latest.insert(stored.to_owned(), id.clone());
        id
    }

    fn legal(&self, id: &str) -> String {
        if self.adjustments.short_call_ids {
            short_id(id).into_owned()
        } else {
            legal_id(id).into_owned()
        }
    }

    fn leaves_out_image(&self, url: &String) -> bool {
        self.adjustments.no_images || self.adjustments.leaves_out(url) || is_empty_image(url)
    }

    /// Puts a note where an image is left out, and a sign where a NUL stands.
    fn content(&self, content: &mut Vec<Content>) {
        let note = if self.adjustments.no_images {
            NO_IMAGES
        } else {
            REFUSED_IMAGE
        };
        let parts = std::mem::take(content);
        for mut part in parts {
            let notes = match &mut part {
                Content::Text { text, .. } => {
                    replace_nul(text);
                    0
                }
                Content::Image { image_urls, .. } => {
                    let before = image_urls.len();
                    image_urls.retain(|url| !self.leaves_out_image(url));
                    before - image_urls.len()
                }
            };
            if !matches!(&part, Content::Image { image_urls, .. } if image_urls.is_empty()) {
                content.push(part);
            }
            content.extend(std::iter::repeat_n(Content::text(note), notes));
        }
    }
}

/// Some providers refuse a text with a NUL in it.
fn replace_nul(text: &mut String) {
    if text.contains('\0') {
        *text = text.replace('\0', "\u{2400}");
    }
}

/// Whether a `data:` URL holds nothing, as some tools give where they have no picture.
fn is_empty_image(url: &str) -> bool {
    let data = url
        .strip_prefix("data:")
        .and_then(|rest| rest.split_once(','));
    data.is_some_and(|(_, data)| data.trim().is_empty())
}

/// Whether a text is a JSON object.
fn is_object(text: &str) -> bool {
    text.trim_start().starts_with('{') && serde_json::from_str::<IgnoredAny>(text).is_ok()
}

#[cfg(test)]
mod tests;
