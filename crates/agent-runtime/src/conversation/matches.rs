use std::{collections::VecDeque, ops::Range};

use core_model::{EventBody, HeadFilter, LogReader, Record, Seq, Source};

use crate::{EventFilter, RuntimeError};

/// Records looked through at a time where the index alone does not tell.
pub(super) const STRIDE: usize = 64;
/// Places looked for at a time then: a look at the index costs the same for few and for many.
const SELECTED: usize = 1024;

/// The events of a range that a filter admits, a stretch at a time.
pub(super) struct Matches<'a> {
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
    pub(super) fn of(
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

    /// The latest first, of which the caller picks some.
    pub(super) fn backwards(log: &'a dyn LogReader, heads: HeadFilter, range: Range<Seq>) -> Self {
        Self {
            log,
            heads: Some(heads),
            body: None,
            picks: true,
            selected: VecDeque::new(),
            left: range,
            backwards: true,
        }
    }

    /// Up to `limit` more, which may be none, of `bytes` in all or one; nothing at the end.
    pub(super) async fn next(
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
pub(super) fn heads(filter: &EventFilter) -> Option<HeadFilter> {
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
