//! How answers may be encoded, and documents that are compressed once.

use std::io::Write;

use actix_web::{
    HttpMessage, HttpRequest, HttpResponse, HttpResponseBuilder,
    dev::ServiceRequest,
    http::header::{
        ACCEPT_ENCODING, AcceptEncoding, CONTENT_ENCODING, Encoding, HeaderValue, Preference,
        Quality, VARY,
    },
};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};

use crate::error::Failure;

const GZIP: HeaderValue = HeaderValue::from_static("gzip");
const DEFLATE: HeaderValue = HeaderValue::from_static("deflate");

/// Bytes that go to many, and the same compressed, made when it was first needed.
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

    /// The answer with one or the other, as the client prefers.
    pub(crate) fn answer(
        &self,
        request: &HttpRequest,
        response: &mut HttpResponseBuilder,
    ) -> HttpResponse {
        response.insert_header((VARY, "accept-encoding"));
        match &self.gzip {
            Some(gzip) if takes_gzip(request) => response
                .insert_header((CONTENT_ENCODING, GZIP))
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

/// Refuses a request whose answer could come in no form that its client takes.
///
/// # Errors
/// [`Failure::NotAcceptable`].
pub(crate) fn check(request: &mut ServiceRequest) -> Result<(), Failure> {
    let Some(accepted) = request.get_header::<AcceptEncoding>() else {
        return Ok(());
    };
    let quality = |wanted: Preference<Encoding>| {
        let item = accepted.iter().find(|item| item.item == wanted);
        item.map(|item| item.quality > Quality::ZERO)
    };
    let others = quality(Preference::Any);
    let takes = |coding| quality(Preference::Specific(coding)).or(others);
    if takes(Encoding::identity()).unwrap_or(true) {
        return Ok(());
    }
    // In words that the middleware understands, which takes `*` for what is plain too.
    let coding = if takes(Encoding::gzip()) == Some(true) {
        GZIP
    } else if takes(Encoding::deflate()) == Some(true) {
        DEFLATE
    } else {
        return Err(Failure::NotAcceptable);
    };
    request.headers_mut().insert(ACCEPT_ENCODING, coding);
    Ok(())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_client_is_refused_only_when_nothing_will_do() {
        for (accepts, refused) in [
            ("", false),
            ("gzip", false),
            ("br", false),
            ("gzip;q=0", false),
            ("identity;q=0, gzip", false),
            ("*;q=0, gzip", false),
            ("*;q=0, identity", false),
            ("identity;q=0, *", false),
            ("identity;q=0", true),
            ("*;q=0", true),
            ("identity;q=0, br", true),
            ("identity;q=0, gzip;q=0, deflate;q=0, *", true),
        ] {
            let request = TestRequest::get().insert_header((ACCEPT_ENCODING, accepts));
            let mut request = request.to_srv_request();
            assert_eq!(check(&mut request).is_err(), refused, "{accepts}");
            if accepts == "identity;q=0, *" {
                assert_eq!(request.headers().get(ACCEPT_ENCODING), Some(&GZIP));
            }
        }
    }

    #[test]
    fn a_document_comes_as_the_client_prefers() {
        let document = Document::new(vec![b'x'; 10_000].into());
        for (accepts, packed) in [
            ("gzip", true),
            ("br, gzip", true),
            ("gzip;q=0", false),
            ("gzip;q=0.1, identity", false),
            ("", false),
        ] {
            let request = TestRequest::get().insert_header((ACCEPT_ENCODING, accepts));
            let request = request.to_http_request();
            let response = document.answer(&request, &mut HttpResponse::Ok());
            assert_eq!(
                response.headers().contains_key(CONTENT_ENCODING),
                packed,
                "{accepts}"
            );
            assert!(response.headers().contains_key(VARY));
        }
        let random = Document::new(Bytes::from_static(b"x"));
        assert!(random.gzip.is_none());
    }
}
