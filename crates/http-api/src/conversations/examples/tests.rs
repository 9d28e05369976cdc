use core_model::ConversationInfo;

use super::*;

#[test]
fn examples_are_what_the_types_write() {
    for example in [conversation(), new_conversation()] {
        let read: ConversationInfo = serde_json::from_value(example.clone()).unwrap();
        assert_eq!(json!(read), example);
    }
}
