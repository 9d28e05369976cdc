use serde_json::json;

use super::*;

fn made_by() -> Provenance {
    Provenance {
        model: "anthropic/claude-opus-5".to_owned(),
        format: "messages".to_owned(),
    }
}

fn call(id: &str) -> MessageToolCall {
    MessageToolCall::new(id, "think", "{}")
}

/// What a reply of these blocks is after it went through an event and its JSON.
fn through_events(blocks: &[Block], calls: &[MessageToolCall]) -> AssistantMessage {
    let stored = serde_json::to_value(said(blocks, Some(&made_by()))).expect("JSON");
    let mut read: Message = serde_json::from_value(stored).expect("a message");
    read.tool_calls = Some(calls.to_vec()).filter(|calls| !calls.is_empty());
    let ModelMessage::Assistant(said) = ModelMessage::from(read) else {
        panic!("not a reply");
    };
    said
}

#[test]
fn what_a_provider_wants_back_goes_through_events_unchanged_and_in_its_place() {
    let thinking = json!({"type": "thinking", "thinking": "hm", "signature": "s"});
    let hidden = json!({"type": "redacted_thinking", "data": "d"});
    let signature = json!({"extra_content": {"google": {"thought_signature": "t"}}});
    let blocks = vec![
        Block::reasoning("hm").with_state(Some(thinking)),
        Block::text("aloud"),
        Block::call(call("a")).with_state(Some(signature)),
        Block::reasoning("").with_state(Some(hidden)),
        Block::call(call("b")),
    ];
    let back = through_events(&blocks, &[call("a"), call("b")]);
    let expected = AssistantMessage {
        blocks,
        made_by: Some(made_by()),
    };
    assert_eq!(back, expected);
}

#[test]
fn a_call_without_an_answer_leaves_with_its_state() {
    let blocks = vec![
        Block::call(call("a")).with_state(Some(json!("of a"))),
        Block::call(call("b")).with_state(Some(json!("of b"))),
    ];
    let back = through_events(&blocks, &[call("b")]);
    assert_eq!(back.blocks, blocks[1..]);
}

#[test]
fn a_reply_that_its_provider_wants_nothing_back_of_is_stored_as_always() {
    let message = said(
        &[Block::reasoning("hm"), Block::text("aloud")],
        Some(&made_by()),
    );
    assert_eq!(message.provider_state, None);
    assert_eq!(message.reasoning_content.as_deref(), Some("hm"));
}

#[test]
fn state_goes_back_to_the_model_that_made_it_and_to_no_other() {
    let block = Block::reasoning("hm").with_state(Some(json!({"type": "thinking"})));
    let mut said = AssistantMessage {
        blocks: vec![block.clone()],
        made_by: Some(made_by()),
    };
    assert!(said.state_for(&made_by(), &block).is_some());
    let other = Provenance {
        model: "anthropic/claude-haiku-5".to_owned(),
        ..made_by()
    };
    assert!(said.state_for(&other, &block).is_none());
    said.forget_provider_state();
    assert!(said.blocks[0].state.is_none());
}

#[test]
fn a_message_with_only_the_public_fields_is_read_too() {
    let message = Message {
        tool_calls: Some(vec![call("c")]),
        reasoning_content: Some("private".to_owned()),
        thinking_blocks: vec![json!({"type": "thinking", "signature": "s"})],
        ..Message::new(Role::Assistant, vec![Content::text("aloud")])
    };
    let expected = AssistantMessage {
        blocks: vec![
            Block::reasoning("private")
                .with_state(Some(json!({"type": "thinking", "signature": "s"}))),
            Block::text("aloud"),
            Block::call(call("c")),
        ],
        made_by: None,
    };
    assert_eq!(
        ModelMessage::from(message),
        ModelMessage::Assistant(expected)
    );
}

#[test]
fn the_first_reasoning_item_is_shown_as_the_public_clients_read_it() {
    let item = |id: &str| {
        json!({"type": "reasoning", "id": id, "encrypted_content": "e",
               "summary": [{"type": "summary_text", "text": "a"},
                           {"type": "summary_text", "text": "b"}]})
    };
    let blocks = ["rs_1", "rs_2"].map(|id| Block::reasoning("").with_state(Some(item(id))));
    let message = said(&blocks, Some(&made_by()));
    assert_eq!(
        message.responses_reasoning_item,
        Some(json!({"id": "rs_1", "summary": ["a", "b"], "content": null,
                    "encrypted_content": "e", "status": null}))
    );
    let kept = message.provider_state.expect("kept whole");
    assert_eq!(kept.blocks.len(), 2);
}
