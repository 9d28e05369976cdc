//! What happens once a year.

use core_model::{
    ExecutionStatus::{Finished, Running},
    port::WebhookState,
};

use super::{World, all_there, beginning, openhands, readme, start_each, wait};
use crate::{
    WebhookConfig,
    testing::{Memory, Reaction, TestReceiver},
};

use Reaction::{Answers, Slow};

#[tokio::test(start_paused = true)]
async fn as_many_as_are_looked_at_may_be_deleted_before_the_receiver_is_back() {
    let mut config = readme();
    config.max_in_flight = std::num::NonZeroU32::new(100).unwrap();
    let world = World::new(config, TestReceiver::new([])).await;
    world.receiver.always(Some(Answers(503)));
    for nth in 0..10_050 {
        world.memory.make(nth);
        world.memory.grow(nth, 1, Finished);
    }
    wait(60_000).await;
    for nth in 0..10_050 {
        world.memory.remove(nth);
    }
    world.receiver.always(None);
    wait(120_000).await;
    let info = world.info().await;
    assert_eq!(
        (info.state, info.lag.conversations),
        (WebhookState::Idle, 0)
    );
    assert_eq!(info.delivered_events, 2 * 10_050);
    assert_eq!(world.memory.deleted_now(), 0);
}

#[tokio::test(start_paused = true)]
async fn nobody_goes_back_to_the_future() {
    let world = World::new(readme(), TestReceiver::new([Answers(200)])).await;
    let of = world.memory.make(0).unwrap();
    world.memory.grow(0, 9, Running);
    wait(1_000).await;
    world.receiver.always(Some(Answers(503)));
    world.memory.grow(0, 30, Running);
    wait(60_000).await;
    for seq in [35, 500] {
        let rewound = world.rewind(Some(of.id), Some(seq)).await.unwrap();
        assert_eq!(rewound.events, 30);
    }
    // Something that only just happened, too.
    world.memory.grow(0, 5, Finished);
    world.rewind(Some(of.id), Some(500)).await.unwrap();
    let world = world.crash(readme()).await;
    world.receiver.always(None);
    wait(120_000).await;
    assert!(all_there(&world, &of, &world.memory.events(&of).unwrap()));
}

#[tokio::test(start_paused = true)]
async fn a_rewind_of_all_counts_for_what_was_under_way_too() {
    let world = World::new(readme(), TestReceiver::new([])).await;
    world.memory.make(0);
    world.memory.grow(0, 9, Running);
    wait(2_000).await;
    world.receiver.script([Slow(1_000)]);
    world.receiver.script([Answers(503); 99]);
    world.memory.grow(0, 9, Finished);
    wait(100).await;
    world.rewind(None, None).await.unwrap();
    wait(10_000).await;
    let world = world.crash(readme()).await;
    let before = world.spans().len();
    world.receiver.always(None);
    wait(60_000).await;
    assert_eq!(world.spans()[before..], [(0, 9, true), (10, 19, true)]);
}

#[tokio::test(start_paused = true)]
async fn a_rewind_of_all_drops_no_word_of_a_conversation() {
    let world = World::new(openhands(), TestReceiver::new([])).await;
    world.receiver.always(Some(Answers(503)));
    world.memory.make(0);
    wait(1_000).await;
    world.rewind(None, None).await.unwrap();
    world.receiver.always(None);
    wait(60_000).await;
    let got = world.receiver.got();
    let kept: Vec<&str> = got
        .iter()
        .filter(|got| got.kept)
        .map(|got| got.path.as_str())
        .collect();
    assert_eq!(kept, ["/hook/conversations"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_deleted_is_found_without_the_feed_and_when_it_opens_later() {
    let world = World::new(beginning(readme()), TestReceiver::new([])).await;
    world.receiver.always(Some(Answers(503)));
    let of = world.memory.make(0).unwrap();
    world.memory.grow(0, 25, Finished);
    wait(1_000).await;
    let events = world.memory.events(&of).unwrap();
    world.memory.remove(0);
    wait(1_000).await;
    drop(world.webhooks);
    wait(1).await;
    world.memory.lose_feed();
    world.memory.jam(true);
    world.receiver.always(None);
    let world = World::on(world.memory, beginning(readme()), world.receiver).await;
    wait(60_000).await;
    assert_eq!(world.memory.deleted_now(), 1);
    world.memory.jam(false);
    wait(120_000).await;
    assert!(all_there(&world, &of, &events));
    assert_eq!(world.memory.deleted_now(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_the_feed_never_told_of_a_deleted_one_comes_after_the_next_start() {
    let world = World::new(readme(), TestReceiver::new([])).await;
    let (first, second) = (world.memory.make(0).unwrap(), world.memory.make(1).unwrap());
    world.memory.grow(0, 9, Running);
    wait(10_000).await;
    drop(world.webhooks);
    wait(1).await;
    world.memory.vanish(0, 3);
    world.memory.vanish(1, 3);
    let world = World::on(world.memory, readme(), world.receiver).await;
    let events = [&first, &second].map(|of| world.memory.events(of).unwrap());
    wait(60_000).await;
    assert!(all_there(&world, &first, &events[0]));
    assert!(all_there(&world, &second, &events[1]));
    assert_eq!(world.spans().len(), 3);
    assert_eq!(world.memory.deleted_now(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_under_a_used_id_waits_for_the_one_before_it() {
    let world = World::new(openhands(), TestReceiver::new([])).await;
    world.receiver.always(Some(Answers(503)));
    let first = world.memory.make(0).unwrap();
    world.memory.grow(0, 25, Finished);
    let events = world.memory.events(&first).unwrap();
    wait(1_000).await;
    world.memory.remove(0);
    let second = world.memory.make(0).unwrap();
    world.memory.grow(0, 25, Finished);
    wait(60_000).await;
    world.receiver.always(None);
    wait(120_000).await;
    let events = [events, world.memory.events(&second).unwrap()].concat();
    assert!(all_there(&world, &second, &events));
    let got = world.receiver.got();
    let told = got
        .iter()
        .filter(|got| got.kept && got.path == "/hook/conversations");
    let told: Vec<&str> = told
        .map(|got| got.body["execution_status"].as_str().unwrap())
        .collect();
    assert_eq!(
        told.iter().filter(|status| **status == "deleting").count(),
        1
    );
    assert_eq!(told.last(), Some(&"finished"), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_shorter_than_the_feed_says_neither_spins_nor_loses_what_comes_then() {
    for (cut, cursor) in [(7, 10), (15, 10)] {
        let world = World::new(readme(), TestReceiver::new([])).await;
        world.memory.make(0);
        world.memory.grow(0, 9, Running);
        wait(5_000).await;
        assert_eq!(world.spans(), [(0, cursor - 1, true)]);
        drop(world.webhooks);
        wait(1).await;
        world.memory.grow(0, 10, Running);
        world.memory.cut_log(0, cut);
        let world = World::on(world.memory, readme(), world.receiver).await;
        wait(10_000).await;
        world.memory.grow(0, 10, Finished);
        wait(10_000).await;
        let info = world.info().await;
        assert_eq!((info.state, info.lag.events), (WebhookState::Idle, 0));
        let reached = world.spans().iter().map(|(_, last, _)| last + 1).max();
        assert_eq!(reached, Some(cut as u64 + 11), "{:?}", world.spans());
        let mut next = cut.min(10) as u64;
        for (first, last, _) in &world.spans()[1..] {
            assert!(*first <= next, "{next}..{first} are missing");
            next = next.max(last + 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_told_after_the_start_was_not_delivered_before() {
    let world = World::new(readme(), TestReceiver::new([])).await;
    world.memory.make(0);
    world.memory.grow(0, 9, Running);
    wait(200).await;
    assert_eq!(world.spans(), [(0, 9, true)]);
    drop(world.webhooks);
    wait(1).await;
    world.memory.cut_log(0, 7);
    let world = World::on(world.memory, readme(), world.receiver).await;
    // Before the feed was looked at.
    world.memory.grow(0, 4, Finished);
    wait(10_000).await;
    assert_eq!(world.spans()[1..], [(7, 11, true)]);
}

#[tokio::test(start_paused = true)]
async fn an_outbox_is_shared() {
    let memory = Memory::new();
    let receivers = [TestReceiver::new([]), TestReceiver::new([])];
    receivers[1].always(Some(Answers(503)));
    let configs = || {
        let other = WebhookConfig {
            name: Some("other".to_owned()),
            ..readme()
        };
        vec![readme(), other]
    };
    let webhooks = start_each(&memory, configs(), &receivers).await;
    memory.make(0);
    memory.grow(0, 5, Finished);
    memory.remove(0);
    wait(60_000).await;
    assert_eq!(receivers[0].got().len(), 1);
    assert_eq!(memory.deleted_now(), 1);
    drop(webhooks);
    wait(1).await;
    let webhooks = start_each(&memory, configs(), &receivers).await;
    wait(60_000).await;
    assert_eq!(memory.deleted_now(), 1);
    receivers[1].always(None);
    wait(60_000).await;
    assert_eq!(receivers[0].got().len(), 1);
    assert!(receivers[1].got().iter().any(|got| got.kept));
    assert_eq!(memory.deleted_now(), 0);
    drop(webhooks);
}
