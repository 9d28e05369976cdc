//! One follower of all conversations.

use std::sync::Arc;

use agent_runtime::{
    AllFilter, AllFrame, AllStart, Conversation, Cursor, End, NewConversation, Runtime,
    RuntimeError,
};
use core_model::{Content, ConversationId, ConversationSettings, Seq};
use futures_util::FutureExt;
use tempfile::TempDir;
use tokio::time::timeout;

use crate::{
    frail::{Frail, Shut, frail},
    harness::*,
};

struct Site {
    runtime: Runtime,
    store: Arc<Frail>,
    folder: TempDir,
}

impl Site {
    async fn new() -> Self {
        Self::on(tempfile::tempdir().unwrap()).await
    }

    async fn on(folder: TempDir) -> Self {
        let store = frail(folder.path());
        let config = config(&folder, &Puppet::new(vec![]));
        let runtime = start_with(config, store.clone()).await;
        Self {
            runtime,
            store,
            folder,
        }
    }

    async fn stop(self) -> TempDir {
        self.runtime.shut_down(GIVE_UP).await;
        self.folder
    }

    async fn make(&self, new: NewConversation) -> Conversation {
        let id = self.runtime.create(untitled(new)).await.unwrap().info.id;
        self.runtime.open(id).await.unwrap()
    }

    async fn conversation(&self) -> Conversation {
        self.make(NewConversation::default()).await
    }

    /// Everything from `start` up to a mark, which is a conversation made last, without it.
    async fn told(&self, start: AllStart, filter: &AllFilter) -> Vec<AllFrame> {
        let mark = self.conversation().await.id();
        let mut filter = filter.clone();
        if !filter.conversations.is_empty() {
            filter.conversations.push(mark);
        }
        let mut follower = self.runtime.follow_all(start, filter).await.unwrap();
        let mut told = Vec::new();
        let all = async {
            loop {
                for frame in follower.next_page().await.unwrap() {
                    if matches!(frame, AllFrame::Created { conversation, .. } if conversation == mark)
                    {
                        return;
                    }
                    told.push(frame);
                }
            }
        };
        timeout(GIVE_UP, all).await.unwrap();
        self.runtime.delete(mark).await.unwrap();
        told.retain(|frame| of(frame).0 != mark);
        told
    }
}

async fn tell(conversation: &Conversation, text: &str) {
    let content = vec![Content::text(text)];
    conversation.send_message(content, false).await.unwrap();
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Created,
    Event(u64),
    Skipped(u64, u64),
    Deleted,
}

fn of(frame: &AllFrame) -> (ConversationId, What) {
    match frame {
        AllFrame::Created { conversation, .. } => (*conversation, What::Created),
        AllFrame::Event {
            conversation, seq, ..
        } => (*conversation, What::Event(seq.0)),
        AllFrame::Skipped {
            conversation,
            from,
            to,
            ..
        } => (*conversation, What::Skipped(from.0, to.0)),
        AllFrame::Deleted { conversation, .. } => (*conversation, What::Deleted),
    }
}

fn cursor(frame: &AllFrame) -> Cursor {
    match frame {
        AllFrame::Created { cursor, .. }
        | AllFrame::Event { cursor, .. }
        | AllFrame::Skipped { cursor, .. }
        | AllFrame::Deleted { cursor, .. } => *cursor,
    }
}

fn whats(frames: &[AllFrame]) -> Vec<What> {
    frames.iter().map(|frame| of(frame).1).collect()
}

fn all_events(count: usize) -> Vec<What> {
    (0..count as u64).map(What::Event).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_is_used_again_is_told_as_two_conversations() {
    let site = Site::new().await;
    let id = ConversationId::random();
    let new = || NewConversation {
        id: Some(id),
        ..NewConversation::default()
    };
    let first = site.make(new()).await;
    for _ in 0..3 {
        tell(&first, "the first").await;
    }
    site.runtime.delete(id).await.unwrap();
    let second = site.make(new()).await;
    tell(&second, "the second").await;
    let told = site.told(AllStart::Beginning, &AllFilter::default()).await;
    let mut expected = vec![What::Deleted, What::Created];
    expected.extend(all_events(events(&second).await.len()));
    assert_eq!(whats(&told), expected);
    for frame in told {
        if let AllFrame::Event { json, .. } = frame {
            assert!(!String::from_utf8_lossy(&json).contains("the first"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_cursor_goes_on_right_behind_its_frame_also_in_mid_change() {
    let site = Site::new().await;
    let conversation = site.conversation().await;
    // The first message comes with the system prompt: several events, one change.
    tell(&conversation, "one").await;
    tell(&conversation, "two").await;
    let count = events(&conversation).await.len();
    let messages = AllFilter {
        kinds: vec!["MessageEvent".to_owned()],
        ..AllFilter::default()
    };
    for (filter, events) in [(AllFilter::default(), count), (messages, 2)] {
        let filter = AllFilter {
            conversations: vec![conversation.id()],
            ..filter
        };
        let all = site.told(AllStart::Beginning, &filter).await;
        assert_eq!(all.len(), events + 1);
        let cursors: Vec<String> = all.iter().map(|frame| cursor(frame).to_string()).collect();
        assert!(cursors[1..].iter().any(|cursor| !cursor.ends_with("-0")));
        for (at, cursor) in cursors.iter().enumerate() {
            let start = AllStart::At(cursor.parse().unwrap());
            let rest = site.told(start, &filter).await;
            assert_eq!(rest, all[at + 1..], "{cursor}");
        }
    }
    // One that was never sent continues with the next change.
    let all = site.told(AllStart::Beginning, &AllFilter::default()).await;
    let change = cursor(&all[0]).to_string();
    let beyond = format!("{}-999999", change.strip_suffix("-0").unwrap());
    let rest = site
        .told(AllStart::At(beyond.parse().unwrap()), &AllFilter::default())
        .await;
    let second_change = rest[0].clone();
    assert!(all.contains(&second_change));
    assert!(rest.len() < all.len() - 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_that_may_pass_ends_the_following_and_loses_nothing() {
    let site = Site::new().await;
    let (bad, good) = (site.conversation().await, site.conversation().await);
    tell(&bad, "hello").await;
    tell(&good, "hello").await;
    let expected = site.told(AllStart::Beginning, &AllFilter::default()).await;

    let shut = |how| site.store.shut.lock().unwrap().insert(bad.id(), how);
    shut(Shut::Failing);
    let follower = site
        .runtime
        .follow_all(AllStart::Beginning, AllFilter::default());
    let mut follower = follower.await.unwrap();
    let mut told = Vec::new();
    let end = loop {
        match timeout(GIVE_UP, follower.next_page()).await.unwrap() {
            Ok(page) => told.extend(page),
            Err(end) => break end,
        }
    };
    assert_eq!(end, End::Failed);
    assert_eq!(whats(&told), [What::Created, What::Created]);
    site.store.shut.lock().unwrap().clear();
    let rest = site
        .told(AllStart::At(follower.cursor()), &AllFilter::default())
        .await;
    told.extend(rest);
    told.retain(|frame| [bad.id(), good.id()].contains(&of(frame).0));
    assert_eq!(told, expected);

    // What is damaged stays so: it is reported, and the others continue.
    shut(Shut::Damaged);
    let told = site.told(AllStart::Beginning, &AllFilter::default()).await;
    let of_bad = told.iter().filter(|frame| of(frame).0 == bad.id());
    let of_bad: Vec<AllFrame> = of_bad.cloned().collect();
    let count = events(&bad).await.len() as u64;
    assert_eq!(whats(&of_bad), [What::Created, What::Skipped(0, count)]);
    let rest = site
        .told(AllStart::At(cursor(&of_bad[1])), &AllFilter::default())
        .await;
    let rest: Vec<AllFrame> = rest
        .into_iter()
        .filter(|frame| of(frame).0 == good.id())
        .collect();
    assert_eq!(whats(&rest), all_events(events(&good).await.len()));
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_lines_are_gaps_and_the_rest_is_told() {
    let site = Site::new().await;
    let conversation = site.conversation().await;
    for text in ["one", "damaged", "three"] {
        tell(&conversation, text).await;
    }
    let id = conversation.id();
    let lines = events(&conversation).await;
    let damaged = lines
        .iter()
        .position(|event| event.to_string().contains("damaged"))
        .unwrap() as u64;
    drop(conversation);
    let folder = site.stop().await;
    let log = folder
        .path()
        .join(format!("conversations/{id}/events.jsonl"));
    let text = std::fs::read_to_string(&log).unwrap();
    // Of the same length, so that only the checksum tells.
    std::fs::write(&log, text.replace("\"damaged\"", "\"dAmaged\"")).unwrap();

    let site = Site::on(folder).await;
    let expected: Vec<What> = all_events(lines.len())
        .into_iter()
        .filter(|what| *what != What::Event(damaged))
        .collect();
    let ours = AllFilter {
        conversations: vec![id],
        ..AllFilter::default()
    };
    let told = site.told(AllStart::Beginning, &ours).await;
    assert_eq!(whats(&told[1..]), expected);
    let messages = AllFilter {
        kinds: vec!["MessageEvent".to_owned()],
        ..ours
    };
    let told = site.told(AllStart::Beginning, &messages).await;
    assert_eq!(told.len(), 1 + 2);
    assert!(!whats(&told).contains(&What::Event(damaged)));
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_choose_whose_creation_is_told_and_every_deletion_is() {
    let site = Site::new().await;
    let tagged = |team: &str| NewConversation {
        settings: ConversationSettings {
            tags: [("team".to_owned(), team.to_owned())].into(),
            ..ConversationSettings::default()
        },
        ..NewConversation::default()
    };
    let live = site.runtime.follow_all(
        AllStart::Live,
        AllFilter {
            tags: vec![("team".to_owned(), Some("blue".to_owned()))],
            ..AllFilter::default()
        },
    );
    let mut live = live.await.unwrap();
    let blue = site.make(tagged("blue")).await.id();
    let first = timeout(GIVE_UP, live.next_page()).await.unwrap().unwrap();
    assert_eq!(of(&first[0]), (blue, What::Created));
    let red = site.make(tagged("red")).await.id();
    for id in [red, blue] {
        site.runtime.delete(id).await.unwrap();
        let next = timeout(GIVE_UP, live.next_page()).await.unwrap().unwrap();
        assert_eq!(of(&next[0]), (id, What::Deleted));
    }
    assert!(live.next_page().now_or_never().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_of_a_feed_that_was_lost_is_refused() {
    let site = Site::new().await;
    let conversation = site.conversation().await;
    tell(&conversation, "hello").await;
    let count = events(&conversation).await.len();
    let id = conversation.id();
    let told = site.told(AllStart::Beginning, &AllFilter::default()).await;
    let old = cursor(&told[0]);
    drop(conversation);
    let folder = site.stop().await;
    std::fs::remove_file(folder.path().join("conversations/.feed")).unwrap();
    let site = Site::on(folder).await;
    let refused = site
        .runtime
        .follow_all(AllStart::At(old), AllFilter::default())
        .await;
    assert!(matches!(refused, Err(RuntimeError::CursorExpired)));
    // From the beginning, it sends what is stored.
    let told = site.told(AllStart::Beginning, &AllFilter::default()).await;
    let mut seqs = Vec::new();
    for frame in &told {
        if let AllFrame::Event {
            conversation, seq, ..
        } = frame
            && *conversation == id
        {
            seqs.push(*seq);
        }
    }
    let expected: Vec<Seq> = (0..count as u64).map(Seq).collect();
    assert_eq!(seqs, expected);
}
