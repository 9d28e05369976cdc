use std::ops::Range;

use bytes::Bytes;
use core_model::{EventBody, EventId, HeadFilter, Record, Seq, Source};

use crate::{
    Conversation, EventFilter, EventPage, EventQuery, RuntimeError,
    conversation::matches::{Matches, STRIDE, heads},
};

/// A page that holds as many bytes ends there.
const PAGE_BYTES: usize = 16 << 20;

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

    /// What the agent said last: its final message, or the text it ended with.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn final_response(&self) -> Result<String, RuntimeError> {
        self.live.note_read();
        let spoken = HeadFilter {
            kinds: vec!["ActionEvent".to_owned(), "MessageEvent".to_owned()],
            source: Some(Source::Agent),
            ..HeadFilter::default()
        };
        let log = self.live.log.as_ref();
        let mut matches = Matches::backwards(log, spoken, Seq(0)..self.live.now().extent.len);
        while let Some(found) = matches.next(STRIDE, PAGE_BYTES).await? {
            if let Some(text) = found.iter().find_map(final_words) {
                return Ok(text);
            }
        }
        Ok(String::new())
    }

    fn matches(&self, filter: &EventFilter, range: Range<Seq>, backwards: bool) -> Matches<'_> {
        Matches::of(self.live.log.as_ref(), filter, range, backwards)
    }
}

fn final_words(record: &Record) -> Option<String> {
    if !matches!(record.head.kind.as_ref(), "ActionEvent" | "MessageEvent") {
        return None;
    }
    let event = record.event().ok()?;
    if event.source != core_model::Source::Agent {
        return None;
    }
    if let EventBody::ActionEvent(action) = &event.body {
        let fields = action.action.as_ref()?;
        if !agent_tools::logged_traits(&action.tool_name, fields).ends_turn {
            return None;
        }
        return fields
            .get("message")
            .and_then(|message| message.as_str())
            .map(str::to_owned);
    }
    let EventBody::MessageEvent(message) = event.body else {
        return None;
    };
    Some(message.llm_message.text())
}
