//! Why requests are refused, and how that is answered: one row an error, in `table`.

mod reason;
mod row;
mod table;

use actix_web::{
    HttpResponse, ResponseError,
    body::BoxBody,
    http::{StatusCode, header},
};
use paperclip::v2::schema::Apiv2Errors;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::{headers::ERROR_CODE_HEADER, validation::Problem};

pub(crate) use reason::Failure;
pub(crate) use row::Effect;

/// Why a request was refused, in words. The header `x-error-code` has a code that does not change.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ErrorBody {
    detail: String,
    /// Names a fault of the server in its log.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_id: Option<String>,
}

/// All that is wrong with a request.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ValidationErrorBody<'a> {
    detail: &'a [Problem],
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.row().code)
    }
}

impl ResponseError for Failure {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.row().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        let row = self.row();
        let mut response = HttpResponse::build(self.status_code());
        response.insert_header((ERROR_CODE_HEADER, row.code));
        if let Some(seconds) = row.retry_after {
            response.insert_header((header::RETRY_AFTER, seconds));
        }
        if let Self::MethodNotAllowed { allow } = self {
            response.insert_header((header::ALLOW, allow.as_str()));
        }
        if matches!(self, Self::UpgradeRequired) {
            response.insert_header((header::UPGRADE, "websocket"));
        }
        if let Self::Invalid(problems) = self {
            return response.json(ValidationErrorBody { detail: problems });
        }
        let error_id = row.fault.map(|fault| {
            let error_id = Uuid::new_v4().simple().to_string();
            tracing::error!(error_id, fault, "a request failed on our side");
            error_id
        });
        response.json(ErrorBody {
            detail: row.detail,
            error_id,
        })
    }
}

/// Error responses depend on the operation, not on this type: see `operation::Refusal`.
impl Apiv2Errors for Failure {}

#[cfg(test)]
mod tests;
