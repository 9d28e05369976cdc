//! Webhooks wired to the store.

use std::sync::Arc;

use agent_runtime::Runtime;
use store_fs::FsStore;
use webhooks::{Ports, ServerIdentity, Webhooks};

use crate::{config::Settings, start_error::StartError};

/// The folder, below the workspace root, of the records of deliveries.
const FOLDER: &str = "webhooks";

/// Starts the configured webhooks. Without any, deleted conversations are removed at once, and only the
/// records of webhooks that were configured within the last week are kept.
pub(crate) async fn start(
    settings: &Settings,
    store: Arc<FsStore>,
    runtime: &Runtime,
) -> Result<Webhooks, StartError> {
    let folder = settings.workspace_root().join(FOLDER);
    let wanted = !settings.webhooks.is_empty();
    if !wanted && !folder.exists() {
        return Ok(Webhooks::none());
    }
    let records = store.keep_deliveries(&folder)?;
    if !wanted {
        records.stop_keeping_deleted();
    }
    let ports = Ports {
        conversations: store.root().to_owned(),
        source: store,
        records: Arc::new(records),
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
