use std::{collections::VecDeque, sync::Mutex};

use core_model::{ConversationId, UtcTime, port::Notice};

use crate::error::lock;

/// Notices kept; older ones are in the server's log.
const NOTICES: usize = 100;

/// What the store found since it was opened.
#[derive(Default)]
pub(crate) struct Notices(Mutex<VecDeque<Notice>>);

impl Notices {
    pub(crate) fn add(&self, conversation_id: ConversationId, text: String) {
        let mut notices = lock(&self.0);
        if notices.len() == NOTICES {
            notices.pop_front();
        }
        notices.push_back(Notice {
            conversation_id,
            found_at: UtcTime::now(),
            text,
        });
    }

    pub(crate) fn all(&self) -> Vec<Notice> {
        lock(&self.0).iter().cloned().collect()
    }
}
