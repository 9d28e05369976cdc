//! The interactive documentation: Swagger UI out of the binary, and the document it shows.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use actix_web::{
    HttpRequest, HttpResponse, Resource, ResponseError,
    http::{
        Method,
        header::{self, HeaderValue},
    },
    web,
};
use bytes::Bytes;
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::{
    encoding::Document,
    error::Failure,
    extract::Server,
    routes::{self, READS},
};

/// Nothing from elsewhere; Swagger UI styles its elements in place and draws icons from data URLs.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; \
     style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[derive(RustEmbed)]
#[folder = "assets/"]
struct Assets;

/// Everything about documentation, one resource a path.
pub(crate) fn resources() -> [Resource; 4] {
    [
        web::resource("/openapi.json").route(routes::on(Method::GET).to(document)),
        web::resource("/docs").route(routes::on(Method::GET).to(page)),
        web::resource("/docs/{file}").route(routes::on(Method::GET).to(file)),
        web::resource("/redoc").route(routes::on(Method::GET).to(to_docs)),
    ]
    .map(|resource| resource.default_service(routes::refusing_methods(READS.to_owned())))
}

async fn document(server: Server, request: HttpRequest) -> HttpResponse {
    let configured = &server.0.config.prefix;
    let mounted = request
        .path()
        .strip_suffix("/openapi.json")
        .unwrap_or_default();
    let prefix = if configured.is_empty() {
        mounted
    } else {
        configured
    };
    match server.0.openapi(prefix) {
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
    packed(path, data).answer(request, &mut response)
}

/// A file of the binary, compressed when it is first asked for.
fn packed(path: &str, data: Cow<'static, [u8]>) -> Document {
    static PACKED: Mutex<Option<HashMap<String, Document>>> = Mutex::new(None);
    // Held meanwhile, so that it is done once.
    let mut packed = PACKED.lock().unwrap_or_else(PoisonError::into_inner);
    let packed = packed.get_or_insert_default();
    if let Some(document) = packed.get(path) {
        return document.clone();
    }
    let document = Document::new(match data {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => Bytes::from(bytes),
    });
    packed.insert(path.to_owned(), document.clone());
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
mod tests {
    use actix_web::{body::to_bytes, test::TestRequest};

    use super::*;

    #[actix_web::test]
    async fn the_page_and_all_it_asks_for_are_in_the_binary() {
        let request = TestRequest::get().to_http_request();
        let page = to_bytes(asset("index.html", &request).into_body())
            .await
            .unwrap();
        let page = String::from_utf8(page.to_vec()).unwrap();
        let wanted: Vec<&str> = page
            .split(['"'])
            .filter_map(|part| part.strip_prefix("docs/"))
            .collect();
        assert_eq!(wanted.len(), 4, "{wanted:?}");
        for name in wanted {
            let response = file(web::Path::from(name.to_owned()), request.clone()).await;
            assert_eq!(response.status(), 200, "{name}");
            assert!(
                response
                    .headers()
                    .contains_key(header::CONTENT_SECURITY_POLICY)
            );
        }
        assert!(!page.contains("://"), "the page leads elsewhere");
    }

    #[actix_web::test]
    async fn a_known_file_is_not_sent_again() {
        let first = asset("start.js", &TestRequest::get().to_http_request());
        let tag = first
            .headers()
            .get(header::ETAG)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let request = TestRequest::get().insert_header((header::IF_NONE_MATCH, tag));
        assert_eq!(asset("start.js", &request.to_http_request()).status(), 304);
    }

    #[actix_web::test]
    async fn nothing_but_the_assets_is_served() {
        let request = TestRequest::get().to_http_request();
        for name in ["../Cargo.toml", "/etc/passwd", "nope.js", ""] {
            let response = file(web::Path::from(name.to_owned()), request.clone()).await;
            assert_eq!(response.status(), 404, "{name}");
        }
    }
}
