//! The OpenAPI 3.1 document. paperclip walks the operations and finds their parameters, bodies and
//! descriptions; schemars describes the bodies; `finish` puts both together.

mod finish;
mod parameters;
mod refused;

use actix_web::App;
use paperclip::actix::OpenApiExt;
use serde_json::{Value, json};

use crate::{describe, error::ApiError, operation::OperationTable};

/// The document of an API mounted at `prefix`.
///
/// # Errors
/// When paperclip returns something other than a document.
pub(crate) fn document(operations: &OperationTable, prefix: &str) -> Result<Value, ApiError> {
    let mut raw = None;
    let recorded = describe::recording(|| {
        // An app that serves nobody: routes are only walked. Its type does not matter, only what
        // paperclip records on the way.
        let app = App::new().wrap_api().configure(|config| {
            for operation in operations.iter() {
                let Some(describe) = operation.handler.describe else {
                    continue;
                };
                for (_, path) in operation.paths {
                    describe(config, path, operation.method.method());
                }
            }
        });
        drop(app.with_raw_json_spec_v3(|app, document| {
            raw = Some(document);
            app
        }));
    });
    let raw = raw.ok_or_else(|| ApiError::Document("no document was generated".to_owned()))?;
    let mut document = finish::finish(&raw, recorded, operations)?;
    let url = if prefix.is_empty() { "/" } else { prefix };
    document["servers"] = json!([{ "url": url, "description": "This server" }]);
    Ok(document)
}

#[cfg(test)]
mod tests;
