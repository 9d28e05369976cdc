use core_model::ExecutionStatus::{Finished, Running};
use std::sync::Arc;

use super::{World, all_there, beginning, openhands, readme, start, wait};
use crate::{
    WebhookConfig,
    testing::{Memory, Reaction, TestReceiver},
};

#[tokio::test(start_paused = true)]
async fn a_new_one_starts_now_or_at_the_beginning() {
    let memory = Memory::new();
    memory.make(0);
    memory.grow(0, 7, Finished);
    memory.make(1);
    let now = World::on(Arc::clone(&memory), readme(), TestReceiver::new([])).await;
    let named = WebhookConfig {
        name: Some("all".to_owned()),
        ..beginning(readme())
    };
    let all = World::on(Arc::clone(&memory), named, TestReceiver::new([])).await;
    wait(60_000).await;
    assert_eq!(now.spans(), []);
    assert_eq!(all.spans(), [(0, 7, true)]);
    memory.grow(0, 9, Running);
    memory.grow(1, 9, Running);
    wait(60_000).await;
    assert_eq!(now.spans(), [(8, 17, true), (0, 9, true)]);
    assert_eq!(all.spans().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn one_that_comes_back_continues_where_it_was_and_others_are_forgotten_after_a_week() {
    let world = World::new(readme(), TestReceiver::new([])).await;
    world.memory.make(0);
    world.memory.grow(0, 9, Running);
    wait(10_000).await;
    let id = world.info().await.id;
    drop(world.webhooks);
    wait(1).await;
    let nothing = start(&world.memory, Vec::new(), &world.receiver).await;
    world.memory.grow(0, 9, Finished);
    wait(1_000).await;
    drop(nothing);
    let records = world.memory.records_of(&id).unwrap();
    assert!(records.removed.is_some());
    let world = World::on(world.memory, readme(), world.receiver).await;
    wait(10_000).await;
    assert_eq!(world.spans(), [(0, 9, true), (10, 19, true)]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_feed_loses_no_events_and_sends_none_from_before_the_start() {
    let memory = Memory::new();
    memory.make(0);
    memory.grow(0, 5, Running);
    memory.make(1);
    memory.grow(1, 5, Running);
    wait(5).await;
    std::thread::sleep(std::time::Duration::from_millis(2));
    let world = World::on(Arc::clone(&memory), readme(), TestReceiver::new([])).await;
    std::thread::sleep(std::time::Duration::from_millis(2));
    memory.grow(0, 10, Running);
    wait(10_000).await;
    drop(world.webhooks);
    wait(1).await;
    // While nobody looks.
    memory.grow(1, 3, Running);
    let third = memory.make(2).unwrap();
    memory.grow(2, 3, Running);
    memory.lose_feed();
    let world = World::on(memory, readme(), world.receiver).await;
    wait(10_000).await;
    let mut spans = world.spans();
    spans.sort_unstable();
    assert_eq!(spans, [(0, 3, true), (6, 8, true), (6, 15, true)]);
    assert!(all_there(
        &world,
        &third,
        &world.memory.events(&third).unwrap()
    ));
    // And the next start has nothing left to look through.
    let world = world.crash(readme()).await;
    wait(10_000).await;
    assert_eq!(world.spans().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_cut_between_events_and_conversation_brings_both_again() {
    let world = World::new(openhands(), TestReceiver::new([])).await;
    world.memory.make(0);
    // Until it is recorded that the conversation was delivered.
    wait(2_000).await;
    world.memory.grow(0, 1, Running);
    world
        .receiver
        .script([Reaction::Answers(200), Reaction::Answers(500)]);
    world.memory.grow(0, 1, Finished);
    wait(100).await;
    assert_eq!(world.receiver.got().len(), 3);
    let world = world.crash(openhands()).await;
    wait(100).await;
    let paths: Vec<String> = world
        .receiver
        .got()
        .into_iter()
        .map(|got| got.path)
        .collect();
    assert!(paths[3].starts_with("/hook/events/"), "{paths:?}");
    assert_eq!(paths[4], "/hook/conversations");
    assert_eq!(paths.len(), 5);
}
