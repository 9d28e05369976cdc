//! The interactive documentation: Swagger UI from the binary, and the document that it shows.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use actix_web::{
    HttpRequest, HttpResponse, ResponseError,
    http::header::{self, HeaderValue},
    web,
};
use bytes::Bytes;
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::{
    failure::Failure,
    openapi,
    operation::{Dialect, Handler, Kind, Operation, Part, Tag, handler},
    reply::Document,
    request::Server,
};

/// Nothing from other sites; Swagger UI styles its elements in place and draws icons from data URLs.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; \
     style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[derive(RustEmbed)]
#[folder = "assets/"]
struct Assets;

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        paths: &[(Dialect::Readme, "/openapi.json")],
        ..document_operation("openapi", handler!(undocumented document))
    },
    Operation {
        paths: &[(Dialect::Readme, "/docs")],
        ..document_operation("docs", handler!(undocumented page))
    },
    Operation {
        paths: &[(Dialect::Readme, "/docs/{file}")],
        ..document_operation("docs_file", handler!(undocumented file))
    },
    Operation {
        paths: &[(Dialect::Readme, "/redoc")],
        ..document_operation("redoc", handler!(undocumented to_docs))
    },
];

const fn document_operation(id: &'static str, handler: Handler) -> Operation {
    Operation {
        kind: Kind::Document,
        needs_key: false,
        part: Part::Docs,
        ..Operation::get(id, Tag::Server, handler)
    }
}

async fn document(server: Server, request: HttpRequest) -> HttpResponse {
    let prefix = server.prefix(&request, "/openapi.json");
    let build = || {
        let document = openapi::document(&server.operations, prefix)?;
        Ok(Document::new(document.to_string().into()))
    };
    match server.documents.get(prefix, build) {
        Ok(document) => document.answer(
            &request,
            HttpResponse::Ok()
                .content_type("application/json")
                .insert_header((header::CACHE_CONTROL, "no-cache")),
        ),
        Err(error) => Failure::Document(error).error_response(),
    }
}

async fn page(request: HttpRequest) -> HttpResponse {
    asset("index.html", &request)
}

async fn file(name: web::Path<String>, request: HttpRequest) -> HttpResponse {
    match name.as_str() {
        "start.js" => asset("start.js", &request),
        name => asset(&format!("swagger-ui/{name}"), &request),
    }
}

async fn to_docs() -> HttpResponse {
    HttpResponse::TemporaryRedirect()
        .insert_header((header::LOCATION, "docs"))
        .finish()
}

fn asset(path: &str, request: &HttpRequest) -> HttpResponse {
    let Some(EmbeddedFile { data, metadata }) = Assets::get(path) else {
        return Failure::NotFound.error_response();
    };
    let hash: String = metadata.sha256_hash()[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let known = request
        .headers()
        .get(header::IF_NONE_MATCH)
        .and_then(|tags| tags.to_str().ok())
        .is_some_and(|tags| tags.contains(&hash));
    let mut response = if known {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    response
        .insert_header(header::ETag(header::EntityTag::new_strong(hash)))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ))
        .insert_header((header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY));
    if known {
        return response.finish();
    }
    response.content_type(content_type(path));
    compressed(path, data).answer(request, &mut response)
}

/// A file of the binary, compressed when it is first requested.
fn compressed(path: &str, data: Cow<'static, [u8]>) -> Document {
    static COMPRESSED: Mutex<Option<HashMap<String, Document>>> = Mutex::new(None);
    // Held meanwhile, so that it is done once.
    let mut files = COMPRESSED.lock().unwrap_or_else(PoisonError::into_inner);
    let files = files.get_or_insert_default();
    if let Some(document) = files.get(path) {
        return document.clone();
    }
    let document = Document::new(match data {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => Bytes::from(bytes),
    });
    files.insert(path.to_owned(), document.clone());
    document
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("png") => "image/png",
        _ => "text/plain; charset=utf-8",
    }
}

#[cfg(test)]
mod tests;
