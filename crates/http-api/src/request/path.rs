use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpRequest, dev};
use core_model::{ConversationId, EventId};
use paperclip::v2::models::DefaultOperationRaw;

use crate::{
    describe::{self, PathPart, describe},
    failure::Failure,
    validation,
};

/// A part of the path.
pub(crate) struct Path<T>(pub(crate) T);

/// What a path can name.
pub(crate) trait PathParameter: Sized {
    const PART: PathPart;

    /// # Errors
    /// When the path names no such thing.
    fn read(request: &HttpRequest) -> Result<Self, Failure>;
}

impl<T: PathParameter> FromRequest for Path<T> {
    type Error = Failure;
    type Future = Ready<Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        ready(T::read(request).map(Self))
    }
}

describe!(T: PathParameter; Path<T> {
    fn update_parameter(op: &mut DefaultOperationRaw) {
        describe::path_parameter(op, &T::PART);
    }
});

impl PathParameter for ConversationId {
    const PART: PathPart = PathPart {
        name: "conversation_id",
        about: "The conversation, as a UUID with dashes or as 32 hex digits.",
        example: "936e15a0-9bf8-492f-b439-93f478b6cf76",
        is_uuid: true,
    };

    fn read(request: &HttpRequest) -> Result<Self, Failure> {
        let text = as_sent(request, Self::PART.name);
        Ok(validation::conversation_id(
            text,
            &["path", Self::PART.name],
        )?)
    }
}

impl PathParameter for EventId {
    const PART: PathPart = PathPart {
        name: "event_id",
        about: "The event's id.",
        example: "f30c3b24-005f-4dd2-8dc2-7a5d6046f7e1",
        is_uuid: false,
    };

    fn read(request: &HttpRequest) -> Result<Self, Failure> {
        Ok(Self::from(as_sent(request, Self::PART.name)))
    }
}

fn as_sent<'a>(request: &'a HttpRequest, name: &str) -> &'a str {
    request.match_info().get(name).unwrap_or_default()
}

/// A part of the path as the client meant it. As routes are matched, `%2F`, `%25` and `%2B` still stand
/// as they came; actix decodes them where it deserializes.
///
/// # Errors
/// When the path has no such part.
pub(crate) fn decoded(request: &HttpRequest, name: &str) -> Result<String, Failure> {
    let parts = request.match_info();
    let texts: Vec<String> = parts.load().map_err(|_unreadable| Failure::NotFound)?;
    let named = parts
        .iter()
        .zip(texts)
        .filter(|((part, _), _)| *part == name);
    // The host may call a part of its prefix the same: ours comes after it.
    named.last().map(|(_, text)| text).ok_or(Failure::NotFound)
}
