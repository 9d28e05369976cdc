//! All webhooks of a server.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use core_model::{
    StoreError, UtcTime,
    port::{
        Attempt, Deliveries, DeliveriesError, DeliveryList, FollowerChange, Rewind, Rewound,
        WebhookInfo,
    },
};
use futures_util::{FutureExt as _, future::join_all};
use thiserror::Error;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};

use crate::{
    config::{InvalidWebhook, WebhookConfig, check_list},
    endpoint::{Endpoint, Ports, ServerIdentity},
    http::HttpSender,
    outbox::Outbox,
    sender::Sender,
    worker::{Command, Worker},
};

/// Commands that may wait for one webhook.
const MAX_COMMANDS: usize = 64;
/// How long the records of a webhook are kept that is not configured any more.
const REMOVED_KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// All webhooks of a server, delivering. Dropping it ends them where they are.
pub struct Webhooks {
    workers: Vec<Handle>,
    /// Clears the outbox.
    outbox: Option<JoinHandle<()>>,
}

struct Handle {
    id: String,
    name: String,
    commands: mpsc::Sender<Command>,
    task: JoinHandle<()>,
}

/// Why webhooks cannot start.
#[derive(Debug, Error)]
pub enum StartError {
    #[error(transparent)]
    Invalid(#[from] InvalidWebhook),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Webhooks {
    /// None at all.
    #[must_use]
    pub fn none() -> Self {
        Self {
            workers: Vec::new(),
            outbox: None,
        }
    }

    /// Continues each webhook where it was, and starts those that are new. What happens after this
    /// returned is delivered. Call it on the tokio runtime that is to do the work; `recovered` ends when
    /// the list of conversations is complete.
    ///
    /// # Errors
    /// When the store cannot be read or written, or a webhook cannot be used as it is configured.
    pub async fn start(
        configs: Vec<WebhookConfig>,
        ports: Ports,
        server: &ServerIdentity,
        recovered: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Self, StartError> {
        let sender = |config: &WebhookConfig| -> Arc<dyn Sender> {
            Arc::new(HttpSender::new(config.allow_link_local))
        };
        Self::start_with(configs, ports, server, recovered, &sender).await
    }

    pub(crate) async fn start_with(
        configs: Vec<WebhookConfig>,
        ports: Ports,
        server: &ServerIdentity,
        recovered: impl Future<Output = ()> + Send + 'static,
        sender: &(dyn Fn(&WebhookConfig) -> Arc<dyn Sender> + Sync),
    ) -> Result<Self, StartError> {
        check_list(&configs)?;
        let wanted: Vec<String> = configs.iter().map(WebhookConfig::id).collect();
        retire_others(&ports, &wanted).await?;
        let end = ports.store.feed_len().await?;
        let outbox = Outbox::open(Arc::clone(&ports.store), end, configs.len()).await?;
        let recovered = recovered.boxed().shared();
        let mut workers = Vec::with_capacity(configs.len());
        for (index, config) in configs.into_iter().enumerate() {
            let sender = sender(&config);
            let endpoint = Endpoint::new(index, config, ports.clone(), sender, server)?;
            let (commands, inbox) = mpsc::channel(MAX_COMMANDS);
            let (id, name) = (endpoint.id.clone(), endpoint.name.clone());
            let outbox = Arc::clone(&outbox);
            let worker = Worker::new(endpoint, outbox, inbox, recovered.clone()).await?;
            workers.push((id, name, commands, worker));
        }
        let workers: Vec<Handle> = workers
            .into_iter()
            .map(|(id, name, commands, worker)| Handle {
                id,
                name,
                commands,
                task: tokio::spawn(worker.run()),
            })
            .collect();
        outbox.clear().await;
        let outbox = (!workers.is_empty()).then(|| tokio::spawn(outbox.run()));
        Ok(Self { workers, outbox })
    }

    /// Sends what waits to receivers that take it, for at most `deadline`, and records how far each got.
    /// Nothing is delivered after that.
    pub async fn drain(&self, deadline: Duration) {
        let drained = self.workers.iter().map(|worker| async {
            let (reply, drained) = oneshot::channel();
            if worker.commands.send(Command::Drain(reply)).await.is_ok() {
                drained.await.ok();
            }
        });
        if timeout(deadline, join_all(drained)).await.is_err() {
            tracing::info!("not all webhooks were delivered; the rest comes after the next start");
        }
        self.end();
    }

    fn end(&self) {
        self.workers.iter().for_each(|worker| worker.task.abort());
        self.outbox.iter().for_each(JoinHandle::abort);
    }

    fn find(&self, name: &str) -> Result<&Handle, DeliveriesError> {
        let workers = || self.workers.iter();
        let found = workers().find(|worker| worker.name == name);
        found
            .or_else(|| workers().find(|worker| worker.id == name))
            .ok_or_else(|| DeliveriesError::NoWebhook(name.to_owned()))
    }
}

impl Drop for Webhooks {
    fn drop(&mut self) {
        self.end();
    }
}

impl Handle {
    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, DeliveriesError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.commands.send(command(reply)).await;
        sent.map_err(|_ended| DeliveriesError::Stopping)?;
        answer.await.map_err(|_ended| DeliveriesError::Stopping)
    }
}

#[async_trait]
impl Deliveries for Webhooks {
    async fn webhooks(&self) -> Vec<WebhookInfo> {
        let infos = self.workers.iter().map(|worker| worker.ask(Command::Info));
        join_all(infos).await.into_iter().flatten().collect()
    }

    async fn deliveries(&self, webhook: &str) -> Result<DeliveryList, DeliveriesError> {
        self.find(webhook)?.ask(Command::Deliveries).await
    }

    async fn redeliver(&self, webhook: &str, delivery: &str) -> Result<Attempt, DeliveriesError> {
        let id = delivery.to_owned();
        let redeliver = |reply| Command::Redeliver { id, reply };
        self.find(webhook)?.ask(redeliver).await?
    }

    async fn test(&self, webhook: &str) -> Result<Attempt, DeliveriesError> {
        self.find(webhook)?.ask(Command::Test).await
    }

    async fn rewind(&self, webhook: &str, to: Rewind) -> Result<Rewound, DeliveriesError> {
        let rewind = |reply| Command::Rewind { to, reply };
        self.find(webhook)?.ask(rewind).await?
    }
}

/// Remembers since when webhooks are not configured any more, and forgets them after a week.
async fn retire_others(ports: &Ports, wanted: &[String]) -> Result<(), StoreError> {
    let now = UtcTime::now();
    let store = &ports.store;
    for follower in store.followers().await? {
        if wanted.contains(&follower) {
            continue;
        }
        let Some(records) = store.load(&follower).await? else {
            store.forget_follower(&follower).await?;
            continue;
        };
        match records.removed {
            None => {
                tracing::info!(
                    webhook = records.name,
                    "no longer configured; its place is kept for a week"
                );
                let removed = FollowerChange::Removed { at: now };
                store.change(&follower, vec![removed]).await?;
                store.flush(&follower).await?;
            }
            Some(at) if (now.0 - at.0).to_std().unwrap_or_default() > REMOVED_KEPT => {
                store.forget_follower(&follower).await?;
            }
            Some(_) => {}
        }
    }
    if wanted.is_empty() {
        // Nobody wants what was deleted.
        for deleted in store.deleted().await? {
            store.discard(deleted.conversation).await?;
        }
    }
    Ok(())
}
