use std::{
    io,
    sync::{Condvar, Mutex, PoisonError},
};

use crate::error::lock;

/// One sync for many callers: those who come while one is under way share the next.
#[derive(Default)]
pub(crate) struct GroupSync {
    rounds: Mutex<Rounds>,
    ended: Condvar,
}

#[derive(Default)]
struct Rounds {
    /// Callers so far, and how many of them have been seen to.
    asked: u64,
    done: u64,
    running: bool,
    /// How many syncs failed, and how the last one did.
    failures: u64,
    failed: Option<io::ErrorKind>,
}

/// When a caller began to write.
#[derive(Clone, Copy)]
pub(crate) struct Before(u64);

impl GroupSync {
    /// To be called before what [`Self::run`] is to make durable is written.
    pub(crate) fn begin(&self) -> Before {
        Before(lock(&self.rounds).failures)
    }

    /// Counts a failure of a sync that was made outside of [`Self::run`].
    pub(crate) fn fail(&self, error: &io::Error) {
        lock(&self.rounds).fail(error);
    }

    /// Returns when what the caller wrote since `before` is durable. Blocks. Of those who share a sync,
    /// one carries it out. A sync that fails meanwhile fails all who wrote before it ended: the kernel
    /// may have dropped what they wrote, and their own sync would not say so.
    pub(crate) fn run(
        &self,
        before: Before,
        sync: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        let mut rounds = lock(&self.rounds);
        rounds.asked += 1;
        let mine = rounds.asked;
        while rounds.done < mine && rounds.running {
            let ended = self.ended.wait(rounds);
            rounds = ended.unwrap_or_else(PoisonError::into_inner);
        }
        if rounds.done >= mine {
            return rounds.since(before);
        }
        rounds.running = true;
        let to = rounds.asked;
        drop(rounds);
        let synced = sync();
        let mut rounds = lock(&self.rounds);
        rounds.running = false;
        rounds.done = to;
        if let Err(error) = &synced {
            rounds.fail(error);
        }
        self.ended.notify_all();
        synced.and_then(|()| rounds.since(before))
    }
}

impl Rounds {
    fn fail(&mut self, error: &io::Error) {
        self.failures += 1;
        self.failed = Some(error.kind());
    }

    fn since(&self, before: Before) -> io::Result<()> {
        match self.failed {
            Some(kind) if self.failures > before.0 => Err(kind.into()),
            Some(_) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Barrier,
            atomic::{AtomicU64, Ordering::SeqCst},
        },
        thread,
    };

    use super::*;

    #[test]
    fn everybody_is_covered_by_a_sync_that_began_after_they_asked() {
        let group = GroupSync::default();
        let (written, synced) = (AtomicU64::new(0), AtomicU64::new(0));
        let syncs = AtomicU64::new(0);
        let start = Barrier::new(8);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    start.wait();
                    for _ in 0..200 {
                        let before = group.begin();
                        let mine = written.fetch_add(1, SeqCst) + 1;
                        group
                            .run(before, || {
                                let seen = written.load(SeqCst);
                                thread::yield_now();
                                syncs.fetch_add(1, SeqCst);
                                synced.fetch_max(seen, SeqCst);
                                Ok(())
                            })
                            .unwrap();
                        assert!(synced.load(SeqCst) >= mine);
                    }
                });
            }
        });
        assert!(syncs.load(SeqCst) <= 1600);
    }

    #[test]
    fn a_failure_is_told_to_all_who_wrote_before_it_and_to_no_others() {
        let group = GroupSync::default();
        let (first, second) = (group.begin(), group.begin());
        let full = || Err(io::ErrorKind::StorageFull.into());
        let told = |result: io::Result<()>| result.unwrap_err().kind();
        assert_eq!(told(group.run(first, full)), io::ErrorKind::StorageFull);
        assert_eq!(
            told(group.run(second, || Ok(()))),
            io::ErrorKind::StorageFull
        );
        group.run(group.begin(), || Ok(())).unwrap();
    }
}
