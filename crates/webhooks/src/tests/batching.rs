use core_model::ExecutionStatus::{Finished, Running};
use std::{num::NonZeroU32, time::Duration};

use super::{World, openhands, readme, wait};
use crate::testing::{Reaction, TestReceiver};

#[tokio::test(start_paused = true)]
async fn a_full_buffer_is_sent_at_once_and_the_rest_after_the_delay() {
    let world = World::new(readme(), TestReceiver::new([])).await;
    world.memory.make(0);
    world.memory.grow(0, 12, Running);
    wait(200).await;
    // 12 and the status; of these ten.
    assert_eq!(world.spans(), [(0, 9, true)]);
    wait(4_500).await;
    assert_eq!(world.spans().len(), 1);
    wait(500).await;
    assert_eq!(world.spans(), [(0, 9, true), (10, 12, true)]);
}

#[tokio::test(start_paused = true)]
async fn the_delay_counts_from_the_oldest_event() {
    let world = World::new(readme(), TestReceiver::new([])).await;
    world.memory.make(0);
    world.memory.grow(0, 0, Running);
    for _ in 0..4 {
        wait(1_200).await;
        world.memory.grow(0, 1, Running);
    }
    assert!(world.spans().is_empty());
    wait(400).await;
    assert_eq!(world.spans(), [(0, 4, true)]);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_turn_sends_what_waits() {
    let world = World::new(readme(), TestReceiver::new([])).await;
    world.memory.make(0);
    world.memory.grow(0, 2, Running);
    wait(100).await;
    assert!(world.spans().is_empty());
    world.memory.grow(0, 1, Finished);
    wait(100).await;
    assert_eq!(world.spans(), [(0, 4, true)]);
    // Nothing ends here: it waits for others.
    world.memory.grow(0, 1, Finished);
    wait(100).await;
    assert_eq!(world.spans().len(), 1);
    wait(5_000).await;
    assert_eq!(world.spans().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_byte_limit_cuts_and_a_larger_event_goes_alone() {
    let mut config = readme();
    config.max_batch_bytes = 500;
    let world = World::new(config.clone(), TestReceiver::new([])).await;
    world.memory.make(0);
    world.memory.grow(0, 9, Running);
    wait(200).await;
    let spans = world.spans();
    assert!(spans.len() > 2, "{spans:?}");
    for got in world.receiver.got() {
        assert!(got.body.to_string().len() <= 500 + 100);
        assert!(got.body.as_array().unwrap().len() > 1);
    }
    config.max_batch_bytes = 1;
    let world = World::new(config, TestReceiver::new([])).await;
    world.memory.make(0);
    world.memory.grow(0, 3, Running);
    wait(200).await;
    let alone = [(0, 0, true), (1, 1, true), (2, 2, true), (3, 3, true)];
    assert_eq!(world.spans(), alone);
}

#[tokio::test(start_paused = true)]
async fn one_request_at_a_time_for_a_conversation_and_a_slow_one_holds_up_no_other() {
    let mut config = readme();
    config.max_in_flight = NonZeroU32::new(3).unwrap();
    config.event_buffer_size = NonZeroU32::MIN;
    let world = World::new(config, TestReceiver::new([Reaction::Slow(10_000)])).await;
    world.memory.make(0);
    world.memory.grow(0, 5, Running);
    wait(100).await;
    assert_eq!(world.spans().len(), 1);
    for nth in 1..5_u16 {
        world.memory.make(nth);
        world.memory.grow(nth, 2, Running);
    }
    wait(100).await;
    assert_eq!(world.spans().len(), 1 + 4 * 3);
    wait(10_000).await;
    assert_eq!(world.spans().len(), 6 + 4 * 3);
    assert!(world.receiver.most_in_flight() <= 3);
}

#[tokio::test(start_paused = true)]
async fn filters_leave_out_and_the_cursor_moves_on() {
    let mut config = readme();
    config.kinds = ["MessageEvent".to_owned()].into();
    let world = World::new(config, TestReceiver::new([])).await;
    world.memory.make(0);
    world.memory.grow(0, 30, Running);
    wait(60_000).await;
    assert!(world.receiver.got().is_empty());
    assert_eq!(world.info().await.lag.events, 0);

    let mut config = readme();
    config.conversations = [crate::testing::Memory::id(1)].into();
    let world = World::new(config, TestReceiver::new([])).await;
    for nth in 0..3 {
        world.memory.make(nth);
        world.memory.grow(nth, 10, Running);
    }
    wait(60_000).await;
    let got = world.receiver.got();
    assert!(
        got.iter()
            .all(|got| got.conversation == Some(crate::testing::Memory::id(1)))
    );
    assert_eq!(world.spans(), [(0, 9, true), (10, 10, true)]);
}

#[tokio::test(start_paused = true)]
async fn the_openhands_form_delivers_conversations_too() {
    let world = World::new(openhands(), TestReceiver::new([])).await;
    let of = world.memory.make(0).unwrap();
    world.memory.grow(0, 1, Running);
    wait(100).await;
    world.memory.grow(0, 3, Finished);
    wait(100).await;
    world.memory.remove(0);
    wait(100).await;
    let hex = of.id.hex();
    let events = format!("/hook/events/{hex}");
    let told: Vec<(String, Option<String>)> = world
        .receiver
        .got()
        .into_iter()
        .map(|got| {
            let status = got.body["execution_status"].as_str().map(str::to_owned);
            (got.path, status)
        })
        .collect();
    let conversation = |status: &str| ("/hook/conversations".to_owned(), Some(status.to_owned()));
    let expected = [
        conversation("running"),
        (events.clone(), None),
        (events, None),
        conversation("finished"),
        conversation("deleting"),
    ];
    assert_eq!(told, expected);
    assert_eq!(world.memory.deleted_now(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_stop_sends_what_waits_and_records_everything() {
    let world = World::new(readme(), TestReceiver::new([])).await;
    world.memory.make(0);
    world.memory.grow(0, 3, Running);
    world.webhooks.drain(Duration::from_secs(1)).await;
    assert_eq!(world.spans(), [(0, 3, true)]);
    let world = world.crash(readme()).await;
    wait(60_000).await;
    assert_eq!(world.spans().len(), 1);
    world.memory.grow(0, 10, Running);
    wait(100).await;
    assert_eq!(world.spans(), [(0, 3, true), (4, 13, true)]);
}
