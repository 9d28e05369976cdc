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
        assert_eq!(
            check_accept_encoding(&mut request).is_err(),
            refused,
            "{accepts}"
        );
        if accepts == "identity;q=0, *" {
            assert_eq!(request.headers().get(ACCEPT_ENCODING), Some(&GZIP));
        }
    }
}
