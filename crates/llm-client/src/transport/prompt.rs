//! A conversation as it is sent. It grows by a step's messages at a time, and what was written of it once
//! is not written again.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use core_model::{LlmSettings, Role};
use serde::Serialize;
use serde_json::{Map, Value};

use super::outgoing::Outgoing;
use crate::adjustments::Adjustments;
use crate::format::{Format, ListPart};
use crate::provider::Route;
use crate::{ModelError, ModelMessage, ModelRequest};

/// So many replies at the end of a conversation are written anew each time, with what follows them:
/// formats mark the end of what shall be cached there.
const REPLIES_WRITTEN_ANEW: usize = 3;

/// How a request is written.
#[derive(Clone, Copy)]
pub(super) struct Form<'a> {
    pub(super) format: &'static dyn Format,
    pub(super) settings: &'a LlmSettings,
    pub(super) route: &'a Route,
}

/// What is known of a conversation after a request, for the next one.
pub(super) struct Prompt {
    adjustments: Adjustments,
    /// The messages as they were given,
    given: Vec<Arc<ModelMessage>>,
    outgoing: Outgoing,
    /// and as they are sent.
    pub(super) sent: Vec<Arc<ModelMessage>>,
    /// The ids of all calls, given and sent.
    pub(super) call_ids: BTreeSet<String>,
    images: usize,
    beginning: Beginning,
    /// Bytes of the body before.
    last_length: usize,
}

/// The first part of a conversation in the provider's form.
#[derive(Default)]
struct Beginning {
    /// The elements of the list as JSON, each with a comma behind it.
    json: Vec<u8>,
    /// How many messages that is,
    messages: usize,
    /// and how many images.
    images: usize,
    /// What it was written with.
    fields: Map<String, Value>,
    images_left_out: usize,
}

impl Prompt {
    pub(super) fn new(adjustments: Adjustments) -> Self {
        Self {
            outgoing: Outgoing::new(adjustments.clone()),
            adjustments,
            given: Vec::new(),
            sent: Vec::new(),
            call_ids: BTreeSet::new(),
            images: 0,
            beginning: Beginning::default(),
            last_length: 0,
        }
    }

    /// Whether a request with these adjustments begins as this conversation does.
    pub(super) fn is_beginning_of(
        &self,
        messages: &[Arc<ModelMessage>],
        adjustments: &Adjustments,
    ) -> bool {
        let same = |(given, message): (&Arc<_>, &Arc<_>)| Arc::ptr_eq(given, message);
        self.given.len() <= messages.len()
            && self.given.iter().zip(messages).all(same)
            && self.adjustments == *adjustments
    }

    /// Takes what is new of a request that begins as this conversation does.
    pub(super) fn extend(&mut self, messages: &[Arc<ModelMessage>]) {
        for message in messages.iter().skip(self.given.len()) {
            let sent = self.outgoing.next(message);
            for message in [message, &sent] {
                let ids = message.calls().map(|call| call.id.clone());
                self.call_ids.extend(ids);
            }
            self.images += sent.images().count();
            self.sent.push(sent);
            self.given.push(Arc::clone(message));
        }
    }

    /// The request as it is sent.
    pub(super) fn request(&self, of: &ModelRequest) -> ModelRequest {
        ModelRequest {
            messages: self.sent.clone(),
            tools: of.tools.clone(),
            cache_key: of.cache_key.clone(),
        }
    }

    /// The bytes of a body whose `fields` were made for [`Self::request`]. `left_out`: fields that are not
    /// sent.
    ///
    /// # Errors
    /// [`ModelError::Configuration`] when it cannot be written.
    pub(super) fn body(
        &mut self,
        with: Form<'_>,
        fields: &Map<String, Value>,
        left_out: &BTreeSet<&'static str>,
    ) -> Result<Vec<u8>, ModelError> {
        let kept = fields.iter();
        let kept = kept.filter(|(name, _)| !left_out.contains(name.as_str()));
        let kept: BTreeMap<&String, &Value> = kept.collect();
        let mut body = Vec::with_capacity(self.last_length + self.last_length / 8);
        write(&kept, &mut body)?;
        let list = with.format.list_field();
        // The settings may have given it.
        if !fields.contains_key(list) {
            self.lengthen_beginning(with, fields)?;
            // Instead of the brace at the end.
            body.pop();
            let comma = if kept.is_empty() { "" } else { "," };
            body.extend_from_slice(format!("{comma}\"{list}\":[").as_bytes());
            body.extend_from_slice(&self.beginning.json);
            self.write_part(
                with,
                fields,
                self.beginning.messages..self.sent.len(),
                &mut body,
            )?;
            if body.ends_with(b",") {
                body.pop();
            }
            body.extend_from_slice(b"]}");
        }
        self.last_length = body.len();
        Ok(body)
    }

    /// Writes what has become part of the beginning; all of it when it is to be written in another way.
    fn lengthen_beginning(
        &mut self,
        with: Form<'_>,
        fields: &Map<String, Value>,
    ) -> Result<(), ModelError> {
        let images_left_out = with.format.images_left_out(self.images);
        let mut beginning = std::mem::take(&mut self.beginning);
        if beginning.images_left_out != images_left_out || beginning.fields != *fields {
            beginning = Beginning {
                fields: fields.clone(),
                images_left_out,
                ..Beginning::default()
            };
        }
        self.beginning = beginning;
        let start = self.beginning.messages;
        let end = self.end_of_beginning();
        if end > start {
            let mut json = std::mem::take(&mut self.beginning.json);
            self.write_part(with, fields, start..end, &mut json)?;
            self.beginning.json = json;
            self.beginning.images += images_in(&self.sent[start..end]);
            self.beginning.messages = end;
        }
        Ok(())
    }

    /// Conversations can be split before a reply that calls tools and follows a result.
    fn end_of_beginning(&self) -> usize {
        let start = self.beginning.messages;
        let new = start + 1..self.sent.len();
        let mut ends = new.rev().filter(|at| {
            self.sent[*at].calls().next().is_some() && self.sent[at - 1].role() == Role::Tool
        });
        ends.nth(REPLIES_WRITTEN_ANEW - 1).unwrap_or(start)
    }

    /// Appends the elements of a part, each with a comma behind it.
    fn write_part(
        &self,
        with: Form<'_>,
        fields: &Map<String, Value>,
        range: Range<usize>,
        json: &mut Vec<u8>,
    ) -> Result<(), ModelError> {
        let part = ListPart {
            messages: &self.sent[range.clone()],
            is_first: range.start == 0,
            is_last: range.end == self.sent.len(),
            images_before: self.beginning.images,
            images: self.images,
        };
        for element in with.format.list(with.settings, with.route, fields, part) {
            write(&element, json)?;
            json.push(b',');
        }
        Ok(())
    }
}

fn images_in(messages: &[Arc<ModelMessage>]) -> usize {
    let images = messages.iter().map(|message| message.images().count());
    images.sum()
}

fn write(value: &impl Serialize, json: &mut Vec<u8>) -> Result<(), ModelError> {
    serde_json::to_writer(json, value).map_err(|error| {
        ModelError::Configuration(format!("the request cannot be written: {error}"))
    })
}

#[cfg(test)]
mod tests;
