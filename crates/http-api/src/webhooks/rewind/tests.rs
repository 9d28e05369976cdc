use serde_json::{Value, json};

use super::*;

const ID: &str = "4ed7564a-c465-4319-ba19-ee162b106852";

fn read(body: Value) -> Result<Rewind, Value> {
    let request: Result<RewindRequest, _> = validation::object(&body, &["body"]);
    let rewind = request.and_then(RewindRequest::into_rewind);
    rewind.map_err(|problems| json!(problems))
}

#[test]
fn a_rewind_goes_to_an_event_to_a_start_or_to_all_starts() {
    let conversation_id = Some(ID.parse().unwrap());
    for (body, seq) in [
        (json!({"conversation_id": ID, "seq": 7}), Some(Seq(7))),
        (json!({"conversation_id": ID, "seq": 0}), Some(Seq(0))),
        (json!({"conversation_id": ID.replace('-', "")}), None),
        (json!({"conversation_id": ID, "seq": null}), None),
    ] {
        let rewind = Rewind {
            conversation_id,
            seq,
        };
        assert_eq!(read(body), Ok(rewind));
    }
    let all = json!({"conversation_id": null, "seq": null});
    for body in [json!({}), all] {
        assert_eq!(read(body), Ok(Rewind::default()));
    }
}

#[test]
fn what_may_mean_something_else_is_refused() {
    for (body, kind, loc) in [
        (json!({"seq": 7}), "value_error", json!(["body", "seq"])),
        (
            json!({"conversation_id": ID, "seq": -1}),
            "int_type",
            json!(["body", "seq"]),
        ),
        (
            json!({"conversation_id": ID, "seq": 1.5}),
            "int_type",
            json!(["body", "seq"]),
        ),
        (
            json!({"conversation_id": ID, "seq": "7"}),
            "int_type",
            json!(["body", "seq"]),
        ),
        (
            json!({"conversation_id": "x"}),
            "uuid_parsing",
            json!(["body", "conversation_id"]),
        ),
        (
            json!({"conversation_id": 5}),
            "string_type",
            json!(["body", "conversation_id"]),
        ),
        (
            json!({"conversation": ID}),
            "extra_forbidden",
            json!(["body", "conversation"]),
        ),
        (json!([]), "model_attributes_type", json!(["body"])),
        (json!(null), "model_attributes_type", json!(["body"])),
    ] {
        let problems = read(body.clone()).unwrap_err();
        assert_eq!(
            (&problems[0]["type"], &problems[0]["loc"]),
            (&json!(kind), &loc),
            "{body}"
        );
    }
}
