//! Webhooks wired to the store.

use std::sync::Arc;

use agent_runtime::Runtime;
use core_model::port::DeliveryRecords;
use store_fs::OpenError;
use webhooks::{Ports, ServerIdentity, Webhooks};

use crate::{config::Settings, opened_store::OpenedStore, start_error::StartError};

/// The folder, below the workspace root, of the records of deliveries.
const FOLDER: &str = "webhooks";

/// Starts the configured webhooks. Without any, deleted conversations are removed at once, and only the
/// records of webhooks that were configured within the last week are kept.
pub(crate) async fn start(
    settings: &Settings,
    store: &OpenedStore,
    runtime: &Runtime,
) -> Result<Webhooks, StartError> {
    let Some(records) = records(settings, store)? else {
        return Ok(Webhooks::none());
    };
    let ports = Ports {
        conversations: store.folder().to_owned(),
        source: store.source(),
        records,
    };
    let server = ServerIdentity {
        session_key: settings.keys().next().map(str::to_owned),
        user_agent: concat!("agent-server/", env!("CARGO_PKG_VERSION")).to_owned(),
    };
    let recovered = {
        let runtime = runtime.clone();
        async move { runtime.until_recovered().await }
    };
    let webhooks = settings.webhooks.clone();
    for webhook in &webhooks {
        tracing::info!("events go to the webhook {}", webhook.shown_name());
    }
    Ok(Webhooks::start(webhooks, ports, &server, recovered).await?)
}

/// The records of deliveries; none if no webhook is configured and there are no records of earlier ones.
fn records(
    settings: &Settings,
    store: &OpenedStore,
) -> Result<Option<Arc<dyn DeliveryRecords>>, StartError> {
    let wanted = !settings.webhooks.is_empty();
    match store {
        OpenedStore::Files(store) => {
            let folder = settings.workspace_root().join(FOLDER);
            if !wanted && !folder.exists() {
                return Ok(None);
            }
            let records = match store.keep_deliveries(&folder) {
                // Another server keeps its records there, and this one needs none.
                Err(OpenError::DeliveriesLocked { .. }) if !wanted => return Ok(None),
                kept => kept?,
            };
            if !wanted {
                records.stop_keeping_deleted();
            }
            Ok(Some(Arc::new(records)))
        }
        OpenedStore::Memory(store, _) => {
            store.keep_deleted(wanted);
            Ok(wanted.then(|| Arc::new(store.clone()) as _))
        }
    }
}
