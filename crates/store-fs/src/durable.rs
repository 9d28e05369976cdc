use std::sync::atomic::{AtomicU64, Ordering};

/// How far a log is on disk for sure, known also to those who sync it in the background.
pub(crate) struct Durable {
    bytes: AtomicU64,
    /// Odd while the log takes no events, since a write or sync failed.
    times: AtomicU64,
}

/// A moment at which nothing had failed.
pub(crate) struct Sound(u64);

impl Durable {
    /// Of a log that is on disk up to `bytes`, and takes events or does not.
    pub(crate) fn new(bytes: u64, sound: bool) -> Self {
        Self {
            bytes: AtomicU64::new(bytes),
            times: AtomicU64::new(u64::from(!sound)),
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Acquire)
    }

    /// All up to here is on disk.
    pub(crate) fn reaches(&self, bytes: u64) {
        self.bytes.fetch_max(bytes, Ordering::AcqRel);
    }

    /// To be asked before a sync; none while it would prove nothing.
    pub(crate) fn sound(&self) -> Option<Sound> {
        let times = self.times.load(Ordering::Acquire);
        times.is_multiple_of(2).then_some(Sound(times))
    }

    /// As [`Self::reaches`], after a sync, if nothing failed since `before`: the kernel tells of a
    /// failure only once, and a later sync that succeeds says nothing of what was lost then.
    pub(crate) fn reaches_since(&self, before: &Sound, bytes: u64) {
        if self.times.load(Ordering::Acquire) == before.0 {
            self.reaches(bytes);
        }
    }

    pub(crate) fn fails(&self) {
        self.times.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn restored(&self) {
        self.times.fetch_add(1, Ordering::AcqRel);
    }
}
