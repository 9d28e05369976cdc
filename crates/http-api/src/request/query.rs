//! Query parameters. A struct of them is written once, with `query!`: its fields' types say how they are
//! read, what is wrong with them, and how they are described.

pub(crate) mod reader;
mod types;

use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpRequest, dev};
use paperclip::v2::models::DefaultOperationRaw;
use schemars::JsonSchema;

use crate::{
    describe::{self, describe},
    failure::Failure,
};

pub(crate) use reader::{FromQuery, MAX_BATCH, Parameter, QueryReader, query, too_long, word};
pub(crate) use types::{Limit, Required, not_an_integer};

/// The query parameters of a request.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: FromQuery> FromRequest for Query<T> {
    type Error = Failure;
    type Future = Ready<Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        ready(QueryReader::read(request.query_string()).map(Self))
    }
}

describe!(T: JsonSchema; Query<T> {
    fn update_parameter(op: &mut DefaultOperationRaw) {
        describe::query_parameters::<T>(op);
    }
});
