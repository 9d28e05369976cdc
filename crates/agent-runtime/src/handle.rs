use std::sync::Arc;

use bytes::Bytes;
use core_model::{
    Content, ConversationId, ConversationInfo, EventBody, EventId, Head, Record, Seq,
};
use tokio::sync::oneshot;

use crate::{
    EventFilter, EventPage, EventQuery, Follower, RuntimeError, Start,
    command::{Answer, Command},
    shared::Shared,
};

/// Heads looked at, or records read, at a time.
const STRIDE: usize = 512;
/// Events of a page that are read at a time.
const TOGETHER: usize = 16;
/// A page that holds as many bytes ends there.
const PAGE_BYTES: usize = 16 << 20;

/// One conversation, to talk to and to read. Cheap to clone.
#[derive(Clone)]
pub struct Conversation(pub(crate) Arc<Shared>);

impl Conversation {
    #[must_use]
    pub fn id(&self) -> ConversationId {
        self.0.id
    }

    /// Its details as of now.
    #[must_use]
    pub fn info(&self) -> ConversationInfo {
        self.0.info()
    }

    /// Appends a user message and, with `run`, starts a run or lets the active one take it up.
    ///
    /// # Errors
    /// [`RuntimeError::RunLimit`] with `message_saved` when only the run was refused.
    pub async fn send_message(&self, content: Vec<Content>, run: bool) -> Result<(), RuntimeError> {
        self.ask(|answer| Command::SendMessage {
            content,
            run,
            slot: None,
            answer,
        })
        .await
    }

    /// Starts a run: answered when its first event is durable. While actions wait for consent, this
    /// gives it.
    ///
    /// # Errors
    /// [`RuntimeError::AlreadyRunning`], [`RuntimeError::RunLimit`].
    pub async fn run(&self) -> Result<(), RuntimeError> {
        self.ask(|answer| Command::Run { answer }).await
    }

    /// Stops the run at its next step; on an idle conversation, marks it paused. Answered at once:
    /// the status turns `paused` when the stopped step appends nothing more.
    ///
    /// # Errors
    /// When the pause cannot be made durable.
    pub async fn pause(&self) -> Result<(), RuntimeError> {
        self.ask(|answer| Command::Pause { answer }).await
    }

    /// Stops the run at once: the model call is dropped, the tool's process group killed. Answered
    /// when the run has ended.
    ///
    /// # Errors
    /// When the interruption cannot be made durable.
    pub async fn interrupt(&self) -> Result<(), RuntimeError> {
        self.ask(|answer| Command::Interrupt { answer }).await
    }

    /// Accepts or rejects the actions that wait for consent; without any, does nothing.
    ///
    /// # Errors
    /// As [`Self::run`] when accepting.
    pub async fn respond_to_confirmation(
        &self,
        accept: bool,
        reason: &str,
    ) -> Result<(), RuntimeError> {
        let reason = reason.to_owned();
        self.ask(|answer| Command::Respond {
            accept,
            reason,
            answer,
        })
        .await
    }

    /// One page of events in log order, or against it. Ends before its limit once it holds 16 MiB.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn search_events(&self, query: &EventQuery) -> Result<EventPage, RuntimeError> {
        let len = self.0.now().len;
        let start = query
            .page_id
            .as_ref()
            .and_then(|id| self.0.log.find(&EventId(id.clone())));
        let mut matches = Vec::with_capacity(query.limit + 1);
        let mut seqs: Box<dyn Iterator<Item = u64> + Send> = if query.descending {
            let first = start.map_or(len.0, |seq| seq.0 + 1);
            Box::new((0..first).rev())
        } else {
            Box::new(start.map_or(0, |seq| seq.0)..len.0)
        };
        loop {
            let wanted: Vec<u64> = seqs.by_ref().take(STRIDE).collect();
            let (Some(first), Some(last)) = (wanted.iter().min(), wanted.iter().max()) else {
                break;
            };
            let range = Seq(*first)..Seq(last + 1);
            let mut found = self.matching(range, &query.filter).await?;
            if query.descending {
                found.reverse();
            }
            matches.extend(found);
            if matches.len() > query.limit {
                break;
            }
        }
        let wanted = &matches[..matches.len().min(query.limit)];
        let mut items = Vec::with_capacity(wanted.len());
        let (mut bytes, mut shown) = (0, 0);
        for together in wanted.chunks(TOGETHER) {
            if bytes >= PAGE_BYTES {
                break;
            }
            let lines = self.lines(together).await?;
            bytes += lines.iter().map(Bytes::len).sum::<usize>();
            items.extend(lines);
            shown += together.len();
        }
        let next_page_id = matches.get(shown).map(|(_, head)| head.id.0.clone());
        Ok(EventPage {
            items,
            next_page_id,
        })
    }

    /// # Errors
    /// When the log cannot be read.
    pub async fn count_events(&self, filter: &EventFilter) -> Result<u64, RuntimeError> {
        let len = self.0.now().len;
        if *filter == EventFilter::default() {
            return Ok(len.0);
        }
        let mut count = 0;
        let mut from = Seq(0);
        while from < len {
            let to = from.after(STRIDE).min(len);
            count += self.matching(from..to, filter).await?.len() as u64;
            from = to;
        }
        Ok(count)
    }

    /// An event's log line.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn event(&self, id: &EventId) -> Result<Option<Bytes>, RuntimeError> {
        let Some(seq) = self.0.log.find(id).filter(|seq| *seq < self.0.now().len) else {
            return Ok(None);
        };
        let mut records = self.0.log.read(seq, 1).await?;
        Ok(records
            .pop()
            .filter(|record| record.seq == seq)
            .map(|record| record.bytes))
    }

    /// What the agent said last: its final message, or the text it ended with.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn final_response(&self) -> Result<String, RuntimeError> {
        let mut to = self.0.now().len;
        while to > Seq(0) {
            let from = Seq(to.0.saturating_sub(STRIDE as u64));
            let records = self.0.log.read(from, (to.0 - from.0) as usize).await?;
            let said = records
                .iter()
                .rev()
                .filter(|record| record.seq < to)
                .find_map(final_words);
            if let Some(text) = said {
                return Ok(text);
            }
            to = from;
        }
        Ok(String::new())
    }

    /// Follows the conversation from `start`.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownEvent`] when `start` names an event the log does not have.
    pub fn follow(&self, start: &Start) -> Result<Follower, RuntimeError> {
        Follower::new(Arc::clone(&self.0), start)
    }

    pub(crate) async fn ask(
        &self,
        command: impl FnOnce(Answer<()>) -> Command,
    ) -> Result<(), RuntimeError> {
        let (answer, answered) = oneshot::channel();
        self.0.send(command(answer))?;
        answered.await.map_err(|_dropped| self.0.gone())?
    }

    /// The matching events of a range of seqs, in log order. Only a filter on text reads the log.
    async fn matching(
        &self,
        range: std::ops::Range<Seq>,
        filter: &EventFilter,
    ) -> Result<Vec<(Seq, Head)>, RuntimeError> {
        let limit = (range.end.0 - range.start.0) as usize;
        let heads = self.0.log.heads(range.start, limit);
        let mut found: Vec<(Seq, Head)> = heads
            .into_iter()
            .filter(|(seq, head)| *seq < range.end && filter.admits(head))
            .collect();
        if let Some(body) = &filter.body {
            let body = body.to_lowercase();
            let mut with_text = Vec::new();
            for (seq, head) in found {
                let mut records = self.0.log.read(seq, 1).await?;
                if records
                    .pop()
                    .is_some_and(|r| r.seq == seq && says(&r, &body))
                {
                    with_text.push((seq, head));
                }
            }
            found = with_text;
        }
        Ok(found)
    }

    /// The lines of the events at these seqs; neighbours are read together.
    async fn lines(&self, wanted: &[(Seq, Head)]) -> Result<Vec<Bytes>, RuntimeError> {
        let first = wanted.iter().map(|(seq, _)| *seq).min();
        let last = wanted.iter().map(|(seq, _)| *seq).max();
        let (Some(first), Some(last)) = (first, last) else {
            return Ok(Vec::new());
        };
        let span = (last.0 - first.0 + 1) as usize;
        if span <= wanted.len() * 4 {
            let records = self.0.log.read(first, span).await?;
            let at = |seq: Seq| {
                let found = records
                    .binary_search_by_key(&seq, |record| record.seq)
                    .ok()?;
                records.get(found).map(|record| record.bytes.clone())
            };
            return Ok(wanted.iter().filter_map(|(seq, _)| at(*seq)).collect());
        }
        let mut lines = Vec::with_capacity(wanted.len());
        for (seq, _) in wanted {
            lines.extend(
                self.0
                    .log
                    .read(*seq, 1)
                    .await?
                    .pop()
                    .map(|record| record.bytes),
            );
        }
        Ok(lines)
    }
}

impl EventFilter {
    fn admits(&self, head: &Head) -> bool {
        let class = self
            .kind
            .as_deref()
            .map(|kind| kind.rsplit('.').next().unwrap_or(kind));
        class.is_none_or(|class| head.kind == class)
            && self
                .source
                .as_deref()
                .is_none_or(|source| head.source.as_str() == source)
            && self.from.is_none_or(|from| head.timestamp >= from)
            && self.until.is_none_or(|until| head.timestamp < until)
            && (self.body.is_none() || head.kind == "MessageEvent")
    }
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

fn final_words(record: &Record) -> Option<String> {
    if !matches!(record.head.kind.as_str(), "ActionEvent" | "MessageEvent") {
        return None;
    }
    let event = record.event().ok()?;
    if event.source != core_model::Source::Agent {
        return None;
    }
    if let EventBody::ActionEvent(action) = &event.body {
        let fields = action
            .action
            .as_ref()
            .filter(|_| action.tool_name == "finish")?;
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
