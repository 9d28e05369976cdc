use std::fmt;

use agent_runtime::{AllFollower, AllFrame, Cursor, End, Follower, Frame};
use bytes::Bytes;
use core_model::{ConversationId, Seq};
use serde_json::{Value, json};

/// One frame.
pub(crate) struct OutgoingFrame {
    /// Where a client continues that has this frame; none for what is not logged.
    pub(crate) position: Option<Position>,
    pub(crate) json: FrameJson,
}

/// JSON in one line: an event's own bytes, which all that send it share, and what stands around them.
pub(crate) struct FrameJson {
    pub(crate) head: String,
    pub(crate) event: Bytes,
    pub(crate) tail: &'static str,
}

impl FrameJson {
    pub(crate) fn len(&self) -> usize {
        self.head.len() + self.event.len() + self.tail.len()
    }
}

impl From<Bytes> for FrameJson {
    fn from(event: Bytes) -> Self {
        Self {
            head: String::new(),
            event,
            tail: "",
        }
    }
}

impl From<String> for FrameJson {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

/// A position as clients name it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Position {
    Seq(Seq),
    BeforeFirst,
    Cursor(Cursor),
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seq(seq) => seq.fmt(f),
            Self::BeforeFirst => f.write_str("-1"),
            Self::Cursor(cursor) => cursor.fmt(f),
        }
    }
}

/// What a socket or an event stream sends: pages of frames from a follower.
pub(crate) enum FrameSource {
    /// One conversation; frames are the events themselves.
    Events(Follower),
    /// One conversation; frames say what they are, and events have their seq.
    Session { follower: Follower, replays: bool },
    /// All conversations.
    All {
        follower: Box<AllFollower>,
        /// The cursor that was sent last.
        last_sent: Option<Cursor>,
    },
}

impl FrameSource {
    pub(crate) fn all(follower: AllFollower) -> Self {
        Self::All {
            follower: Box::new(follower),
            last_sent: None,
        }
    }

    /// Where a client continues that was sent nothing yet.
    pub(crate) fn position(&self) -> Option<Position> {
        let next = match self {
            Self::Events(follower) | Self::Session { follower, .. } => follower.cursor(),
            // Its opening frame says it.
            Self::All { .. } => return None,
        };
        Some(
            next.0
                .checked_sub(1)
                .map_or(Position::BeforeFirst, |last| Position::Seq(Seq(last))),
        )
    }

    /// The frame before all others.
    pub(crate) fn opening(&mut self) -> Option<OutgoingFrame> {
        match self {
            Self::Events(_) => None,
            Self::Session { follower, replays } => {
                let mut sync = json!({"type": "sync"});
                if *replays {
                    sync["from_seq"] = json!(follower.cursor());
                }
                if let Some(last) = follower.began_at().0.checked_sub(1) {
                    sync["through_seq"] = json!(last);
                }
                Some(OutgoingFrame {
                    position: None,
                    json: sync.to_string().into(),
                })
            }
            Self::All { .. } => self.heartbeat(),
        }
    }

    /// The frame of a heartbeat: how far the follower has come, if that is new.
    pub(crate) fn heartbeat(&mut self) -> Option<OutgoingFrame> {
        let Self::All {
            follower,
            last_sent,
        } = self
        else {
            return None;
        };
        let cursor = follower.cursor();
        (last_sent.replace(cursor) != Some(cursor)).then(|| OutgoingFrame {
            position: Some(Position::Cursor(cursor)),
            json: json!({"type": "sync", "cursor": cursor.to_string()})
                .to_string()
                .into(),
        })
    }

    /// The next frames, at least one.
    ///
    /// # Cancel safety
    /// A dropped call loses nothing but, at most, one delta.
    pub(crate) async fn next(&mut self) -> Result<Vec<OutgoingFrame>, End> {
        match self {
            Self::Events(follower) => {
                let page = follower.next_page().await?;
                Ok(page.into_iter().map(event_frame).collect())
            }
            Self::Session { follower, .. } => {
                let page = follower.next_page().await?;
                Ok(page.into_iter().map(session_frame).collect())
            }
            Self::All {
                follower,
                last_sent,
            } => {
                let page = follower.next_page().await?;
                let page: Vec<OutgoingFrame> = page.into_iter().map(feed_frame).collect();
                if let Some(Position::Cursor(cursor)) = page.last().and_then(|last| last.position) {
                    *last_sent = Some(cursor);
                }
                Ok(page)
            }
        }
    }
}

fn event_frame(frame: Frame) -> OutgoingFrame {
    match frame {
        Frame::Event(seq, json) => OutgoingFrame {
            position: Some(Position::Seq(seq)),
            json: json.into(),
        },
        Frame::Snapshot(json) | Frame::Delta(json) => OutgoingFrame {
            position: None,
            json: json.into(),
        },
    }
}

fn session_frame(frame: Frame) -> OutgoingFrame {
    match frame {
        Frame::Event(seq, json) => OutgoingFrame {
            position: Some(Position::Seq(seq)),
            json: wrapped(format!(r#"{{"type":"durable","seq":{seq},"event":"#), json),
        },
        Frame::Snapshot(json) | Frame::Delta(json) => OutgoingFrame {
            position: None,
            json: wrapped(r#"{"type":"transient","event":"#.to_owned(), json),
        },
    }
}

fn feed_frame(frame: AllFrame) -> OutgoingFrame {
    match frame {
        AllFrame::Event {
            cursor,
            conversation,
            seq,
            json,
        } => OutgoingFrame {
            position: Some(Position::Cursor(cursor)),
            json: wrapped(
                format!(
                    r#"{{"type":"durable","cursor":"{cursor}","conversation_id":"{conversation}","seq":{seq},"event":"#
                ),
                json,
            ),
        },
        AllFrame::Created {
            cursor,
            conversation,
        } => conversation_frame("created", cursor, conversation, json!({})),
        AllFrame::Deleted {
            cursor,
            conversation,
        } => conversation_frame("deleted", cursor, conversation, json!({})),
        AllFrame::Skipped {
            cursor,
            conversation,
            from,
            to,
        } => {
            let events = json!({"from_seq": from, "to_seq": to});
            conversation_frame("skipped", cursor, conversation, events)
        }
    }
}

/// What happened to a conversation as a whole.
fn conversation_frame(
    kind: &str,
    cursor: Cursor,
    id: ConversationId,
    more: Value,
) -> OutgoingFrame {
    let mut json = json!({"type": kind, "cursor": cursor.to_string(), "conversation_id": id});
    if let (Some(fields), Value::Object(more)) = (json.as_object_mut(), more) {
        fields.extend(more);
    }
    OutgoingFrame {
        position: Some(Position::Cursor(cursor)),
        json: json.to_string().into(),
    }
}

/// An event's own bytes as the last field of an object.
fn wrapped(head: String, event: Bytes) -> FrameJson {
    FrameJson {
        head,
        event,
        tail: "}",
    }
}
