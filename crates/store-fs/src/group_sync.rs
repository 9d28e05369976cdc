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
    /// The callers after the first number up to the second failed like this.
    failed: Option<(u64, u64, io::ErrorKind)>,
}

impl GroupSync {
    /// Returns when what the caller wrote before is durable. Blocks. Of those who share a sync, one
    /// carries it out.
    pub(crate) fn run(&self, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let mut rounds = lock(&self.rounds);
        rounds.asked += 1;
        let mine = rounds.asked;
        while rounds.done < mine && rounds.running {
            let ended = self.ended.wait(rounds);
            rounds = ended.unwrap_or_else(PoisonError::into_inner);
        }
        if rounds.done >= mine {
            return match rounds.failed {
                Some((after, to, kind)) if after < mine && mine <= to => Err(kind.into()),
                Some(_) | None => Ok(()),
            };
        }
        rounds.running = true;
        let (after, to) = (rounds.done, rounds.asked);
        drop(rounds);
        let synced = sync();
        let mut rounds = lock(&self.rounds);
        rounds.running = false;
        rounds.done = to;
        if let Err(error) = &synced {
            rounds.failed = Some((after, to, error.kind()));
        }
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
