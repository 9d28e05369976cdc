use std::{
    collections::HashMap,
    io::Write,
    sync::{Mutex, PoisonError},
};

use actix_web::{
    HttpMessage, HttpRequest, HttpResponse, HttpResponseBuilder,
    http::header::{AcceptEncoding, CONTENT_ENCODING, Encoding, VARY},
};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};

/// Prefixes for which a document is kept: a host may mount the API below a path with parameters.
const MAX_PREFIXES: usize = 16;

/// Bytes that are sent to many clients, and the same compressed, which is done once.
#[derive(Clone)]
pub(crate) struct Document {
    plain: Bytes,
    /// None where it would not be smaller.
    gzip: Option<Bytes>,
}

impl Document {
    pub(crate) fn new(plain: Bytes) -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        let packed = encoder.write_all(&plain).and_then(|()| encoder.finish());
        let gzip = packed.ok().filter(|packed| packed.len() < plain.len());
        Self {
            plain,
            gzip: gzip.map(Bytes::from),
        }
    }

    /// The answer with one of them, as the client prefers.
    pub(crate) fn answer(
        &self,
        request: &HttpRequest,
        response: &mut HttpResponseBuilder,
    ) -> HttpResponse {
        response.insert_header((VARY, "accept-encoding"));
        match &self.gzip {
            Some(gzip) if takes_gzip(request) => response
                .insert_header((CONTENT_ENCODING, "gzip"))
                .body(gzip.clone()),
            _ => response.body(self.plain.clone()),
        }
    }
}

fn takes_gzip(request: &HttpRequest) -> bool {
    request
        .get_header::<AcceptEncoding>()
        .and_then(|accepted| accepted.negotiate([Encoding::identity(), Encoding::gzip()].iter()))
        == Some(Encoding::gzip())
}

/// A document for each prefix that the API is mounted at.
#[derive(Default)]
pub(crate) struct DocumentCache(Mutex<HashMap<String, Document>>);

impl DocumentCache {
    /// # Errors
    /// Those of `build`, which is called the first time.
    pub(crate) fn get<E>(
        &self,
        prefix: &str,
        build: impl FnOnce() -> Result<Document, E>,
    ) -> Result<Document, E> {
        let documents = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = documents().get(prefix).cloned();
        if let Some(document) = known {
            return Ok(document);
        }
        let document = build()?;
        let mut documents = documents();
        if documents.len() < MAX_PREFIXES {
            documents.insert(prefix.to_owned(), document.clone());
        }
        Ok(document)
    }
}

#[cfg(test)]
mod tests;
