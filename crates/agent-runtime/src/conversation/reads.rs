use std::{collections::VecDeque, ops::Range};

use bytes::Bytes;
use core_model::{EventBody, EventId, HeadFilter, LogReader, Record, Seq, Source};

use crate::{Conversation, EventFilter, EventPage, EventQuery, RuntimeError, branch::read_on};

/// A page that holds as many bytes ends there.
const PAGE_BYTES: usize = 16 << 20;

/// Records looked through at a time where the index alone does not tell.
const STRIDE: usize = 64;
/// Places looked for at a time then: a look at the index costs the same for few and for many.
const SELECTED: usize = 1024;

impl Conversation {
    /// One page of events in log order, or against it. Ends before its limit once it holds 16 MiB.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn search_events(&self, query: &EventQuery) -> Result<EventPage, RuntimeError> {
        self.live.note_read();
        let len = self.live.now().extent.len;
        let start = match &query.page_id {
            Some(id) => self.live.log.find(&EventId(id.clone())).await?,
            None => None,
        };
        let range = if query.descending {
            Seq(0)..start.map_or(len, |seq| seq.after(1)).min(len)
        } else {
            start.unwrap_or_default()..len
        };
        let mut matches = self.matches(&query.filter, range, query.descending);
        // One more than the page holds: the first of the next.
        let mut found: Vec<Record> = Vec::with_capacity(query.limit + 1);
        let mut bytes = 0;
        while found.len() <= query.limit && !(bytes >= PAGE_BYTES && found.len() > 1) {
            let budget = PAGE_BYTES.saturating_sub(bytes).max(1);
            let more = matches.next(query.limit + 1 - found.len(), budget).await?;
            let Some(more) = more else { break };
            bytes += more.iter().map(|record| record.bytes.len()).sum::<usize>();
            found.extend(more);
        }
        let next = if found.len() > query.limit || bytes >= PAGE_BYTES && found.len() > 1 {
            found.pop()
        } else {
            None
        };
        Ok(EventPage {
            items: found.into_iter().map(|record| record.bytes).collect(),
            next_page_id: next.map(|record| record.head.id.0),
        })
    }

    /// Where its log ends now.
    #[must_use]
    pub fn log_end(&self) -> Seq {
        self.live.now().extent.len
    }

    /// The next records in log order, from `next` on and before `end`: one, or as many as 512 and 4 MiB allow.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn records(&self, next: Seq, end: Seq) -> Result<Vec<Record>, RuntimeError> {
        self.live.note_read();
        let mut next = next;
        Ok(read_on(self.live.log.as_ref(), &mut next, end).await?)
    }

    /// # Errors
    /// When the log cannot be read.
    pub async fn count_events(&self, filter: &EventFilter) -> Result<u64, RuntimeError> {
        self.live.note_read();
        if filter.body.is_none() {
            return Ok(match heads(filter) {
                Some(heads) => self.live.log.count(&heads).await?,
                None => 0,
            });
        }
        let mut matches = self.matches(filter, Seq(0)..self.live.now().extent.len, false);
        let mut count = 0;
        while let Some(found) = matches.next(usize::MAX, PAGE_BYTES).await? {
            count += found.len() as u64;
        }
        Ok(count)
    }

    /// An event's log line.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn event(&self, id: &EventId) -> Result<Option<Bytes>, RuntimeError> {
        self.live.note_read();
        let found = self.live.log.find(id).await?;
        let Some(seq) = found.filter(|seq| *seq < self.live.now().extent.len) else {
            return Ok(None);
        };
        let mut records = self.live.log.read_at(&[seq], PAGE_BYTES).await?;
        Ok(records.pop().map(|record| record.bytes))
    }

    fn matches(&self, filter: &EventFilter, range: Range<Seq>, backwards: bool) -> Matches<'_> {
        Matches::of(self.live.log.as_ref(), filter, range, backwards)
    }
}

/// The events of a range that a filter admits, a stretch at a time.
struct Matches<'a> {
    log: &'a dyn LogReader,
    /// None: nothing is admitted.
    heads: Option<HeadFilter>,
    /// In lower case.
    body: Option<String>,
    /// Whether not all that heads admit will do.
    picks: bool,
    /// Where the next ones stand whose heads are admitted.
    selected: VecDeque<Seq>,
    /// What is yet to be selected from.
    left: Range<Seq>,
    backwards: bool,
}

impl<'a> Matches<'a> {
    fn of(
        log: &'a dyn LogReader,
        filter: &EventFilter,
        range: Range<Seq>,
        backwards: bool,
    ) -> Self {
        Self {
            log,
            heads: heads(filter),
            body: filter.body.as_ref().map(|body| body.to_lowercase()),
            picks: filter.body.is_some(),
            selected: VecDeque::new(),
            left: range,
            backwards,
        }
    }

    /// Up to `limit` more, which may be none, of `bytes` in all or one; nothing at the end.
    async fn next(
        &mut self,
        limit: usize,
        bytes: usize,
    ) -> Result<Option<Vec<Record>>, RuntimeError> {
        let Some(heads) = &self.heads else {
            return Ok(None);
        };
        if self.selected.is_empty() {
            let many = if self.picks { SELECTED } else { limit };
            let (range, backwards) = (self.left.clone(), self.backwards);
            let seqs = self.log.select(heads, range, backwards, many).await?;
            if let Some(last) = seqs.last().copied() {
                if self.backwards {
                    self.left.end = last;
                } else {
                    self.left.start = last.after(1);
                }
            }
            self.selected = seqs.into();
        }
        // What is thrown away was read for nothing, so small strides are taken.
        let stride = if self.picks { STRIDE } else { limit };
        let wanted: Vec<Seq> = self.selected.iter().copied().take(stride).collect();
        if wanted.is_empty() {
            return Ok(None);
        }
        let mut found = self.log.read_at(&wanted, bytes).await?;
        let place = |record: &Record| wanted.iter().position(|seq| *seq == record.seq);
        // It may have ended early, for size; what comes after the last one is read next.
        let last = found.last().and_then(place);
        let mut done = last.map_or(wanted.len(), |last| last + 1);
        if let Some(body) = &self.body {
            found.retain(|record| says(record, body));
        }
        if let Some(surplus) = found.get(limit) {
            done = place(surplus).unwrap_or(done);
            found.truncate(limit);
        }
        self.selected.drain(..done);
        Ok(Some(found))
    }
}

/// The part of it that heads decide; none when no event can match.
fn heads(filter: &EventFilter) -> Option<HeadFilter> {
    let class = filter
        .kind
        .as_deref()
        .map(|kind| kind.rsplit('.').next().unwrap_or(kind));
    let message = filter.body.as_ref().map(|_| "MessageEvent");
    if class.is_some() && message.is_some() && class != message {
        return None;
    }
    let source = match &filter.source {
        Some(name) => Some(Source::named(name)?),
        None => None,
    };
    Some(HeadFilter {
        kinds: class.or(message).map(str::to_owned).into_iter().collect(),
        source,
        from: filter.from,
        until: filter.until,
    })
}

fn says(record: &Record, lower_case: &str) -> bool {
    let Ok(EventBody::MessageEvent(message)) = record.event().map(|event| event.body) else {
        return false;
    };
    let mut text = message.llm_message.text();
    for part in &message.extended_content {
        text.push('\n');
        text.push_str(&part.text);
    }
    text.push_str(
        message
            .llm_message
            .reasoning_content
            .as_deref()
            .unwrap_or_default(),
    );
    text.to_lowercase().contains(lower_case)
}
