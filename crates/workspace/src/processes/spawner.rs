use std::{
    io,
    sync::{Mutex, PoisonError, mpsc},
    thread,
};

use tokio::{runtime::Handle, sync::oneshot};

type Job = Box<dyn FnOnce() + Send>;

/// The thread that starts sessions, started with the first. A session's leader gets a signal when the
/// *thread* that started it ends, so that must be one that lives as long as the server: a runtime's
/// threads do not.
#[derive(Default)]
pub(super) struct Spawner(Mutex<Option<mpsc::Sender<Job>>>);

impl Spawner {
    /// Runs `job` on the thread, within the caller's runtime.
    ///
    /// # Errors
    /// The job's own, or when no thread can be started.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let runtime = Handle::current();
        let (answer, answered) = oneshot::channel();
        self.jobs()?
            .send(Box::new(move || {
                let _entered = runtime.enter();
                // the caller may be gone; then what was made is dropped with the answer
                answer.send(job()).ok();
            }))
            .map_err(|_gone| io::Error::other("the thread that starts shells is gone"))?;
        answered.await.map_err(io::Error::other)?
    }

    fn jobs(&self) -> io::Result<mpsc::Sender<Job>> {
        let mut jobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(jobs) = &*jobs {
            return Ok(jobs.clone());
        }
        let (sender, receiver) = mpsc::channel::<Job>();
        thread::Builder::new()
            .name("shells".to_owned())
            .spawn(move || receiver.into_iter().for_each(|job| job()))?;
        *jobs = Some(sender.clone());
        Ok(sender)
    }
}
