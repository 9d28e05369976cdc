use std::{
    io,
    sync::{Arc, Condvar, Mutex, OnceLock, PoisonError},
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
    running: bool,
    /// Whoever comes now shares this one.
    next: Arc<Round>,
}

/// A sync and what became of it; each of its callers holds it until they know.
#[derive(Default)]
struct Round(OnceLock<Result<(), io::ErrorKind>>);

impl GroupSync {
    /// Returns when what the caller wrote before is durable. Blocks. Of those who share a sync, one
    /// carries it out.
    pub(crate) fn run(&self, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let mut rounds = lock(&self.rounds);
        let mine = Arc::clone(&rounds.next);
        while mine.0.get().is_none() && rounds.running {
            let ended = self.ended.wait(rounds);
            rounds = ended.unwrap_or_else(PoisonError::into_inner);
        }
        if let Some(ended) = mine.0.get() {
            return ended.map_err(io::Error::from);
        }
        rounds.running = true;
        rounds.next = Arc::default();
        drop(rounds);
        let synced = sync();
        let told = synced.as_ref().map_err(io::Error::kind).copied();
        mine.0.get_or_init(|| told);
        lock(&self.rounds).running = false;
        self.ended.notify_all();
        synced
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
                        let mine = written.fetch_add(1, SeqCst) + 1;
                        group
                            .run(|| {
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
    fn of_many_callers_none_hears_well_of_a_sync_that_failed() {
        let group = GroupSync::default();
        let start = Barrier::new(8);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    start.wait();
                    for _ in 0..2000 {
                        assert!(group.run(|| Err(io::ErrorKind::Other.into())).is_err());
                    }
                });
            }
        });
    }

    #[test]
    fn a_failure_is_told_and_the_next_round_is_free_of_it() {
        let group = GroupSync::default();
        let full = || Err(io::ErrorKind::StorageFull.into());
        assert_eq!(
            group.run(full).unwrap_err().kind(),
            io::ErrorKind::StorageFull
        );
        group.run(|| Ok(())).unwrap();
    }
}
