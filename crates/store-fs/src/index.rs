use std::{collections::HashMap, ops::Range, sync::Arc};

use core_model::{EventId, EventTime, Head, Seq, Source};
use uuid::Uuid;

use crate::head::LineHead;

/// What memory keeps of a log: where each line starts and the head of each event. Lines that are
/// damaged keep their seq and have no head.
#[derive(Default)]
pub(crate) struct Index {
    lines: Vec<Line>,
    /// Where the last line ends, its line break included.
    end: u64,
    kinds: Kinds,
    by_id: HashMap<Id, Seq>,
    damaged: usize,
}

struct Line {
    offset: u64,
    head: Option<CompactHead>,
}

struct CompactHead {
    id: Id,
    timestamp: EventTime,
    kind: u32,
    source: Source,
}

/// An event's place in the file, without the line break.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) seq: Seq,
    pub(crate) head: Head,
    pub(crate) bytes: Range<u64>,
}

impl Index {
    /// How many lines there are, damaged ones included.
    pub(crate) fn len(&self) -> Seq {
        Seq(self.lines.len() as u64)
    }

    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// How many lines are no events.
    pub(crate) fn damaged(&self) -> usize {
        self.damaged
    }

    /// Adds a line of `len` bytes, not counting its line break; `None` for a damaged one. When an
    /// id comes twice, the first event keeps it.
    pub(crate) fn push(&mut self, head: Option<&LineHead<'_>>, len: usize) {
        let seq = self.len();
        let head = head.map(|head| CompactHead {
            id: Id::new(&head.id),
            timestamp: head.timestamp,
            kind: self.kinds.intern(&head.kind),
            source: head.source,
        });
        match &head {
            Some(head) => {
                self.by_id.entry(head.id.clone()).or_insert(seq);
            }
            None => self.damaged += 1,
        }
        self.lines.push(Line {
            offset: self.end,
            head,
        });
        self.end += len as u64 + 1;
    }

    /// Where the next `limit` events from `from` on stand; damaged lines are passed over.
    pub(crate) fn spans(&self, from: Seq, limit: usize) -> Vec<Span> {
        let place = |(seq, head): (usize, &CompactHead)| {
            let start = self.lines[seq].offset;
            let next = self.lines.get(seq + 1).map_or(self.end, |line| line.offset);
            Span {
                seq: Seq(seq as u64),
                head: self.expand(head),
                bytes: start..next - 1,
            }
        };
        self.good(from).take(limit).map(place).collect()
    }

    pub(crate) fn heads(&self, from: Seq, limit: usize) -> Vec<(Seq, Head)> {
        let heads = self.good(from).take(limit);
        heads
            .map(|(at, head)| (Seq(at as u64), self.expand(head)))
            .collect()
    }

    pub(crate) fn find(&self, id: &EventId) -> Option<Seq> {
        self.by_id.get(&Id::new(id.as_str())).copied()
    }

    fn good(&self, from: Seq) -> impl Iterator<Item = (usize, &CompactHead)> {
        let lines = self.lines.iter().enumerate().skip(from.index());
        lines.filter_map(|(seq, line)| Some((seq, line.head.as_ref()?)))
    }

    fn expand(&self, head: &CompactHead) -> Head {
        Head {
            id: head.id.expand(),
            kind: self.kinds.name(head.kind).to_owned().into(),
            source: head.source,
            timestamp: head.timestamp,
        }
    }
}

/// An event id: 16 bytes when it is a UUID in its usual writing, which comes back the same.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Id {
    Uuid([u8; 16]),
    Other(Box<str>),
}

impl Id {
    fn new(text: &str) -> Self {
        match Uuid::try_parse(text) {
            Ok(uuid) if dashed(uuid, &mut Uuid::encode_buffer()) == text => {
                Self::Uuid(uuid.into_bytes())
            }
            Ok(_) | Err(_) => Self::Other(text.into()),
        }
    }

    fn expand(&self) -> EventId {
        match self {
            Self::Uuid(bytes) => {
                dashed(Uuid::from_bytes(*bytes), &mut Uuid::encode_buffer()).into()
            }
            Self::Other(text) => EventId::from(&**text),
        }
    }
}

fn dashed(uuid: Uuid, buffer: &mut [u8]) -> &str {
    uuid.hyphenated().encode_lower(buffer)
}

/// The few kinds that a log's many events have, each stored once.
#[derive(Default)]
struct Kinds {
    names: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, u32>,
}

impl Kinds {
    fn intern(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = self.names.len() as u32;
        let name: Arc<str> = name.into();
        self.names.push(name.clone());
        self.numbers.insert(name, number);
        number
    }

    fn name(&self, number: u32) -> &str {
        &self.names[number as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(id: &str) -> LineHead<'_> {
        LineHead {
            id: id.into(),
            kind: "PauseEvent".into(),
            source: Source::User,
            timestamp: "2026-11-22T19:31:36".parse().unwrap(),
        }
    }

    #[test]
    fn ids_come_back_as_they_were_written() {
        let ids = [
            "c9aecf55-91d2-4e3c-b878-fac3156a43c7",
            "C9AECF55-91D2-4E3C-B878-FAC3156A43C7",
            "c9aecf5591d24e3cb878fac3156a43c7",
            "event-1",
            "",
        ];
        let mut index = Index::default();
        for id in ids {
            index.push(Some(&head(id)), 10);
        }
        let back: Vec<String> = index
            .heads(Seq(0), 9)
            .into_iter()
            .map(|(_, h)| h.id.0)
            .collect();
        assert_eq!(back, ids);
        for (seq, id) in ids.iter().enumerate() {
            assert_eq!(index.find(&EventId::from(*id)), Some(Seq(seq as u64)));
        }
    }

    #[test]
    fn the_first_of_two_same_ids_is_found() {
        let mut index = Index::default();
        index.push(Some(&head("a")), 1);
        index.push(Some(&head("a")), 1);
        assert_eq!(index.find(&"a".into()), Some(Seq(0)));
    }

    #[test]
    fn a_damaged_line_keeps_its_seq_and_is_passed_over() {
        let mut index = Index::default();
        index.push(Some(&head("a")), 3);
        index.push(None, 5);
        index.push(Some(&head("b")), 2);
        let places: Vec<_> = index
            .spans(Seq(0), 9)
            .into_iter()
            .map(|s| (s.seq, s.bytes))
            .collect();
        assert_eq!(places, [(Seq(0), 0..3), (Seq(2), 10..12)]);
        assert_eq!((index.len(), index.end(), index.damaged()), (Seq(3), 13, 1));
        assert_eq!(index.spans(Seq(1), 1)[0].seq, Seq(2));
        assert!(index.spans(Seq(3), 9).is_empty());
    }
}
