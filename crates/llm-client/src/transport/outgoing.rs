//! A request as it can be sent: without what the provider refused, and with ids and names that every
//! provider takes.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use core_model::Content;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::adjustments::Adjustments;
use crate::wire_names::{is_legal, legal_id, legal_name, short_id};
use crate::{ModelMessage, ModelRequest, Part};

const REFUSED_IMAGE: &str = "[An image was left out: the model's provider refused it.]";
const NO_IMAGES: &str = "[An image was left out: the model takes none.]";

pub(super) fn outgoing<'a>(
    request: &'a ModelRequest,
    adjustments: &Adjustments,
) -> Cow<'a, ModelRequest> {
    let mut outgoing = Outgoing {
        adjustments,
        uses: BTreeMap::new(),
        latest: BTreeMap::new(),
    };
    let mut ids = BTreeSet::new();
    let mut calls = request.messages.iter().flat_map(ModelMessage::calls);
    let repeats = calls.any(|call| !ids.insert(&call.id));
    if !repeats
        && !request
            .messages
            .iter()
            .any(|message| outgoing.changes(message))
    {
        return Cow::Borrowed(request);
    }
    let mut changed = request.clone();
    for message in &mut changed.messages {
        outgoing.change(message);
    }
    Cow::Owned(changed)
}

/// The addresses of a message's images.
pub(super) fn images_of(message: &ModelMessage) -> impl Iterator<Item = &String> {
    let content = match message {
        ModelMessage::System(content)
        | ModelMessage::User(content)
        | ModelMessage::ToolResult { content, .. } => content.as_slice(),
        ModelMessage::Assistant(_) => &[],
    };
    content.iter().flat_map(|part| match part {
        Content::Text { .. } => &[],
        Content::Image { image_urls, .. } => image_urls.as_slice(),
    })
}

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

struct Outgoing<'a> {
    adjustments: &'a Adjustments,
    /// How often an id was used, as it is stored.
    uses: BTreeMap<String, usize>,
    /// What the ids of the latest calls became.
    latest: BTreeMap<String, String>,
}

impl Outgoing<'_> {
    fn changes(&self, message: &ModelMessage) -> bool {
        let id_changes = |id: &str| self.adjustments.short_call_ids || !is_legal(id);
        let call_changes = match message {
            ModelMessage::ToolResult { call_id, tool, .. } => {
                id_changes(call_id) || !is_legal(tool)
            }
            ModelMessage::System(_) | ModelMessage::User(_) | ModelMessage::Assistant(_) => {
                message.calls().any(|call| {
                    id_changes(&call.id) || !is_legal(&call.name) || !is_object(&call.arguments)
                })
            }
        };
        call_changes
            || texts_of(message).any(|text| text.contains('\0'))
            || images_of(message).any(|image| self.leaves_out_image(image))
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
        self.adjustments.no_images || self.adjustments.leaves_out(url)
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

/// Whether a text is a JSON object.
fn is_object(text: &str) -> bool {
    text.trim_start().starts_with('{') && serde_json::from_str::<IgnoredAny>(text).is_ok()
}

#[cfg(test)]
mod tests;
