//! What a person should know about a log that was opened.

use core_model::{ConversationId, TornTail};

use crate::{disk::Wait, index::Index, notices::Notices, scan::Scanned};

pub(crate) fn report_torn(id: ConversationId, tail: &TornTail, notices: &Notices) {
    tracing::warn!(
        conversation.id = %id, offset = tail.offset, bytes = tail.bytes, kept_in = tail.file,
        "the log's last line was unfinished and has been moved aside"
    );
    let text = format!(
        "the log's last line was unfinished ({} bytes at byte {}); it is kept in {}",
        tail.bytes, tail.offset, tail.file
    );
    notices.add(id, text);
}

pub(super) fn report_damage(
    id: ConversationId,
    index: &Index,
    scanned: Option<&Scanned>,
    notices: &Notices,
) {
    let first = scanned.and_then(|scanned| scanned.first_damaged.as_ref());
    let known = index.damaged(Wait::Yes).unwrap_or_default();
    let damaged = known.max(scanned.map_or(0, |scanned| scanned.damaged));
    if damaged == 0 {
        return;
    }
    let first = first.map_or(String::new(), |(seq, reason)| {
        format!("; the first one found now is line {}: {reason}", seq + 1)
    });
    tracing::warn!(
        conversation.id = %id, damaged, first,
        "the log has damaged lines; they are kept and not served"
    );
    let lines = match damaged {
        1 => "1 line of the log is".to_owned(),
        lines => format!("{lines} lines of the log are"),
    };
    notices.add(id, format!("{lines} damaged{first}"));
}
