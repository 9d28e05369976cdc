use core_model::{
    ExecutionStatus::{Finished, Running},
    Seq,
    port::{Deliveries as _, DeliveriesError, DeliverySubject, Outcome, WebhookState},
};

use super::{World, beginning, openhands, readme, wait};
use crate::{
    WebhookConfig,
    testing::{Memory, Reaction, TestReceiver},
};

#[tokio::test(start_paused = true)]
async fn its_state_lag_and_deliveries_show() {
    let world = World::new(readme(), TestReceiver::new([Reaction::Slow(2_000)])).await;
    assert_eq!(world.info().await.state, WebhookState::Idle);
    world.memory.make(0);
    world.memory.grow(0, 11, Running);
    wait(1_000).await;
    let info = world.info().await;
    assert_eq!((info.state, info.in_flight), (WebhookState::Delivering, 1));
    assert_eq!((info.lag.events, info.lag.conversations), (12, 1));
    wait(10_000).await;
    let info = world.info().await;
    assert_eq!((info.state, info.lag.events), (WebhookState::Idle, 0));
    assert_eq!((info.succeeded, info.delivered_events), (2, 12));
    assert!(info.last_success_at.is_some() && info.last_error.is_none());
    let list = world.webhooks.deliveries(&info.name).await.unwrap();
    assert_eq!(list.items.len(), 2);
    assert_eq!(list.items[1].last_seq, Some(Seq(9)));
    assert!(
        list.items
            .iter()
            .all(|item| item.outcome == Outcome::Delivered)
    );
}

#[tokio::test(start_paused = true)]
async fn a_test_is_sent_and_counts_for_nothing_in_a_log() {
    let world = World::new(readme(), TestReceiver::new([Reaction::Answers(418)])).await;
    let name = world.info().await.name;
    let attempt = world.webhooks.test(&name).await.unwrap();
    assert_eq!((attempt.delivered, attempt.status), (false, Some(418)));
    assert!(world.webhooks.test(&name).await.unwrap().delivered);
    let got = world.receiver.got();
    assert_eq!(got[1].body[0]["key"], "ping");
    let list = world.webhooks.deliveries(&name).await.unwrap();
    assert_eq!(list.items[0].subject, DeliverySubject::Test);
    let again = world.webhooks.redeliver(&name, &list.items[0].id).await;
    assert!(matches!(again, Err(DeliveriesError::NoDelivery(_))));
}

/// Servers and libraries on the way may quote what they were sent.
#[tokio::test(start_paused = true)]
async fn no_secret_of_a_webhook_shows_in_why_a_delivery_failed() {
    let quoted = "cannot parse Bearer token-of-mine, token%2Dof%2Dmine, me:pass-w%C3%B6rd at \
                  ?key=in-the-query, whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let receiver = TestReceiver::new([]);
    receiver.always(Some(Reaction::Breaks(quoted)));
    let url = "http://me:pass-w%C3%B6rd@receiver.test/hook?key=in-the-query";
    let config = WebhookConfig {
        headers: [("Authorization".to_owned(), "Bearer token-of-mine".into())].into(),
        secret: Some("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()),
        ..WebhookConfig::new(url.parse().unwrap())
    };
    let world = World::new(config, receiver).await;
    world.memory.make(0);
    world.memory.grow(0, 3, Finished);
    wait(6_000).await;
    let info = world.info().await;
    let list = world.webhooks.deliveries(&info.name).await.unwrap();
    let attempt = world.webhooks.test(&info.name).await.unwrap();
    let shown = [
        info.last_error.unwrap().reason,
        list.items[0].reason.clone().unwrap(),
        attempt.reason.unwrap(),
    ];
    for reason in shown {
        assert!(reason.starts_with("cannot parse **********"), "{reason}");
        for secret in ["mine", "pass", "in-the-query", "MfKQ"] {
            assert!(!reason.contains(secret), "{reason}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn it_goes_back_to_an_event_or_to_the_start_of_one_or_all() {
    let world = World::new(readme(), TestReceiver::new([])).await;
    let first = world.memory.make(0).unwrap();
    world.memory.grow(0, 9, Running);
    world.memory.make(1);
    world.memory.grow(1, 2, Finished);
    wait(10_000).await;
    assert_eq!(world.spans(), [(0, 9, true), (0, 2, true)]);
    let rewound = world.rewind(Some(first.id), Some(7)).await.unwrap();
    assert_eq!(rewound.events, 3);
    wait(10_000).await;
    assert_eq!(world.spans()[2..], [(7, 9, true)]);
    let rewound = world.rewind(None, None).await.unwrap();
    assert_eq!((rewound.conversations, rewound.events), (2, 13));
    wait(10_000).await;
    assert_eq!(world.spans()[3..], [(0, 9, true), (0, 2, true)]);
    let ids: Vec<String> = world.receiver.got().into_iter().map(|got| got.id).collect();
    assert_ne!(
        ids[0], ids[3],
        "a receiver that drops doubles by id would drop it"
    );
    let unknown = world.rewind(Some(Memory::id(9)), None).await;
    assert!(matches!(unknown, Err(DeliveriesError::NoConversation(_))));
}

#[tokio::test(start_paused = true)]
async fn a_rewind_outlives_a_crash_and_what_was_under_way() {
    for back_to_all in [false, true] {
        let world = World::new(openhands(), TestReceiver::new([])).await;
        let of = world.memory.make(0).unwrap();
        world.memory.grow(0, 12, Finished);
        wait(10_000).await;
        let before = world.spans().len();
        world.memory.grow(0, 5, Running);
        world.receiver.script([Reaction::Slow(5_000)]);
        wait(100).await;
        let one = (!back_to_all).then_some(of.id);
        world.rewind(one, None).await.unwrap();
        assert_eq!(world.spans().len(), before + 1);
        let world = world.crash(openhands()).await;
        wait(60_000).await;
        let spans = &world.spans()[before + 1..];
        assert_eq!(spans.first(), Some(&(0, 4, true)), "{spans:?}");
        assert_eq!(spans.iter().map(|(_, last, _)| *last).max(), Some(18));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_when_it_is_taken_back_does_not_move_the_cursor() {
    let world = World::new(
        beginning(readme()),
        TestReceiver::new([Reaction::Slow(5_000)]),
    )
    .await;
    world.memory.make(0);
    world.memory.grow(0, 9, Running);
    wait(1_000).await;
    world.rewind(None, None).await.unwrap();
    wait(20_000).await;
    assert_eq!(world.spans(), [(0, 9, true), (0, 9, true)]);
    assert_eq!(world.receiver.most_in_flight(), 1);
}
