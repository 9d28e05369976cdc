use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::{
    residency::live_conversation::LiveConversation,
    turn::title::{self, AUTOTITLE_CHARS, Title, TitleRequest},
};

/// The title that is being made, as a task of its own, so that nothing waits for it. Ends with its actor.
#[derive(Default)]
pub(super) struct Titling {
    task: Option<JoinHandle<Title>>,
}

impl Titling {
    /// Has a title made of a message, unless one is being made.
    pub(super) fn begin(&mut self, live: &Arc<LiveConversation>, message: String) {
        if self.is_under_way() {
            return;
        }
        let conversation = Arc::clone(live);
        let request = TitleRequest {
            message,
            max_chars: AUTOTITLE_CHARS,
            llm: None,
        };
        let work = async move { title::write(&conversation, request).await };
        self.task = Some(live.runtime.tokio.spawn(work));
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.task.is_some()
    }

    /// The title when it is made; None when making it failed. Waits for ever while none is being made.
    ///
    /// # Cancel safety
    /// Loses nothing.
    pub(super) async fn made(&mut self) -> Option<Title> {
        let Some(task) = &mut self.task else {
            return std::future::pending().await;
        };
        let made = task.await;
        self.task = None;
        made.ok()
    }
}

impl Drop for Titling {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}
