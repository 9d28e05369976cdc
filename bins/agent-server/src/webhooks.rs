//! Webhooks wired to the store.

use agent_runtime::Runtime;
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
    if !keep_deliveries(settings, store)? {
        return Ok(Webhooks::none());
    }
    let ports = Ports {
        conversations: store.folder().to_owned(),
        store: store.port(),
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

/// Has the store keep records of deliveries; false if no webhook is configured and there are no records of
/// earlier ones.
fn keep_deliveries(settings: &Settings, store: &OpenedStore) -> Result<bool, StartError> {
    let wanted = !settings.webhooks.is_empty();
    match store {
        OpenedStore::Files(store) => {
            let folder = settings.workspace_root().join(FOLDER);
            if !wanted && !folder.exists() {
                return Ok(false);
            }
            match store.keep_deliveries(&folder) {
                // Another server keeps its records there, and this one needs none.
                Err(OpenError::DeliveriesLocked { .. }) if !wanted => return Ok(false),
                kept => kept?,
            }
            store.keep_deleted(wanted);
            Ok(true)
        }
        OpenedStore::Memory(store, _) => {
            store.keep_deleted(wanted);
            Ok(wanted)
        }
    }
}
