//! Whole webhooks on a paused clock: a store in memory, a receiver that follows a script.

mod batching;
mod failing;
mod looking_in;
mod property;
mod rare;
mod starting;

use std::{sync::Arc, time::Duration};

use core_model::{
    ConversationId, ConversationKey, Seq,
    port::{Deliveries as _, DeliveriesError, Rewind, Rewound, WebhookInfo},
};
use url::Url;

use crate::{
    Ports, ServerIdentity, Start, WebhookConfig, Webhooks,
    testing::{Memory, TestReceiver},
};

/// Some webhooks with one receiver.
pub(super) struct World {
    pub(super) memory: Arc<Memory>,
    pub(super) receiver: Arc<TestReceiver>,
    pub(super) webhooks: Webhooks,
}

pub(super) fn readme() -> WebhookConfig {
    WebhookConfig::new(Url::parse("http://receiver.test/hook").unwrap())
}

pub(super) fn openhands() -> WebhookConfig {
    WebhookConfig {
        name: Some("openhands".to_owned()),
        ..WebhookConfig::below(Url::parse("http://receiver.test/hook").unwrap())
    }
}

impl World {
    pub(super) async fn new(config: WebhookConfig, receiver: Arc<TestReceiver>) -> Self {
        Self::on(Memory::new(), config, receiver).await
    }

    pub(super) async fn on(
        memory: Arc<Memory>,
        config: WebhookConfig,
        receiver: Arc<TestReceiver>,
    ) -> Self {
        let webhooks = start(&memory, vec![config], &receiver).await;
        Self {
            memory,
            receiver,
            webhooks,
        }
    }

    /// Ends without a drain, and starts again.
    pub(super) async fn crash(self, config: WebhookConfig) -> Self {
        drop(self.webhooks);
        // Tasks that were aborted are gone when others had their turn.
        wait(1).await;
        Self::on(self.memory, config, self.receiver).await
    }

    pub(super) async fn info(&self) -> WebhookInfo {
        self.webhooks.webhooks().await.remove(0)
    }

    /// Takes the webhook back: to an event of a conversation, to its start, or to the start of all.
    pub(super) async fn rewind(
        &self,
        conversation_id: Option<ConversationId>,
        seq: Option<u64>,
    ) -> Result<Rewound, DeliveriesError> {
        let id = self.info().await.id;
        let seq = seq.map(Seq);
        let to = Rewind {
            conversation_id,
            seq,
        };
        self.webhooks.rewind(&id, to).await
    }

    /// The spans of the requests about events that came in, with what became of them.
    pub(super) fn spans(&self) -> Vec<(u64, u64, bool)> {
        let got = self.receiver.got().into_iter();
        got.filter_map(|got| {
            let (first, last) = got.span?;
            Some((first.0, last.0, got.kept))
        })
        .collect()
    }
}

pub(super) async fn start(
    memory: &Arc<Memory>,
    configs: Vec<WebhookConfig>,
    receiver: &Arc<TestReceiver>,
) -> Webhooks {
    let receivers = vec![Arc::clone(receiver); configs.len()];
    start_each(memory, configs, &receivers).await
}

/// Each with a receiver of its own.
pub(super) async fn start_each(
    memory: &Arc<Memory>,
    configs: Vec<WebhookConfig>,
    receivers: &[Arc<TestReceiver>],
) -> Webhooks {
    let ports = Ports {
        store: Arc::clone(memory) as _,
        conversations: "conversations".into(),
    };
    let ids: Vec<String> = configs.iter().map(WebhookConfig::id).collect();
    let receivers = receivers.to_vec();
    Webhooks::start_with(
        configs,
        ports,
        &ServerIdentity::default(),
        std::future::ready(()),
        &move |config| {
            let nth = ids.iter().position(|id| *id == config.id()).unwrap();
            Arc::clone(&receivers[nth]) as _
        },
    )
    .await
    .unwrap()
}

pub(super) async fn wait(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

pub(super) fn beginning(config: WebhookConfig) -> WebhookConfig {
    WebhookConfig {
        start: Start::Beginning,
        ..config
    }
}

/// Whether what the receiver keeps, without doubles, is the log, in its order.
pub(super) fn all_there(
    world: &World,
    of: &ConversationKey,
    events: &[core_model::EventId],
) -> bool {
    let mut seen: Vec<String> = Vec::new();
    for got in world.receiver.got() {
        if got.conversation != Some(of.id) || !got.kept {
            continue;
        }
        for event in got.body.as_array().into_iter().flatten() {
            let id = event["id"].as_str().unwrap().to_owned();
            if !seen.contains(&id) {
                seen.push(id);
            }
        }
    }
    let wanted: Vec<String> = events.iter().map(|id| id.as_str().to_owned()).collect();
    let seen: Vec<String> = seen.into_iter().filter(|id| wanted.contains(id)).collect();
    seen == wanted
}
