use core_model::Event;

use super::*;

#[test]
fn examples_are_what_the_types_write() {
    for example in [message(), action()] {
        let read: Event = serde_json::from_value(example.clone()).unwrap();
        assert_eq!(json!(read), example);
    }
}
