//! What is in the conversations of a folder: events by kind, bytes, time, tokens and cost. Reads every
//! log once, also while a server writes.
//!
//! ```text
//! cargo run -p store-fs --example stats -- workspace/conversations
//! ```

use std::{
    collections::BTreeMap,
    env,
    error::Error,
    io::{self, ErrorKind, Write},
    path::Path,
    process::ExitCode,
};

use core_model::{EventBody, EventTime, Record, usage::StatsSnapshot};
use store_fs::{FileReader, ReadError, StoredConversation, conversations};

fn main() -> ExitCode {
    let Some(root) = env::args_os().nth(1) else {
        eprintln!("usage: stats CONVERSATIONS_FOLDER");
        return ExitCode::from(2);
    };
    match print_all(root.as_ref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn print_all(root: &Path) -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout().lock();
    for conversation in conversations(root)? {
        let stats = match Stats::of(&conversation) {
            Ok(stats) => stats,
            Err(error) => {
                // Perhaps it was deleted just now; the others are still worth a look.
                eprintln!("{error}");
                continue;
            }
        };
        match stats.print(&conversation, &mut out) {
            // Whoever read our output has seen enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => break,
            printed => printed?,
        }
    }
    Ok(())
}

#[derive(Default)]
struct Stats {
    kinds: BTreeMap<String, u64>,
    bytes: u64,
    damaged: u64,
    first: Option<EventTime>,
    last: Option<EventTime>,
    usage: StatsSnapshot,
}

impl Stats {
    fn of(conversation: &StoredConversation) -> Result<Self, ReadError> {
        let mut stats = Self::default();
        for record in FileReader::open(&conversation.folder)? {
            match record {
                Ok(record) => stats.add(&record),
                Err(ReadError::Damaged { .. }) => stats.damaged += 1,
                // A server may be writing it right now.
                Err(ReadError::Torn { .. }) => {}
                Err(error @ (ReadError::Io { .. } | ReadError::Cut { .. })) => return Err(error),
            }
        }
        Ok(stats)
    }

    fn add(&mut self, record: &Record) {
        let head = &record.head;
        *self.kinds.entry(head.kind.to_string()).or_default() += 1;
        self.bytes += record.bytes.len() as u64 + 1;
        self.first.get_or_insert(head.timestamp);
        self.last = Some(head.timestamp);
        // Totals: the last ones count. Other events need not be parsed.
        if head.kind == "ConversationStateUpdateEvent"
            && let Ok(event) = record.event()
            && let EventBody::ConversationStateUpdateEvent(update) = event.body
            && update.key == "stats"
            && let Ok(usage) = serde_json::from_value(update.value)
        {
            self.usage = usage;
        }
    }

    fn print(&self, conversation: &StoredConversation, out: &mut impl Write) -> io::Result<()> {
        let metadata = conversation.metadata().ok();
        let title = metadata.and_then(|metadata| metadata.title);
        let heading = format!("{}  {}", conversation.id, title.unwrap_or_default());
        writeln!(out, "{}", heading.trim_end())?;
        let count: u64 = self.kinds.values().sum();
        writeln!(out, "  {count} events, {} bytes", self.bytes)?;
        if let (Some(first), Some(last)) = (self.first, self.last) {
            writeln!(out, "  from {first} to {last}")?;
        }
        for (kind, count) in &self.kinds {
            writeln!(out, "  {count:>8}  {kind}")?;
        }
        if self.damaged > 0 {
            writeln!(out, "  {:>8}  damaged", self.damaged)?;
        }
        for (usage_id, spent) in &self.usage.usage_to_metrics {
            let tokens = spent.accumulated_token_usage.clone().unwrap_or_default();
            writeln!(
                out,
                "  {usage_id}: {} tokens in, {} out, ${:.4}",
                tokens.prompt_tokens, tokens.completion_tokens, spent.accumulated_cost
            )?;
        }
        Ok(())
    }
}
