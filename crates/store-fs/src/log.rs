mod load;

use std::{ops::Range, sync::Arc};

use async_trait::async_trait;
use core_model::{
    EventId, EventTime, HeadFilter, Limit, LogReader, NewRecord, Record, Seq, StoreError,
};
use tokio::runtime::RuntimeFlavor;

use crate::{
    AppendError,
    block_on::block_on,
    disk::Wait,
    error::{blocking, damaged, io_at},
    open_log::OpenLog,
    pages::ReadFault,
    queue::{Lines, Right},
};

/// Entries that are looked through at once where that may not take long.
const INLINE: u64 = 4096;

/// The log of one conversation. Clones, and all logs that one store opened for the same
/// conversation, are the same log. While one lives, the store's folder stays locked.
///
/// A damaged line keeps its seq and counts in [`Self::len`], but reads pass over it: records
/// carry their own seq, and a read that comes back empty means that nothing more is available up to
/// the length at the time.
///
/// It is read and searched by the port [`LogReader`], whose async methods, like [`Self::append`], need a
/// tokio runtime; a tool without one appends with [`Self::append_blocking`] and reads with
/// [`crate::FileReader`]. A server appends by right of a claim ([`core_model::Claims`]), which moves the
/// list of conversations too; what is appended here moves it at the next start.
///
/// ```
#[doc = include_str!("example.txt")]
/// use core_model::{HeadFilter, Limit, LogReader, Seq};
/// use store_fs::{FsStore, Options};
///
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let log = FsStore::open(&root, Options::default())?.open_log(id).await?;
/// let len = log.append(vec![message("four")], Some(log.len())).await?;
/// assert_eq!(len, Seq(4));
///
/// let messages = HeadFilter { kinds: vec!["MessageEvent".to_owned()], ..HeadFilter::default() };
/// let newest = log.select(&messages, Seq(0)..len, true, 2).await?;
/// assert_eq!(newest, [Seq(3), Seq(2)]);
/// let records = log.read_at(&newest, Limit::BYTES).await?;
/// # assert_eq!(records.len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct FsLog(pub(crate) Arc<OpenLog>);

impl FsLog {
    /// Makes `records` durable at the end, then visible, and returns the length that this made. With
    /// `expected`, only if that is how long the log is, appends under way included. One write and one
    /// sync serve all records of all callers that wait at the time. A crash meanwhile may leave the first
    /// few of them; the events of earlier appends are never lost.
    ///
    /// # Errors
    /// [`AppendError::Conflict`] when the log is not `expected` long; [`StoreError::Poisoned`] after a
    /// write that failed, until the store is found to take writes again.
    ///
    /// # Cancel safety
    /// A dropped call may still append.
    ///
    /// ```
    #[doc = include_str!("example.txt")]
    /// use core_model::Seq;
    /// use store_fs::{FsStore, Options};
    ///
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// let log = FsStore::open(&root, Options::default())?.open_log(id).await?;
    /// assert_eq!(log.append(vec![message("four")], None).await?, Seq(4));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn append(
        &self,
        records: Vec<NewRecord>,
        expected: Option<Seq>,
    ) -> Result<Seq, AppendError> {
        let lines = self.0.lines(&records)?;
        self.submit(lines, Right::Owner { expected }).await
    }

    /// [`Self::append`] without a runtime: waits until it is done.
    ///
    /// # Errors
    /// As [`Self::append`].
    ///
    /// For code outside of any runtime; within async code it holds up a thread of the runtime.
    ///
    /// ```
    #[doc = include_str!("example.txt")]
    /// use core_model::Seq;
    /// use store_fs::{AppendError, FsStore, Options};
    ///
    /// let log = FsStore::open(&root, Options::default())?.open_log_blocking(id)?;
    /// assert_eq!(log.append_blocking(&[message("four"), message("five")], Some(Seq(3)))?, Seq(5));
    /// let late = log.append_blocking(&[message("four, too")], Some(Seq(3)));
    /// assert!(matches!(late, Err(AppendError::Conflict { found: Seq(5), .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn append_blocking(
        &self,
        records: &[NewRecord],
        expected: Option<Seq>,
    ) -> Result<Seq, AppendError> {
        let lines = self.0.lines(records)?;
        self.0.reopen()?;
        if self.0.is_restore_due() {
            self.0.restore();
        }
        let right = Right::Owner { expected };
        let answered = self.0.enqueue(lines, right, may_block())?;
        let answer = block_on(answered).unwrap_or_else(|_| Err(self.0.lost()));
        Ok(answer?)
    }

    /// Has lines appended, and waits for the answer.
    pub(crate) async fn submit(&self, lines: Lines, right: Right) -> Result<Seq, AppendError> {
        self.0.reopen()?;
        if self.0.is_restore_due() {
            let log = self.0.clone();
            blocking(&self.0.path, move || {
                log.restore();
                Ok(())
            })
            .await?;
        }
        let answered = self.0.enqueue(lines, right, may_block())?;
        let answer = answered.await.unwrap_or_else(|_| Err(self.0.lost()));
        Ok(answer?)
    }

    /// How many lines are visible.
    ///
    /// ```
    #[doc = include_str!("example.txt")]
    /// use core_model::Seq;
    /// use store_fs::{FsStore, Options};
    ///
    /// let log = FsStore::open(&root, Options::default())?.open_log_blocking(id)?;
    /// assert_eq!((log.len(), log.is_empty()), (Seq(3), false));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn len(&self) -> Seq {
        self.0.extent().len
    }

    /// Whether no line is visible.
    ///
    /// ```
    #[doc = include_str!("example.txt")]
    /// use store_fs::{FsStore, Options};
    ///
    /// let log = FsStore::open(&root, Options::default())?.open_log_blocking(id)?;
    /// assert!(!log.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == Seq(0)
    }

    /// How many lines are damaged: kept in the file, but never served.
    ///
    /// # Errors
    /// When the index cannot be read.
    ///
    /// ```
    #[doc = include_str!("example.txt")]
    /// use store_fs::{FsStore, Options};
    ///
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// let log = FsStore::open(&root, Options::default())?.open_log(id).await?;
    /// assert_eq!(log.damaged().await?, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn damaged(&self) -> Result<u64, StoreError> {
        self.reading(false, |log, wait| log.damaged(wait)).await
    }

    /// Runs a read inline if all it needs is in memory already, else where it may block.
    async fn reading<T: Send + 'static>(
        &self,
        inline: bool,
        read: impl Fn(&OpenLog, Wait) -> Result<T, ReadFault> + Send + 'static,
    ) -> Result<T, StoreError> {
        if inline {
            match read(&self.0, Wait::No) {
                Ok(found) => return Ok(found),
                // Waiting for the disk, or rebuilding the index, is for another thread.
                Err(ReadFault::WouldBlock | ReadFault::WrongIndex) => {}
                Err(ReadFault::Failed(error)) => return Err(error),
            }
        }
        let log = self.0.clone();
        blocking(&self.0.path, move || log.read_waiting(read)).await
    }
}

/// Whether a caller may keep the thread it is on for as long as a quick disk takes: then one that writes
/// alone saves two changes of thread. On a runtime of one thread others would wait for it.
fn may_block() -> bool {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => runtime.runtime_flavor() == RuntimeFlavor::MultiThread,
        Err(_outside) => true,
    }
}

#[async_trait]
impl LogReader for FsLog {
    fn visible(&self) -> core_model::Extent {
        self.0.extent().into()
    }

    async fn grown(&self, after: Seq) -> Result<core_model::Extent, StoreError> {
        let mut extent = self.0.extent.subscribe();
        loop {
            let now = *extent.borrow_and_update();
            if now.len > after {
                return Ok(now.into());
            }
            if self.0.is_gone() {
                return Err(StoreError::NotFound(self.0.id));
            }
            // It cannot close: the log is held here.
            extent.changed().await.ok();
        }
    }

    fn had(&self, extent: core_model::Extent) -> bool {
        let visible = self.visible();
        let before = extent.len < visible.len && extent.version < visible.version;
        before || extent == visible
    }

    async fn read(&self, from: Seq, limit: Limit) -> Result<Vec<Record>, StoreError> {
        self.reading(true, move |log, wait| log.records(from, limit, wait))
            .await
    }

    async fn read_at(&self, seqs: &[Seq], bytes: usize) -> Result<Vec<Record>, StoreError> {
        let seqs = seqs.to_vec();
        self.reading(true, move |log, wait| log.records_at(&seqs, bytes, wait))
            .await
    }

    async fn find(&self, id: &EventId) -> Result<Option<Seq>, StoreError> {
        let known = self.0.ids.try_lock().ok();
        let known = known.and_then(|ids| ids.as_ref().map(|ids| ids.len));
        let inline = self.len().0.saturating_sub(known.unwrap_or(0)) <= INLINE;
        let id = id.clone();
        self.reading(inline, move |log, wait| log.find(&id, wait))
            .await
    }

    async fn since(&self, time: EventTime) -> Result<Seq, StoreError> {
        self.reading(true, move |log, wait| log.since(time, wait))
            .await
    }

    async fn select(
        &self,
        filter: &HeadFilter,
        range: Range<Seq>,
        backwards: bool,
        limit: usize,
    ) -> Result<Vec<Seq>, StoreError> {
        let few = range.end.0.saturating_sub(range.start.0) <= INLINE;
        let inline = few || *filter == HeadFilter::default();
        let filter = filter.clone();
        self.reading(inline, move |log, wait| {
            log.select(&filter, range.clone(), backwards, limit, wait)
        })
        .await
    }

    async fn count(&self, filter: &HeadFilter) -> Result<u64, StoreError> {
        let filter = filter.clone();
        let inline = filter == HeadFilter::default() || self.len().0 <= INLINE;
        self.reading(inline, move |log, wait| log.count(&filter, wait))
            .await
    }
}

impl OpenLog {
    fn read_waiting<T>(
        &self,
        read: impl Fn(&Self, Wait) -> Result<T, ReadFault>,
    ) -> Result<T, StoreError> {
        let index = self.index();
        let found = match read(self, Wait::Yes) {
            Err(ReadFault::WrongIndex) => {
                self.rebuild_index(&index)?;
                read(self, Wait::Yes)
            }
            found => found,
        };
        found.map_err(|fault| match fault {
            ReadFault::Failed(error) => error,
            ReadFault::WouldBlock => io_at(&self.path)(std::io::ErrorKind::WouldBlock.into()),
            ReadFault::WrongIndex => damaged(&self.index_path, "it cannot be rebuilt"),
        })
    }

    /// What an append is told whose answer never came.
    fn lost(&self) -> StoreError {
        io_at(&self.path)(std::io::Error::other("the thread that writes has ended"))
    }
}
