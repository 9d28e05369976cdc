use core_model::{
    ExecutionStatus::{Finished, Running},
    port::{Deliveries as _, Outcome, WebhookState},
};

use super::{World, all_there, readme, wait};
use crate::{
    OnExhausted, WebhookConfig,
    testing::{Reaction, TestReceiver},
};

use Reaction::{Answers, Busy, Hangs, TakesAndHangs};

fn seconds_between(world: &World) -> Vec<f64> {
    let got = world.receiver.got();
    got.windows(2)
        .map(|pair| (pair[1].at - pair[0].at).as_secs_f64())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_retried_as_it_was_then_probed_then_all_continues_in_order() {
    let world = World::new(readme(), TestReceiver::new([])).await;
    world.receiver.always(Some(Answers(500)));
    let of = world.memory.make(0).unwrap();
    world.memory.grow(0, 3, Finished);
    wait(1_000).await;
    assert_eq!(world.info().await.state, WebhookState::Retrying);
    // What comes later goes not with the same batch.
    world.memory.grow(0, 30, Finished);
    wait(16_000).await;
    let info = world.info().await;
    assert_eq!(info.state, WebhookState::Parked);
    assert_eq!((info.lag.events, info.succeeded, info.failed), (34, 0, 4));
    wait(3_600_000).await;
    let got = world.receiver.got();
    assert!(
        got.iter()
            .all(|got| got.span == got.span && got.id == got.id)
    );
    assert!(world.spans().iter().all(|span| *span == (0, 3, false)));
    let between = seconds_between(&world);
    assert!(
        between[..3].iter().all(|s| (4.4..5.6).contains(s)),
        "{between:?}"
    );
    assert!(
        (3.9..5.1).contains(&between[3]) && (7.9..10.1).contains(&between[4]),
        "{between:?}"
    );
    assert!(
        between[8..].iter().all(|s| (47.0..61.0).contains(s)),
        "{between:?}"
    );

    world.receiver.always(None);
    wait(61_000).await;
    let info = world.info().await;
    assert_eq!((info.state, info.lag.events), (WebhookState::Idle, 0));
    assert!(info.last_error.is_some() && info.probes.is_none());
    assert!(all_there(&world, &of, &world.memory.events(&of).unwrap()));
}

#[tokio::test(start_paused = true)]
async fn the_id_stays_the_same_on_every_retry() {
    let script = [Answers(500), Answers(503), TakesAndHangs, Answers(200)];
    let world = World::new(readme(), TestReceiver::new(script)).await;
    world.memory.make(0);
    world.memory.grow(0, 3, Finished);
    wait(120_000).await;
    let ids: Vec<String> = world.receiver.got().into_iter().map(|got| got.id).collect();
    assert_eq!(ids.len(), 4);
    assert!(
        ids.iter().all(|id| *id == ids[0] && id.starts_with("msg_")),
        "{ids:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn one_that_asks_for_a_pause_gets_it_from_all_conversations() {
    let world = World::new(readme(), TestReceiver::new([Busy(300)])).await;
    world.memory.make(0);
    world.memory.grow(0, 3, Finished);
    wait(1_000).await;
    world.memory.make(1);
    world.memory.grow(1, 3, Finished);
    wait(298_000).await;
    assert_eq!(world.spans().len(), 1);
    assert!(world.info().await.paused_until.is_some());
    wait(3_000).await;
    assert_eq!(world.spans().len(), 3);
    assert_eq!(world.info().await.paused_until, None);
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_for_good_is_a_dead_letter_and_the_next_is_tried() {
    let script = [Answers(200), Answers(422), Answers(422), Answers(422)];
    let world = World::new(readme(), TestReceiver::new(script)).await;
    world.memory.make(0);
    world.memory.grow(0, 30, Finished);
    wait(60_000).await;
    let bad = (10, 19, false);
    let expected = [(0, 9, true), bad, bad, bad, (20, 29, true), (30, 30, true)];
    assert_eq!(world.spans(), expected);
    // Also after a restart.
    let world = world.crash(readme()).await;
    wait(60_000).await;
    assert_eq!(world.spans().len(), 6);
    let name = world.info().await.id;
    let list = world.webhooks.deliveries(&name).await.unwrap();
    let [letter] = &list.dead_letters[..] else {
        panic!("{list:?}");
    };
    assert_eq!((letter.outcome, letter.status), (Outcome::Dead, Some(422)));
    // Taken when asked for again.
    world.receiver.script([Answers(422)]);
    let attempt = world.webhooks.redeliver(&name, &letter.id).await.unwrap();
    assert!(!attempt.delivered);
    let attempt = world.webhooks.redeliver(&name, &letter.id).await.unwrap();
    assert!(attempt.delivered && attempt.id == letter.id);
    assert_eq!(world.spans().last(), Some(&(10, 19, true)));
    wait(1_000).await;
    let world = world.crash(readme()).await;
    assert_eq!(world.info().await.dead_letters, 0);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_that_is_taken_after_a_rewind_is_removed() {
    let world = World::new(readme(), TestReceiver::new([Answers(400); 3])).await;
    world.memory.make(0);
    world.memory.grow(0, 3, Finished);
    wait(60_000).await;
    let info = world.info().await;
    assert_eq!(info.dead_letters, 1);
    world.rewind(None, None).await.unwrap();
    wait(1_000).await;
    let world = world.crash(readme()).await;
    assert_eq!(world.info().await.dead_letters, 0);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_key_or_address_parks_at_once_and_loses_nothing() {
    for code in [401, 403, 302] {
        let world = World::new(readme(), TestReceiver::new([])).await;
        world.receiver.always(Some(Answers(code)));
        let of = world.memory.make(0).unwrap();
        world.memory.grow(0, 3, Finished);
        wait(600_000).await;
        let info = world.info().await;
        assert_eq!((info.state, info.dead_letters), (WebhookState::Parked, 0));
        world.receiver.always(None);
        wait(61_000).await;
        assert!(all_there(&world, &of, &world.memory.events(&of).unwrap()));
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_drops_continues_without_it_and_still_shows_it() {
    let config = WebhookConfig {
        on_exhausted: OnExhausted::Drop,
        num_retries: 1,
        ..readme()
    };
    let world = World::new(config, TestReceiver::new([Answers(500), Answers(500)])).await;
    world.memory.make(0);
    world.memory.grow(0, 15, Finished);
    wait(60_000).await;
    let spans = [(0, 9, false), (0, 9, false), (10, 15, true)];
    assert_eq!(world.spans(), spans);
    let name = world.info().await.id;
    let list = world.webhooks.deliveries(&name).await.unwrap();
    assert_eq!(list.dead_letters[0].outcome, Outcome::Dropped);
}

#[tokio::test(start_paused = true)]
async fn one_bad_conversation_does_not_park_the_others() {
    let world = World::new(readme(), TestReceiver::new([])).await;
    world.memory.make(0);
    world.memory.make(1);
    // Each time the bad one is tried, the good one gets through after it.
    for _ in 0..12 {
        world.receiver.script([Answers(500)]);
        world.memory.grow(0, 1, Finished);
        wait(300).await;
        world.receiver.always(None);
        world.memory.grow(1, 10, Running);
        wait(5_700).await;
        world.memory.grow(1, 1, Finished);
        wait(200).await;
        assert_ne!(world.info().await.state, WebhookState::Parked);
    }
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_never_answers_costs_no_more_than_what_is_under_way() {
    let world = World::new(readme(), TestReceiver::new([])).await;
    world.receiver.always(Some(Hangs));
    for nth in 0..30 {
        world.memory.make(nth);
        world.memory.grow(nth, 100, Finished);
    }
    wait(600_000).await;
    assert!(world.receiver.most_in_flight() <= 8);
    assert_eq!(world.info().await.state, WebhookState::Parked);
    let requests = world.receiver.got().len();
    assert!(requests < 60, "{requests}");
}

#[tokio::test(start_paused = true)]
async fn events_of_a_deleted_conversation_come_when_the_receiver_is_back() {
    let world = World::new(readme(), TestReceiver::new([])).await;
    world.receiver.always(Some(Answers(503)));
    let of = world.memory.make(0).unwrap();
    world.memory.grow(0, 25, Running);
    wait(60_000).await;
    let events = world.memory.events(&of).unwrap();
    world.memory.remove(0);
    wait(60_000).await;
    let again = world.memory.make(0).unwrap();
    world.memory.grow(0, 3, Finished);
    wait(1_000).await;
    assert_eq!(world.memory.deleted_now(), 1);
    let world = world.crash(readme()).await;
    wait(10_000).await;
    world.receiver.always(None);
    wait(61_000).await;
    assert!(all_there(&world, &of, &events));
    assert!(all_there(
        &world,
        &again,
        &world.memory.events(&again).unwrap()
    ));
    assert_eq!(world.memory.deleted_now(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_keeps_its_deleted_conversation() {
    let world = World::new(readme(), TestReceiver::new([Answers(400); 3])).await;
    world.memory.make(0);
    world.memory.grow(0, 3, Finished);
    wait(60_000).await;
    world.memory.remove(0);
    wait(60_000).await;
    let world = world.crash(readme()).await;
    wait(60_000).await;
    assert_eq!(world.memory.deleted_now(), 1);
    let name = world.info().await.id;
    let list = world.webhooks.deliveries(&name).await.unwrap();
    let id = &list.dead_letters[0].id;
    assert!(world.webhooks.redeliver(&name, id).await.unwrap().delivered);
    wait(1_000).await;
    assert_eq!(world.memory.deleted_now(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_stops_no_delivery_and_is_caught_up_with_later() {
    let world = World::new(readme(), TestReceiver::new([])).await;
    world.memory.make(0);
    world.memory.refuse(true);
    world.memory.grow(0, 3, Finished);
    wait(1_000).await;
    assert_eq!(world.spans(), [(0, 3, true)]);
    assert!(world.rewind(None, None).await.is_err());
    world.memory.refuse(false);
    wait(20_000).await;
    let world = world.crash(readme()).await;
    wait(20_000).await;
    assert_eq!(world.spans().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_a_dead_letter_until_it_is_repaired() {
    let world = World::new(readme(), TestReceiver::new([])).await;
    world.memory.make(0);
    world.memory.damage(0, true);
    world.memory.grow(0, 3, Finished);
    world.memory.make(1);
    world.memory.grow(1, 3, Finished);
    wait(10_000).await;
    assert_eq!(world.spans().len(), 1);
    let info = world.info().await;
    assert_eq!((info.state, info.dead_letters), (WebhookState::Idle, 1));
    let list = world.webhooks.deliveries(&info.id).await.unwrap();
    let id = &list.dead_letters[0].id;
    assert!(world.webhooks.redeliver(&info.id, id).await.is_err());
    world.memory.damage(0, false);
    assert!(
        world
            .webhooks
            .redeliver(&info.id, id)
            .await
            .unwrap()
            .delivered
    );
    assert_eq!(world.spans()[1..], [(0, 3, true)]);
}

#[tokio::test(start_paused = true)]
async fn more_conversations_than_are_looked_at_all_come() {
    let mut config = readme();
    config.max_in_flight = std::num::NonZeroU32::new(100).unwrap();
    let world = World::new(config.clone(), TestReceiver::new([])).await;
    world.receiver.always(Some(Answers(503)));
    for nth in 0..10_300 {
        world.memory.make(nth);
        world.memory.grow(nth, 1, Finished);
    }
    wait(120_000).await;
    let lag = world.info().await.lag;
    assert!((10_000..10_300).contains(&lag.conversations), "{lag:?}");
    let world = world.crash(config).await;
    world.receiver.always(None);
    wait(120_000).await;
    assert_eq!(world.info().await.lag.conversations, 0);
    let got = world.receiver.got();
    let kept: std::collections::HashSet<_> = got
        .iter()
        .filter(|got| got.kept)
        .map(|got| got.conversation)
        .collect();
    assert_eq!(kept.len(), 10_300);
}
