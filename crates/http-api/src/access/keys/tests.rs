use actix_web::test::TestRequest;

use super::*;

fn keys(keys: &[&str]) -> Keys {
    let keys: Vec<SecretString> = keys.iter().map(|key| SecretString::from(*key)).collect();
    Keys::new(&keys).unwrap()
}

fn check_headers(keys: &Keys, headers: &[(&str, &str)]) -> KeyCheck {
    let request = headers
        .iter()
        .fold(TestRequest::default(), |request, header| {
            request.append_header(*header)
        });
    keys.check_headers(request.to_srv_request().headers())
}

#[test]
fn each_header_passes_with_each_key() {
    let keys = keys(&["old", "new"]);
    for headers in [
        [("Authorization", "Bearer old")],
        [("Authorization", "bearer new")],
        [("X-Session-API-Key", "old")],
        [("x-session-api-key", "new")],
    ] {
        assert_eq!(
            check_headers(&keys, &headers),
            KeyCheck::Passed,
            "{headers:?}"
        );
    }
}

#[test]
fn wrong_keys_and_other_schemes_do_not_pass() {
    let keys = keys(&["sekrit"]);
    for (headers, expected) in [
        (("Authorization", "Bearer wrong"), KeyCheck::Wrong),
        (("Authorization", "Bearer "), KeyCheck::Wrong),
        (("X-Session-API-Key", "sekri"), KeyCheck::Wrong),
        (("X-Session-API-Key", "sekritt"), KeyCheck::Wrong),
        (("Authorization", "Basic sekrit"), KeyCheck::Missing),
        (("Authorization", "sekrit"), KeyCheck::Missing),
        (("Cookie", "sekrit"), KeyCheck::Missing),
    ] {
        assert_eq!(check_headers(&keys, &[headers]), expected, "{headers:?}");
    }
}

#[test]
fn one_valid_key_among_wrong_ones_is_enough() {
    let headers = [
        ("Authorization", "Bearer proxy-token"),
        ("X-Session-API-Key", "sekrit"),
    ];
    assert_eq!(
        check_headers(&keys(&["sekrit"]), &headers),
        KeyCheck::Passed
    );
}

#[test]
fn without_keys_everybody_has_access() {
    let keys = keys(&[]);
    assert_eq!(
        check_headers(&keys, &[("X-Session-API-Key", "anything")]),
        KeyCheck::Passed
    );
    assert_eq!(check_headers(&keys, &[]), KeyCheck::Passed);
}

#[test]
fn white_space_around_a_key_is_not_a_part_of_it() {
    let keys = keys(&[" sekrit\r\n"]);
    assert_eq!(
        check_headers(&keys, &[("X-Session-API-Key", "sekrit")]),
        KeyCheck::Passed
    );
    assert_eq!(check_headers(&keys, &[]), KeyCheck::Missing);
}

#[test]
fn keys_that_protect_nothing_or_fit_no_header_are_refused() {
    for list in [
        &[""][..],
        &["", "  "],
        &["good", " \n"],
        &["a\nb"],
        &["a\0b"],
    ] {
        let list: Vec<SecretString> = list.iter().map(|key| SecretString::from(*key)).collect();
        let refused = Keys::new(&list).err().unwrap().to_string();
        assert!(refused.starts_with("keys["), "{refused}");
    }
}
