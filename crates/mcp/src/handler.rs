//! What a server may ask and tell us.
//!
//! Elicitation (a question to a person) is declined and sampling (a call of our model) refused: nobody is
//! asked yet. The workspace is the only root.

#![expect(
    deprecated,
    reason = "servers of all versions of the protocol are to work"
)]

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use rmcp::{
    ClientHandler, ErrorData,
    model::{
        ClientCapabilities, ClientConfig, CreateMessageRequestParams, CreateMessageResult,
        ElicitRequestParams, ElicitResult, ElicitationAction, ErrorCode, Implementation,
        ListRootsResult, LoggingMessageNotificationParam, Root, RootsCapabilities,
    },
    service::{NotificationContext, RequestContext, RoleClient},
};

use crate::server_log::ServerLog;

pub(crate) struct Handler {
    /// A `file:` address.
    pub(crate) root: String,
    pub(crate) log: ServerLog,
    /// Set when the server says that it has other tools now.
    pub(crate) tools_changed: Arc<AtomicBool>,
}

impl ClientHandler for Handler {
    fn get_info(&self) -> ClientConfig {
        let mut capabilities = ClientCapabilities::default();
        capabilities.roots = Some(RootsCapabilities::default());
        let mut config = ClientConfig::default();
        config.capabilities = capabilities;
        config.client_info = Implementation::new("agent-server", env!("CARGO_PKG_VERSION"));
        config
    }

    async fn list_roots(
        &self,
        _context: RequestContext<RoleClient>,
    ) -> Result<ListRootsResult, ErrorData> {
        Ok(ListRootsResult::new(vec![Root::new(self.root.clone())]))
    }

    async fn create_message(
        &self,
        _params: CreateMessageRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        self.log
            .note("the server asked for our model, which was refused")
            .await;
        let why = "sampling is not supported";
        Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, why, None))
    }

    async fn create_elicitation(
        &self,
        _request: ElicitRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        self.log
            .note("the server asked a person, which was declined")
            .await;
        Ok(ElicitResult::new(ElicitationAction::Decline))
    }

    async fn on_tool_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.tools_changed.store(true, Ordering::Release);
    }

    async fn on_logging_message(
        &self,
        params: LoggingMessageNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        let text = params.data.as_str().map(str::to_owned);
        let text = text.unwrap_or_else(|| params.data.to_string());
        self.log.note(&text).await;
    }
}
