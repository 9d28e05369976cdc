//! A conversation as it is sent. It grows by a step's messages at a time, and what was written of it once
//! is not written again.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
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
    /// and the request as it is sent.
    pub(super) sent: ModelRequest,
    /// The ids of all calls, given and sent.
    pub(super) call_ids: BTreeSet<String>,
    images: usize,
    /// The last body,
    body: Bytes,
    /// and what of it is the next one's too.
    beginning: Beginning,
}

/// The first part of a conversation in the provider's form: the list's elements, each with a comma behind it,
/// stand first in the body.
#[derive(Default)]
struct Beginning {
    /// Where it ends in the last body.
    bytes: usize,
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
            sent: ModelRequest::default(),
            call_ids: BTreeSet::new(),
            images: 0,
            body: Bytes::new(),
            beginning: Beginning::default(),
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
    pub(super) fn extend(&mut self, request: &ModelRequest) {
        self.sent.tools.clone_from(&request.tools);
        self.sent.cache_key.clone_from(&request.cache_key);
        for message in request.messages.iter().skip(self.given.len()) {
            let sent = self.outgoing.next(message);
            for message in [message, &sent] {
                let ids = message.calls().map(|call| call.id.clone());
                self.call_ids.extend(ids);
            }
            self.images += sent.images().count();
            self.sent.messages.push(sent);
            self.given.push(Arc::clone(message));
        }
    }

    /// The bytes of a body whose `fields` were made for [`Self::sent`]. `left_out`: fields that are not
    /// sent.
    ///
    /// # Errors
    /// [`ModelError::Configuration`] when it cannot be written.
    pub(super) fn body(
        &mut self,
        with: Form<'_>,
        fields: &Map<String, Value>,
        left_out: &BTreeSet<&'static str>,
    ) -> Result<Bytes, ModelError> {
        let kept = fields.iter();
        let kept = kept.filter(|(name, _)| !left_out.contains(name.as_str()));
        let kept: BTreeMap<&String, &Value> = kept.collect();
        let mut others = BytesMut::new();
        write(&kept, &mut others)?;
        let list = with.format.list_field();
        if fields.contains_key(list) {
            // The settings give it.
            return Ok(others.freeze());
        }
        let mut body = self.begun_body(with, fields);
        let start = self.beginning.messages;
        let end = self.end_of_beginning();
        self.write_part(with, fields, start..end, &mut body)?;
        self.beginning.images += images_in(&self.sent.messages[start..end]);
        self.beginning.messages = end;
        self.beginning.bytes = body.len();
        self.write_part(with, fields, end..self.sent.messages.len(), &mut body)?;
        if body.ends_with(b",") {
            body.truncate(body.len() - 1);
        }
        body.extend_from_slice(if kept.is_empty() { b"]" } else { b"]," });
        body.extend_from_slice(&others[1..]);
        self.body = body.freeze();
        Ok(self.body.clone())
    }

    /// The beginning as it was written for the last request. Nothing of it when it is to be written in
    /// another way.
    fn begun_body(&mut self, with: Form<'_>, fields: &Map<String, Value>) -> BytesMut {
        let images_left_out = with.format.images_left_out(self.images);
        let beginning = &self.beginning;
        let fits = beginning.bytes > 0
            && beginning.images_left_out == images_left_out
            && beginning.fields == *fields;
        if !fits {
            self.beginning = Beginning {
                fields: fields.clone(),
                images_left_out,
                ..Beginning::default()
            };
            let list = with.format.list_field();
            return BytesMut::from(format!("{{\"{list}\":[").as_bytes());
        }
        let written = beginning.bytes;
        // The last request has been sent, so its bytes need not be copied.
        let last = std::mem::take(&mut self.body).try_into_mut();
        let mut body = last.unwrap_or_else(|last| BytesMut::from(&last[..written]));
        body.truncate(written);
        body
    }

    /// Conversations can be split before a reply that calls tools and follows a result.
    fn end_of_beginning(&self) -> usize {
        let start = self.beginning.messages;
        let new = start + 1..self.sent.messages.len();
        let mut ends = new.rev().filter(|at| {
            self.sent.messages[*at].calls().next().is_some()
                && self.sent.messages[at - 1].role() == Role::Tool
        });
        ends.nth(REPLIES_WRITTEN_ANEW - 1).unwrap_or(start)
    }

    /// Appends the elements of a part, each with a comma behind it.
    fn write_part(
        &self,
        with: Form<'_>,
        fields: &Map<String, Value>,
        range: Range<usize>,
        json: &mut BytesMut,
    ) -> Result<(), ModelError> {
        if range.is_empty() {
            return Ok(());
        }
        let part = ListPart {
            messages: &self.sent.messages[range.clone()],
            is_first: range.start == 0,
            is_last: range.end == self.sent.messages.len(),
            images_before: self.beginning.images,
            images: self.images,
        };
        for element in with.format.list(with.settings, with.route, fields, part) {
            write(&element, json)?;
            json.extend_from_slice(b",");
        }
        Ok(())
    }
}

fn images_in(messages: &[Arc<ModelMessage>]) -> usize {
    let images = messages.iter().map(|message| message.images().count());
    images.sum()
}

fn write(value: &impl Serialize, json: &mut BytesMut) -> Result<(), ModelError> {
    serde_json::to_writer(json.writer(), value).map_err(|error| {
        ModelError::Configuration(format!("the request cannot be written: {error}"))
    })
}

#[cfg(test)]
mod tests;
