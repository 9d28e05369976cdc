//! What was said in a conversation, on the branch that leads to its HEAD.

use std::collections::HashSet;

use core_model::{
    EventBody, EventId, HeadFilter, Limit, LogReader, Record, Seq, Source, StoreError,
};

use crate::{Conversation, RuntimeError, branch::Branches};

/// Places looked for at a time.
const SELECTED: usize = 256;
/// Records looked through at a time.
const STRIDE: usize = 64;

impl Conversation {
    /// What the agent said last: its final message, or the text it ended with.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn final_response(&self) -> Result<String, RuntimeError> {
        let spoken = ["ActionEvent", "MessageEvent"];
        let found = self.said(Source::Agent, &spoken, true, final_words).await?;
        Ok(found.unwrap_or_default())
    }

    /// The user's first message that has a text.
    pub(super) async fn first_message(&self) -> Result<Option<String>, RuntimeError> {
        let text = |record: &Record| {
            let EventBody::MessageEvent(message) = record.event().ok()?.body else {
                return None;
            };
            let text = message.llm_message.text();
            Some(text).filter(|text| !text.trim().is_empty())
        };
        self.said(Source::User, &["MessageEvent"], false, text)
            .await
    }

    /// What `pick` takes of the first record, or the last one, that it takes anything of.
    async fn said(
        &self,
        source: Source,
        kinds: &[&str],
        backwards: bool,
        pick: impl Fn(&Record) -> Option<String>,
    ) -> Result<Option<String>, RuntimeError> {
        self.live.note_read();
        let (now, log) = (self.live.now(), self.live.log.as_ref());
        // Without a move of HEAD, all events lead to it.
        let branch = if now.state.head_moved {
            Some(Branches::read(log, now.extent.len).await?.to_head())
        } else {
            None
        };
        let heads = HeadFilter {
            kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
            source: Some(source),
            ..HeadFilter::default()
        };
        let mut left = Seq(0)..now.extent.len;
        loop {
            let seqs = log
                .select(&heads, left.clone(), backwards, SELECTED)
                .await?;
            let Some(last) = seqs.last().copied() else {
                return Ok(None);
            };
            if let Some(found) = first_of(log, &seqs, branch.as_ref(), &pick).await? {
                return Ok(Some(found));
            }
            if backwards {
                left.end = last;
            } else {
                left.start = last.after(1);
            }
        }
    }
}

/// The first of these records on the branch that `pick` takes anything of.
async fn first_of(
    log: &dyn LogReader,
    mut seqs: &[Seq],
    branch: Option<&HashSet<EventId>>,
    pick: &impl Fn(&Record) -> Option<String>,
) -> Result<Option<String>, StoreError> {
    while !seqs.is_empty() {
        let wanted = &seqs[..seqs.len().min(STRIDE)];
        let records = log.read_at(wanted, Limit::BYTES).await?;
        // It may have ended early, for size.
        let Some(last) = records.last().map(|record| record.seq) else {
            return Ok(None);
        };
        let on_branch = |record: &&Record| branch.is_none_or(|ids| ids.contains(&record.head.id));
        if let Some(found) = records.iter().filter(on_branch).find_map(pick) {
            return Ok(Some(found));
        }
        let done = wanted.iter().position(|seq| *seq == last);
        seqs = &seqs[done.map_or(wanted.len(), |done| done + 1)..];
    }
    Ok(None)
}

fn final_words(record: &Record) -> Option<String> {
    let body = record.event().ok()?.body;
    if let EventBody::MessageEvent(message) = body {
        return Some(message.llm_message.text());
    }
    let EventBody::ActionEvent(action) = body else {
        return None;
    };
    let fields = action.action.as_ref()?;
    if !agent_tools::logged_traits(&action.tool_name, fields).ends_turn {
        return None;
    }
    Some(fields.get("message")?.as_str()?.to_owned())
}
