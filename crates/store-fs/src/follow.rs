use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
};

use core_model::{Limit, LogReader, Record, Seq, StoreError};
use futures_core::Stream;
use tokio::sync::watch;

use crate::{FsLog, extent::Extent};

/// What a follower holds at a time.
const PAGE: Limit = Limit {
    records: 256,
    bytes: 256 * 1024,
};

/// Reads a log from a cursor and then keeps up: what is there, then what comes, without gap or
/// double. It costs a cursor, and a page while it is being read; one that stops reading holds
/// nothing back.
///
/// Read it page by page with [`Self::next_page`], or as a `Stream` of records, which never ends. After
/// an error it continues where it was.
///
/// ```
#[doc = include_str!("example.txt")]
/// use std::{future::poll_fn, pin::Pin};
/// use core_model::Seq;
/// use futures_core::Stream;
/// use store_fs::{FsStore, Options};
///
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let log = FsStore::open(&root, Options::default())?.open_log(id).await?;
/// let mut follow = log.follow(Seq(1));
/// // With the crate `futures-util`: `follow.next().await`.
/// let record = poll_fn(|context| Pin::new(&mut follow).poll_next(context)).await;
/// assert_eq!(record.transpose()?.map(|record| record.seq), Some(Seq(1)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Follow {
    log: FsLog,
    grown: watch::Receiver<Extent>,
    cursor: Seq,
    page: VecDeque<Record>,
    reading: Option<Reading>,
}

type Reading = Pin<Box<dyn Future<Output = Result<Vec<Record>, StoreError>> + Send>>;

impl FsLog {
    /// Follows the log from `cursor`: what is there, then what comes. Another process follows it with
    /// [`crate::FileReader::follow`].
    ///
    /// ```
    #[doc = include_str!("example.txt")]
    /// use core_model::Seq;
    /// use store_fs::{FsStore, Options};
    ///
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// let log = FsStore::open(&root, Options::default())?.open_log(id).await?;
    /// let mut follow = log.follow(log.len());
    /// log.append(vec![message("four")], None).await?;
    /// assert_eq!(follow.next_page().await?[0].seq, Seq(3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn follow(&self, cursor: Seq) -> Follow {
        Follow::new(self.clone(), cursor)
    }
}

impl Follow {
    pub(crate) fn new(log: FsLog, cursor: Seq) -> Self {
        Self {
            grown: log.0.extent.subscribe(),
            log,
            cursor,
            page: VecDeque::new(),
            reading: None,
        }
    }

    /// The next record's position, or a later one if lines in between are damaged.
    ///
    /// ```
    #[doc = include_str!("example.txt")]
    /// use core_model::Seq;
    /// use store_fs::{FsStore, Options};
    ///
    /// let log = FsStore::open(&root, Options::default())?.open_log_blocking(id)?;
    /// assert_eq!(log.follow(Seq(2)).cursor(), Seq(2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn cursor(&self) -> Seq {
        self.page.front().map_or(self.cursor, |record| record.seq)
    }

    /// The next records, at least one: waits for them if need be.
    ///
    /// # Errors
    /// When the log cannot be read.
    ///
    /// # Cancel safety
    /// A dropped call loses nothing.
    ///
    /// ```
    #[doc = include_str!("example.txt")]
    /// use core_model::Seq;
    /// use store_fs::{FsStore, Options};
    ///
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// let log = FsStore::open(&root, Options::default())?.open_log(id).await?;
    /// let mut follow = log.follow(Seq(0));
    /// let mut count = 0;
    /// while follow.cursor() < Seq(3) {
    ///     count += follow.next_page().await?.len();
    /// }
    /// assert_eq!(count, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn next_page(&mut self) -> Result<Vec<Record>, StoreError> {
        if !self.page.is_empty() {
            return Ok(std::mem::take(&mut self.page).into());
        }
        self.reading = None;
        let page = next_page(self.log.clone(), self.grown.clone(), self.cursor).await?;
        self.advance(&page);
        Ok(page)
    }

    fn advance(&mut self, page: &[Record]) {
        if let Some(last) = page.last() {
            self.cursor = last.seq.after(1);
        }
    }
}

impl Stream for Follow {
    type Item = Result<Record, StoreError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(record) = self.page.pop_front() {
                return Poll::Ready(Some(Ok(record)));
            }
            let (log, grown, cursor) = (self.log.clone(), self.grown.clone(), self.cursor);
            let begin = || -> Reading { Box::pin(next_page(log, grown, cursor)) };
            let reading = self.reading.get_or_insert_with(begin);
            let Poll::Ready(page) = reading.as_mut().poll(context) else {
                return Poll::Pending;
            };
            self.reading = None;
            match page {
                Ok(page) => {
                    self.advance(&page);
                    self.page = page.into();
                }
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }
}

async fn next_page(
    log: FsLog,
    mut grown: watch::Receiver<Extent>,
    mut cursor: Seq,
) -> Result<Vec<Record>, StoreError> {
    loop {
        let len = grown.borrow_and_update().len;
        if cursor < len {
            let page = log.read(cursor, PAGE).await?;
            if !page.is_empty() {
                return Ok(page);
            }
            // Nothing but damaged lines up to there.
            cursor = len;
        }
        // It cannot close: the log is held here.
        if grown.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
