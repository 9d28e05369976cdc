use actix_web::{body::to_bytes, test::TestRequest};

use super::*;

#[actix_web::test]
async fn the_page_and_all_it_loads_are_in_the_binary() {
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
