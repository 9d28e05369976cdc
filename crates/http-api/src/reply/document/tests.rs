use actix_web::{http::header::ACCEPT_ENCODING, test::TestRequest};

use super::*;

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
