//! Answers that are built from bytes: events are JSON in their log already, and lists of conversations in
//! the store.

use std::marker::PhantomData;

use actix_web::{HttpRequest, HttpResponse, Responder, body::BoxBody};
use bytes::{BufMut, Bytes};
use paperclip::v2::models::DefaultOperationRaw;
use schemars::JsonSchema;
use serde_json::json;

use crate::{
    buf_list::BufList,
    describe::{self, describe},
};

/// The JSON of a `T`.
#[derive(JsonSchema)]
#[schemars(transparent)]
pub(crate) struct Encoded<T>(#[schemars(with = "T")] Bytes, PhantomData<T>);

/// 200 with JSON that exists as bytes.
pub(crate) struct RawJson<T>(pub(crate) T);

/// What can be written as JSON without being read.
pub(crate) trait WriteJson {
    /// How many bytes of it are copied, about.
    fn copied_len(&self) -> usize;

    fn write(self, body: &mut BufList);
}

impl<T> Encoded<T> {
    pub(crate) fn new(json: Bytes) -> Self {
        Self(json, PhantomData)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl<T> WriteJson for Encoded<T> {
    fn copied_len(&self) -> usize {
        BufList::copied_len(self.0.len())
    }

    fn write(self, body: &mut BufList) {
        body.push(self.0);
    }
}

/// Null if there is none.
impl<T: WriteJson> WriteJson for Option<T> {
    fn copied_len(&self) -> usize {
        self.as_ref().map_or("null".len(), T::copied_len)
    }

    fn write(self, body: &mut BufList) {
        match self {
            Some(value) => value.write(body),
            None => body.buffer().put_slice(b"null"),
        }
    }
}

impl<T: WriteJson> WriteJson for Vec<T> {
    fn copied_len(&self) -> usize {
        let items = self.iter().map(|item| item.copied_len() + 1);
        items.sum::<usize>() + 2
    }

    fn write(self, body: &mut BufList) {
        body.buffer().put_u8(b'[');
        for (index, item) in self.into_iter().enumerate() {
            if index > 0 {
                body.buffer().put_u8(b',');
            }
            item.write(body);
        }
        body.buffer().put_u8(b']');
    }
}

/// A page of what is JSON already.
pub(crate) fn write_page(body: &mut BufList, items: impl WriteJson, next_page_id: Option<&str>) {
    body.buffer().put_slice(br#"{"items":"#);
    items.write(body);
    body.buffer().put_slice(br#","next_page_id":"#);
    body.buffer()
        .put_slice(json!(next_page_id).to_string().as_bytes());
    body.buffer().put_u8(b'}');
}

impl<T: WriteJson> Responder for RawJson<T> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        let mut body = BufList::with_capacity(self.0.copied_len());
        self.0.write(&mut body);
        HttpResponse::Ok()
            .content_type("application/json")
            .body(body)
    }
}

describe!(T: JsonSchema; RawJson<T> {
    fn update_response(op: &mut DefaultOperationRaw) {
        describe::answer::<T>(op, "200", "Done");
    }
});

#[cfg(test)]
mod tests;
