//! What an entry of the feed means for an endpoint.

use core_model::{
    Seq,
    port::{Change, FeedEntry},
};

use super::{feed_reader::EntryContext, progress::Progress};
use crate::endpoint::Endpoint;

pub(super) async fn on_feed_entry(
    endpoint: &Endpoint,
    progress: &mut Progress,
    entry: &FeedEntry,
    context: EntryContext,
) {
    let (of, position) = (entry.key(), entry.position);
    let wanted = endpoint.wants(of.id);
    match entry.change {
        Change::Created if wanted && endpoint.wants_conversations() => {
            if progress.delivered(&of).is_none() {
                progress.grew(of, Seq(0), Seq(0), position).await;
                progress.owe_created(&of);
            }
        }
        Change::Appended { from, to } if wanted => {
            if progress.backlog.get(&of).is_none() && context.is_scanned {
                progress.find(of, to).await;
                return;
            }
            // What the feed told before the start may have been delivered; what it tells later was not.
            let known = progress.delivered(&of).map(|cursor| cursor.next);
            let known = known.filter(|_| context.may_be_delivered);
            if known.is_none_or(|next| next < to) {
                let next = known.unwrap_or(from);
                progress.grew(of, next, to, position).await;
            }
        }
        Change::Deleted => on_deletion(endpoint, progress, entry, context).await,
        Change::Created | Change::Appended { .. } => {}
    }
}

async fn on_deletion(
    endpoint: &Endpoint,
    progress: &mut Progress,
    entry: &FeedEntry,
    context: EntryContext,
) {
    let (of, position) = (entry.key(), entry.position);
    let wanted = endpoint.wants(of.id);
    if wanted && progress.backlog.get(&of).is_none() && context.is_scanned {
        progress.look_at_deleted(of).await;
    }
    let deliver = wanted && endpoint.wants_conversations();
    if deliver && progress.backlog.get(&of).is_none() {
        let next = progress.delivered(&of).map_or(Seq(0), |cursor| cursor.next);
        progress.grew(of, next, next, position).await;
    }
    progress.deleted(of, position, deliver);
}
