use serde_json::json;

use super::*;

#[test]
fn a_body_that_is_not_a_list_of_ids_is_refused() {
    for (body, kind) in [
        (&br#"{"event_ids":["a"]}"#[..], "list_type"),
        (&b"[1]"[..], "string_type"),
        (&b"[\"a\""[..], "json_invalid"),
    ] {
        let Err(Failure::Invalid(problems)) = ids_in_body(body) else {
            panic!("accepted: {body:?}");
        };
        assert_eq!(json!(problems)[0]["type"], kind);
    }
}
