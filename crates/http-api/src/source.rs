//! What a socket or an event stream sends: pages of frames from a follower, each with the place to go
//! on from.

use std::fmt;

use agent_runtime::{AllFollower, AllFrame, Cursor, End, Follower, Frame};
use bytes::Bytes;
use core_model::{ConversationId, Seq};
use serde_json::{Value, json};

/// One frame.
pub(crate) struct Out {
    /// Where a client goes on that has this frame; none for what is not logged.
    pub(crate) place: Option<Place>,
    pub(crate) json: Line,
}

/// JSON in one line: an event's own bytes, which all that send it share, or something around them.
pub(crate) struct Line {
    pub(crate) head: String,
    pub(crate) event: Bytes,
    pub(crate) tail: &'static str,
}

impl Line {
    pub(crate) fn len(&self) -> usize {
        self.head.len() + self.event.len() + self.tail.len()
    }
}

impl From<Bytes> for Line {
    fn from(event: Bytes) -> Self {
        Self {
            head: String::new(),
            event,
            tail: "",
        }
    }
}

impl From<String> for Line {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

/// As clients name it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    Seq(Seq),
    /// Before the first event.
    Before,
    Cursor(Cursor),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seq(seq) => seq.fmt(f),
            Self::Before => f.write_str("-1"),
            Self::Cursor(cursor) => cursor.fmt(f),
        }
    }
}

/// Where frames come from, and how they look.
pub(crate) enum Source {
    /// One conversation; frames are the events themselves.
    Events(Follower),
    /// One conversation; frames say what they are, and events have their seq.
    Session { follower: Follower, replays: bool },
    /// All conversations.
    All {
        follower: Box<AllFollower>,
        /// The cursor told last.
        told: Option<Cursor>,
    },
}

impl Source {
    /// Where a client goes on that was told nothing yet.
    pub(crate) fn place(&self) -> Option<Place> {
        let next = match self {
            Self::Events(follower) | Self::Session { follower, .. } => follower.cursor(),
            // Its greeting tells.
            Self::All { .. } => return None,
        };
        Some(
            next.0
                .checked_sub(1)
                .map_or(Place::Before, |last| Place::Seq(Seq(last))),
        )
    }

    /// What comes before anything else.
    pub(crate) fn greeting(&mut self) -> Option<Out> {
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
                Some(Out {
                    place: None,
                    json: sync.to_string().into(),
                })
            }
            Self::All { .. } => self.beat(),
        }
    }

    /// What a heartbeat tells: how far the follower has come, if that is news.
    pub(crate) fn beat(&mut self) -> Option<Out> {
        let Self::All { follower, told } = self else {
            return None;
        };
        let cursor = follower.cursor();
        (told.replace(cursor) != Some(cursor)).then(|| Out {
            place: Some(Place::Cursor(cursor)),
            json: json!({"type": "sync", "cursor": cursor.to_string()})
                .to_string()
                .into(),
        })
    }

    /// The next frames, at least one.
    ///
    /// # Cancel safety
    /// A dropped call loses nothing but, at most, one delta.
    pub(crate) async fn next(&mut self) -> Result<Vec<Out>, End> {
        match self {
            Self::Events(follower) => {
                let page = follower.next_page().await?;
                Ok(page.into_iter().map(plain).collect())
            }
            Self::Session { follower, .. } => {
                let page = follower.next_page().await?;
                Ok(page.into_iter().map(labelled).collect())
            }
            Self::All { follower, told } => {
                let page = follower.next_page().await?;
                let page: Vec<Out> = page.into_iter().map(of_all).collect();
                if let Some(Place::Cursor(cursor)) = page.last().and_then(|last| last.place) {
                    *told = Some(cursor);
                }
                Ok(page)
            }
        }
    }
}

fn plain(frame: Frame) -> Out {
    match frame {
        Frame::Event(seq, json) => Out {
            place: Some(Place::Seq(seq)),
            json: json.into(),
        },
        Frame::Snapshot(json) | Frame::Delta(json) => Out {
            place: None,
            json: json.into(),
        },
    }
}

fn labelled(frame: Frame) -> Out {
    match frame {
        Frame::Event(seq, json) => Out {
            place: Some(Place::Seq(seq)),
            json: around(format!(r#"{{"type":"durable","seq":{seq},"event":"#), json),
        },
        Frame::Snapshot(json) | Frame::Delta(json) => Out {
            place: None,
            json: around(r#"{"type":"transient","event":"#.to_owned(), json),
        },
    }
}

fn of_all(frame: AllFrame) -> Out {
    match frame {
        AllFrame::Event {
            cursor,
            conversation,
            seq,
            json,
        } => Out {
            place: Some(Place::Cursor(cursor)),
            json: around(
                format!(
                    r#"{{"type":"durable","cursor":"{cursor}","conversation_id":"{conversation}","seq":{seq},"event":"#
                ),
                json,
            ),
        },
        AllFrame::Created {
            cursor,
            conversation,
        } => of_conversation("created", cursor, conversation, json!({})),
        AllFrame::Deleted {
            cursor,
            conversation,
        } => of_conversation("deleted", cursor, conversation, json!({})),
        AllFrame::Skipped {
            cursor,
            conversation,
            from,
            to,
        } => {
            let events = json!({"from_seq": from, "to_seq": to});
            of_conversation("skipped", cursor, conversation, events)
        }
    }
}

/// What is told of a conversation as a whole.
fn of_conversation(kind: &str, cursor: Cursor, id: ConversationId, more: Value) -> Out {
    let mut json = json!({"type": kind, "cursor": cursor.to_string(), "conversation_id": id});
    if let (Some(fields), Value::Object(more)) = (json.as_object_mut(), more) {
        fields.extend(more);
    }
    Out {
        place: Some(Place::Cursor(cursor)),
        json: json.to_string().into(),
    }
}

/// An event's own bytes as the last field of an object.
fn around(head: String, event: Bytes) -> Line {
    Line {
        head,
        event,
        tail: "}",
    }
}
