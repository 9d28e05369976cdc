//! The few threads that write and sync all logs of a store.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use crate::{
    error::lock,
    queue::{Answers, Batch},
};

/// More wait for the same disk; fewer leave it idle between two syncs.
const THREADS: usize = 4;
/// A disk that takes longer for a write and its sync is slow: no thread with other work waits for it. Two changes of thread take a tenth of this.
const QUICK: Duration = Duration::from_millis(1);

/// A log as the threads that write it know it.
pub(crate) trait CommittedLog: Send + Sync {
    /// Writes what is pending; nothing if a failure took that back.
    ///
    /// # Errors
    /// What to answer when that failed.
    fn write_pending(&self) -> Result<Option<Batch>, Answers>;
    /// Lets a written batch begin its way to the disk while others are written.
    fn start_writeout(&self, batch: &Batch);
    /// Makes a written batch durable, then visible. Tells what to answer, and whether more is pending:
    /// then this log wants to be written again.
    fn finish(&self, batch: Batch) -> (Answers, bool);
    /// Looks whether a poisoned log can take events again.
    fn try_to_restore(&self);
}

/// Takes logs that have something to write. Its threads start with the first work.
pub(crate) struct Committer(Arc<Work>);

#[derive(Default)]
struct Work {
    jobs: Mutex<Jobs>,
    wake: Condvar,
}

#[derive(Default)]
struct Jobs {
    writes: VecDeque<Arc<dyn CommittedLog>>,
    /// Written, with their way to the disk begun: synced when nothing is left to write.
    syncs: VecDeque<(Arc<dyn CommittedLog>, Batch)>,
    restores: VecDeque<Arc<dyn CommittedLog>>,
    threads: usize,
    /// The last write took long.
    slow: bool,
    /// Threads that write or sync right now.
    busy: usize,
    idle: usize,
    stop: bool,
}

enum Job {
    Write(Arc<dyn CommittedLog>),
    Sync(Arc<dyn CommittedLog>, Batch),
    Restore(Arc<dyn CommittedLog>),
}

impl Committer {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    /// Has a log's pending batch written.
    pub(crate) fn submit(&self, log: Arc<dyn CommittedLog>) {
        let mut jobs = lock(&self.0.jobs);
        jobs.writes.push_back(log);
        self.call(jobs);
    }

    /// The right to write a log on this thread, if nothing else is being written and the disk is quick.
    pub(crate) fn begin_here(&self, log: Arc<dyn CommittedLog>) -> Option<Here<'_>> {
        let mut jobs = lock(&self.0.jobs);
        let alone = jobs.busy == 0 && jobs.writes.is_empty() && jobs.syncs.is_empty();
        if !alone || jobs.slow {
            return None;
        }
        jobs.busy += 1;
        Some(Here {
            committer: self,
            log: Some(log),
        })
    }

    /// Has a poisoned log looked at.
    pub(crate) fn restore(&self, log: Arc<dyn CommittedLog>) {
        let mut jobs = lock(&self.0.jobs);
        jobs.restores.push_back(log);
        self.call(jobs);
    }

    fn call(&self, mut jobs: std::sync::MutexGuard<'_, Jobs>) {
        if jobs.idle > 0 || jobs.threads == THREADS {
            drop(jobs);
            self.0.wake.notify_one();
            return;
        }
        jobs.threads += 1;
        let first = jobs.threads == 1;
        drop(jobs);
        let work = Arc::clone(&self.0);
        let started = thread::Builder::new()
            .name("store-commit".to_owned())
            .spawn(move || work.serve());
        if let Err(error) = started {
            tracing::error!(%error, "no thread to write logs with");
            lock(&self.0.jobs).threads -= 1;
            if first {
                // Slower, but nobody waits for ever.
                self.0.run_all();
            }
        }
    }
}

/// The right to write a log on the thread that has it.
pub(crate) struct Here<'a> {
    committer: &'a Committer,
    log: Option<Arc<dyn CommittedLog>>,
}

impl Here<'_> {
    /// Writes the log's pending batch. Blocks.
    pub(crate) fn serve(mut self) {
        if let Some(log) = self.log.take() {
            self.committer.0.run(Job::Write(log));
        }
    }
}

impl Drop for Here<'_> {
    /// Passes on what came meanwhile, and the log itself if it could not be written here: its callers
    /// wait.
    fn drop(&mut self) {
        let mut jobs = lock(&self.committer.0.jobs);
        jobs.busy -= 1;
        jobs.writes.extend(self.log.take());
        if !(jobs.writes.is_empty() && jobs.syncs.is_empty()) {
            self.committer.call(jobs);
        }
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        lock(&self.0.jobs).stop = true;
        self.0.wake.notify_all();
    }
}

impl Work {
    fn serve(&self) {
        let mut jobs = lock(&self.jobs);
        loop {
            if let Some(job) = jobs.next() {
                jobs.busy += 1;
                drop(jobs);
                self.run(job);
                jobs = lock(&self.jobs);
                jobs.busy -= 1;
                continue;
            }
            if jobs.stop {
                jobs.threads -= 1;
                return;
            }
            jobs.idle += 1;
            jobs = self.wake.wait(jobs).unwrap_or_else(PoisonError::into_inner);
            jobs.idle -= 1;
        }
    }

    fn run_all(&self) {
        loop {
            // In a line of its own: the lock is not to be held while the job runs.
            let job = lock(&self.jobs).next();
            let Some(job) = job else { return };
            self.run(job);
        }
    }

    fn run(&self, job: Job) {
        match job {
            Job::Write(log) => {
                let begin = Instant::now();
                let batch = match log.write_pending() {
                    Ok(Some(batch)) => batch,
                    Ok(None) => return,
                    Err(answers) => {
                        drop(log);
                        return answers.send();
                    }
                };
                let jobs = lock(&self.jobs);
                if jobs.writes.is_empty() && jobs.syncs.is_empty() {
                    drop(jobs);
                    self.finish(log, batch);
                    lock(&self.jobs).slow = begin.elapsed() > QUICK;
                    return;
                }
                drop(jobs);
                log.start_writeout(&batch);
                lock(&self.jobs).syncs.push_back((log, batch));
                self.wake.notify_one();
            }
            Job::Sync(log, batch) => self.finish(log, batch),
            Job::Restore(log) => log.try_to_restore(),
        }
    }

    fn finish(&self, log: Arc<dyn CommittedLog>, batch: Batch) {
        let (answers, more) = log.finish(batch);
        if more {
            lock(&self.jobs).writes.push_back(log);
            self.wake.notify_one();
        } else {
            drop(log);
        }
        answers.send();
    }
}

impl Jobs {
    fn next(&mut self) -> Option<Job> {
        if let Some(log) = self.writes.pop_front() {
            return Some(Job::Write(log));
        }
        if let Some((log, batch)) = self.syncs.pop_front() {
            return Some(Job::Sync(log, batch));
        }
        self.restores.pop_front().map(Job::Restore)
    }
}
