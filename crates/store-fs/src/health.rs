use std::sync::{Arc, Mutex, Weak};

use core_model::{ConversationId, port};

use crate::error::lock;

/// A log that may be poisoned.
pub(crate) trait FaultyLog: Send + Sync {
    fn id(&self) -> ConversationId;
    /// Why the log takes no more events for now; none when it takes them.
    fn fault(&self) -> Option<port::Fault>;
    /// Has it looked, in the background, whether what failed works again, unless it was looked just now.
    fn try_again(self: Arc<Self>);
}

/// The poisoned logs of a store. They stay open until they take events again, are deleted, or the store is
/// dropped: opened again, one would show what it never acknowledged.
#[derive(Default)]
pub(crate) struct Health(Mutex<Vec<Arc<dyn FaultyLog>>>);

impl Health {
    /// Looks whether what failed works again, in the background.
    ///
    /// # Errors
    /// The first poisoned log, and why it is.
    pub(crate) fn check(&self) -> Result<(), String> {
        let faulty = lock(&self.0).clone();
        let mut found = Ok(());
        for log in faulty {
            Arc::clone(&log).try_again();
            if let (Some(reason), Ok(())) = (log.fault(), &found) {
                let id = log.id();
                found = Err(format!("conversation {id} takes no more events: {reason}"));
            }
        }
        self.drop_sound();
        found
    }

    pub(crate) fn report(&self, log: Weak<dyn FaultyLog>) {
        self.drop_sound();
        lock(&self.0).extend(log.upgrade());
    }

    /// Lets go of all, at the end.
    pub(crate) fn clear(&self) {
        let all = std::mem::take(&mut *lock(&self.0));
        drop(all);
    }

    fn drop_sound(&self) {
        // Dropped outside the lock, because that may do something.
        let mut sound = Vec::new();
        lock(&self.0).retain(|log| {
            let poisoned = log.fault().is_some();
            if !poisoned {
                sound.push(Arc::clone(log));
            }
            poisoned
        });
    }
}
