//! Webhooks of a whole server, with receivers that answer as the test wants.

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU16, Ordering},
    },
    time::Duration,
};

use ::webhooks::WebhookConfig;
use serde_json::{Value, json};
use test_support::{
    TestServer,
    receiver::{Answer, Delivery, Receiver},
    settings::Settings,
};

/// Tries again soon, so that tests need not wait.
fn webhook(config: Value) -> WebhookConfig {
    let mut config: WebhookConfig = serde_json::from_value(config).unwrap();
    config.retry_delay = Duration::from_millis(100);
    config
}

fn to(receiver: &Receiver) -> WebhookConfig {
    webhook(json!({"webhook_url": receiver.url("/hook"), "name": "it"}))
}

fn with(webhooks: Vec<WebhookConfig>) -> impl FnOnce(&mut Settings) {
    |settings| settings.webhooks = webhooks
}

/// The first one's entry in the list, and its state.
async fn look(server: &TestServer) -> Value {
    let (status, list) = server.get("/webhooks").await;
    assert_eq!(status, 200, "{list}");
    list[0].clone()
}

async fn wait_for_state(server: &TestServer, state: &str) {
    let mut now = Value::Null;
    for _ in 0..3_000 {
        now = look(server).await;
        if now["state"] == state {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(now["state"], state, "{now}");
}

/// How many deleted conversations wait to be delivered.
fn waiting(server: &TestServer) -> usize {
    let outbox = server.workspace().join("../webhooks/outbox");
    std::fs::read_dir(outbox).unwrap().count()
}

/// Waits until all of a conversation's events came, each once in the log's order.
async fn all_came(server: &TestServer, receiver: &Receiver, id: &str) {
    let events = server.events(id).await;
    receiver.wait_for_events(id, events.len()).await;
    assert_eq!(receiver.events_of(id), events);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_arrives_as_it_stands_in_the_log() {
    let receiver = Receiver::start();
    let server = TestServer::with(with(vec![to(&receiver)])).await;
    let id = server.create_running("$ echo one\n$ echo two").await;
    server.wait_for(&id, "finished").await;
    all_came(&server, &receiver, &id).await;
    // The end of the turn sends what waits, so that nothing is left for the delay.
    wait_for_state(&server, "idle").await;
    let mut next = 0;
    for delivery in receiver.deliveries() {
        assert_eq!(
            (delivery.method.as_str(), delivery.path.as_str()),
            ("POST", "/hook")
        );
        assert_eq!(delivery.header("content-type"), "application/json");
        assert!(delivery.header("user-agent").starts_with("agent-server/"));
        assert!(delivery.header("webhook-id").starts_with("msg_"));
        assert!(delivery.header("webhook-timestamp").parse::<i64>().is_ok());
        assert_eq!(delivery.header("webhook-signature"), "");
        let (first, last) = delivery.span();
        assert_eq!(first, next);
        next = last + 1;
        assert!(delivery.events().len() <= 10);
    }
    let log = std::fs::read(server.folder(&id).join("events.jsonl")).unwrap();
    let bodies: Vec<u8> = receiver
        .deliveries()
        .iter()
        .flat_map(|delivery| delivery.body[1..delivery.body.len() - 1].to_vec())
        .collect();
    let stripped = |bytes: &[u8], without: &[u8]| -> Vec<u8> {
        bytes
            .iter()
            .copied()
            .filter(|b| !without.contains(b))
            .collect()
    };
    assert_eq!(stripped(&log, b"\n,"), stripped(&bodies, b","));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_openhands_form_sends_conversations_too_and_the_key() {
    let receiver = Receiver::start();
    let hook = webhook(json!({
        "base_url": receiver.url("/hook"),
        "event_buffer_size": 5,
        "headers": {"X-Test": "1"},
    }));
    let server = TestServer::with(|settings| {
        settings.webhooks = vec![hook];
        settings.session_api_keys =
            serde_json::from_value(json!(["first-key", "second-key"])).unwrap();
    })
    .await;
    let id = server.create_running("$ echo one").await;
    server.wait_for(&id, "finished").await;
    all_came(&server, &receiver, &id).await;
    let (status, _) = server.delete(&format!("/conversations/{id}")).await;
    assert_eq!(status, 200);
    let is_deleting = |delivery: &test_support::receiver::Delivery| {
        delivery.path == "/hook/conversations" && delivery.json()["execution_status"] == "deleting"
    };
    receiver
        .wait_for("word of the deletion", |all| all.iter().any(is_deleting))
        .await;
    let deliveries = receiver.deliveries();
    let events = format!("/hook/events/{}", id.replace('-', ""));
    assert_eq!(deliveries[0].path, "/hook/conversations");
    assert_eq!(deliveries[0].json()["id"], id);
    for delivery in &deliveries {
        assert!(["/hook/conversations", &events].contains(&delivery.path.as_str()));
        assert_eq!(delivery.header("x-session-api-key"), "first-key");
        assert_eq!(delivery.header("x-test"), "1");
    }
    let told = deliveries
        .iter()
        .filter(|d| d.path == "/hook/conversations");
    let last: Vec<String> = told
        .map(|d| d.json()["execution_status"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(last[last.len() - 2..], ["finished", "deleting"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_then_success_loses_nothing_and_keeps_the_order() {
    let status = Arc::new(AtomicU16::new(500));
    let answers = Arc::clone(&status);
    let receiver = Receiver::answering(move |_| Answer::status(answers.load(Ordering::SeqCst)));
    let server = TestServer::with(with(vec![to(&receiver)])).await;
    let id = server.create_running("$ echo one\n$ echo two").await;
    server.wait_for(&id, "finished").await;
    wait_for_state(&server, "parked").await;
    let parked = look(&server).await;
    assert_eq!(parked["last_error"]["status"], 500, "{parked}");
    assert!(parked["lag"]["events"].as_u64() > Some(0) && parked["probes"].is_object());
    status.store(200, Ordering::SeqCst);
    all_came(&server, &receiver, &id).await;
    wait_for_state(&server, "idle").await;
    let first = &receiver.deliveries()[0];
    let same = receiver.deliveries();
    let same = same.iter().take_while(|d| d.status == 500);
    assert!(same.clone().count() >= 4);
    assert!(
        same.into_iter()
            .all(|d| d.header("webhook-id") == first.header("webhook-id"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_down_gets_everything_when_it_is_back_also_after_a_restart() {
    let receiver = Receiver::start();
    let (port, hook) = (receiver.port(), to(&receiver));
    drop(receiver);
    let server = TestServer::with(with(vec![hook])).await;
    let first = server.create_running("$ echo one").await;
    let second = server.create_running("$ echo two").await;
    server.wait_for(&first, "finished").await;
    server.wait_for(&second, "finished").await;
    wait_for_state(&server, "parked").await;
    let gone = server.events(&second).await;
    let (status, _) = server.delete(&format!("/conversations/{second}")).await;
    assert_eq!(status, 200);
    let server = server.restart().await;
    let third = server.create_running("$ echo three").await;
    server.wait_for(&third, "finished").await;
    let receiver = Receiver::on(port, |_| Answer::status(204));
    all_came(&server, &receiver, &first).await;
    all_came(&server, &receiver, &third).await;
    receiver.wait_for_events(&second, gone.len()).await;
    assert_eq!(receiver.events_of(&second), gone);
    wait_for_state(&server, "idle").await;
    for _ in 0..1_000 {
        if waiting(&server) == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(waiting(&server), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_killed_again_and_again_misses_nothing() {
    let receiver = Receiver::start();
    let port = receiver.port();
    let mut hook = to(&receiver);
    hook.event_buffer_size = NonZeroU32::new(2).unwrap();
    let server = TestServer::with(with(vec![hook])).await;
    let script: Vec<String> = (0..30).map(|nth| format!("$ echo {nth}")).collect();
    let id = server.create_running(&script.join("\n")).await;
    let mut kept = receiver.kill();
    for nth in 0..10_u64 {
        let receiver = Receiver::on(port, |_| Answer::after(Duration::from_millis(3)));
        tokio::time::sleep(Duration::from_millis(20 * nth)).await;
        kept.extend(receiver.kill());
    }
    let receiver = Receiver::on(port, |_| Answer::status(200));
    server.wait_for(&id, "finished").await;
    let len = server.events(&id).await.len() as u64;
    let is_last = |delivery: &Delivery| delivery.status == 200 && delivery.span().1 + 1 == len;
    if !kept.iter().any(is_last) {
        let has_last = |deliveries: &[Delivery]| deliveries.iter().any(is_last);
        receiver.wait_for("last event", has_last).await;
    }
    kept.extend(receiver.deliveries());
    let mut next = 0;
    for delivery in kept.iter().filter(|delivery| delivery.status == 200) {
        let (first, last) = delivery.span();
        assert!(first <= next, "events {next}..{first} are missing");
        next = next.max(last + 1);
    }
    assert_eq!(next, len);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_never_answers_holds_up_neither_runs_nor_other_webhooks() {
    let stuck = Receiver::answering(|_| Answer::never());
    let well = Receiver::start();
    let hooks = vec![to(&stuck), webhook(json!({"webhook_url": well.url("/")}))];
    let server = TestServer::with(with(hooks)).await;
    let id = server
        .create_running("$ echo one\n$ echo two\n$ echo three")
        .await;
    server.wait_for(&id, "finished").await;
    all_came(&server, &well, &id).await;
    assert_eq!(
        stuck.deliveries().len(),
        1,
        "one request at a time for a conversation"
    );
    let (status, _) = server.delete(&format!("/conversations/{id}")).await;
    assert_eq!(status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_webhooks_each_get_everything() {
    let receivers: Vec<Receiver> = (0..10).map(|_| Receiver::start()).collect();
    let hooks = receivers.iter().map(|receiver| {
        webhook(json!({"webhook_url": receiver.url("/hook"), "event_buffer_size": 3}))
    });
    let server = TestServer::with(with(hooks.collect())).await;
    let mut ids = Vec::new();
    for nth in 0..5 {
        ids.push(
            server
                .create_running(&format!("$ echo {nth}\n$ echo again"))
                .await,
        );
    }
    for id in &ids {
        server.wait_for(id, "finished").await;
        for receiver in &receivers {
            all_came(&server, receiver, id).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_that_ends_with_the_server_is_delivered_before_it_stops() {
    let receiver = Receiver::start();
    let server = TestServer::with(with(vec![to(&receiver)])).await;
    let id = server.create_running("$ sleep 300").await;
    server
        .wait_for_event(&id, |e| e["action"]["command"] == "sleep 300")
        .await;
    let log = server.folder(&id).join("events.jsonl");
    let kept = server.stop().await;
    let lines = std::fs::read_to_string(log).unwrap();
    assert_eq!(receiver.events_of(&id).len(), lines.lines().count());
    assert!(lines.lines().last().unwrap().contains("paused"));
    drop(kept);
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_can_be_shown_tested_redelivered_and_rewound_in_both_dialects() {
    let refuses = Arc::new(AtomicBool::new(true));
    let refusing = Arc::clone(&refuses);
    let receiver = Receiver::answering(move |_| {
        Answer::status(if refusing.load(Ordering::SeqCst) {
            422
        } else {
            200
        })
    });
    let server = TestServer::with(with(vec![to(&receiver)])).await;
    for at in ["/webhooks", "/api/webhooks"] {
        let (status, list) = server.get(at).await;
        assert_eq!(
            (status, &list[0]["name"], &list[0]["state"]),
            (200, &json!("it"), &json!("idle"))
        );
        let (status, one) = server.get(&format!("{at}/it")).await;
        assert_eq!((status, &one["form"]), (200, &json!("webhook_url")));
        let (status, attempt) = server.post(&format!("{at}/it/test"), &json!({})).await;
        assert_eq!(
            (status, &attempt["delivered"], &attempt["status"]),
            (200, &json!(false), &json!(422))
        );
        assert_eq!(server.get(&format!("{at}/other")).await.0, 404);
    }
    assert_eq!(receiver.deliveries()[0].events()[0]["key"], "ping");
    let (_, info) = server.post("/conversations", &json!({})).await;
    let id = info["id"].as_str().unwrap();
    let message = json!({"role": "user", "content": [{"type": "text", "text": "hello"}]});
    server
        .post(&format!("/conversations/{id}/events"), &message)
        .await;
    let dead = async {
        loop {
            let (_, list) = server.get("/webhooks/it/deliveries").await;
            if let Some(letter) = list["dead_letters"].get(0) {
                return letter.clone();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let letter = tokio::time::timeout(Duration::from_secs(60), dead)
        .await
        .unwrap();
    assert_eq!(
        (&letter["outcome"], &letter["attempts"]),
        (&json!("dead"), &json!(3))
    );
    refuses.store(false, Ordering::SeqCst);
    let again = format!(
        "/api/webhooks/it/deliveries/{}/redeliver",
        letter["id"].as_str().unwrap()
    );
    let (status, attempt) = server.post(&again, &json!({})).await;
    assert_eq!(
        (status, &attempt["delivered"]),
        (200, &json!(true)),
        "{attempt}"
    );
    let (_, list) = server.get("/webhooks/it/deliveries").await;
    assert_eq!(list["dead_letters"], json!([]));
    let before = receiver.deliveries().len();
    let (status, rewound) = server
        .post(
            "/webhooks/it/rewind",
            &json!({"conversation_id": id, "seq": 0}),
        )
        .await;
    assert_eq!(
        (status, &rewound["conversations"]),
        (200, &json!(1)),
        "{rewound}"
    );
    receiver
        .wait_for("what was taken back", |all| all.len() > before)
        .await;
    assert_eq!(receiver.deliveries()[before].span().0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_webhooks_a_deleted_conversation_goes_at_once() {
    let receiver = Receiver::answering(|_| Answer::status(503));
    let server = TestServer::with(with(vec![to(&receiver)])).await;
    let id = server.create_running("$ echo one").await;
    server.wait_for(&id, "finished").await;
    server.delete(&format!("/conversations/{id}")).await;
    assert_eq!(waiting(&server), 1);
    let folder = server.stop().await;
    let server = TestServer::start_in(folder).await;
    assert_eq!(server.get("/webhooks").await, (200, json!([])));
    let id = server.create_running("$ echo two").await;
    server.wait_for(&id, "finished").await;
    server.delete(&format!("/conversations/{id}")).await;
    assert_eq!(waiting(&server), 0);
}
