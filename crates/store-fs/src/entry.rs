//! One line of a log in its index: 48 bytes, little endian. `docs/STORAGE.md` has the table.

use std::borrow::Cow;

use chrono::DateTime;
use core_model::{EventId, EventTime, Head, LineHead, Source};
use uuid::Uuid;

/// Bytes of one entry.
pub(crate) const ENTRY: usize = 48;

/// The kinds with a number of their own, by it. Numbers are on disk, and no kind gets one later: indexes that
/// have a line of it already have it by its hash, and the number would not find that line.
const KINDS: [&str; 15] = [
    "SystemPromptEvent",
    "MessageEvent",
    "ActionEvent",
    "ObservationEvent",
    "UserRejectObservation",
    "AgentErrorEvent",
    "ConversationErrorEvent",
    "ServerErrorEvent",
    "ConversationStateUpdateEvent",
    "PauseEvent",
    "InterruptEvent",
    "CondensationRequest",
    "Condensation",
    "SecurityAnalysisEvent",
    "StreamingDeltaEvent",
];
const SOURCES: [Source; 4] = [
    Source::Agent,
    Source::User,
    Source::Environment,
    Source::Hook,
];

/// Set in the kind's number when it is a part of the name's hash.
const HASHED_KIND: u16 = 0x8000;
/// The line is not an event.
const DAMAGED: u8 = 1;
/// The id is a hash of an id that is no UUID in its usual writing.
const HASHED_ID: u8 = 2;

/// What an index knows of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Where the line starts.
    pub(crate) offset: u64,
    /// Its length without the line break.
    pub(crate) len: u32,
    /// CRC-32C of the line without its line break.
    pub(crate) crc: u32,
    id: [u8; 16],
    /// Of a damaged line: that of the event before it, so that times can be searched for.
    pub(crate) micros: i64,
    kind: u16,
    source: u8,
    flags: u8,
}

/// What of a filter can be told by entries; see [`Kind::of`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind(u16);

impl Kind {
    pub(crate) fn of(name: &str) -> Self {
        let known = KINDS.iter().position(|kind| *kind == name);
        Self(match known {
            Some(at) => at as u16,
            None => HASHED_KIND | crc32c::crc32c(name.as_bytes()) as u16,
        })
    }

    /// Whether another kind could have the same number.
    pub(crate) fn is_ambiguous(self) -> bool {
        self.0 & HASHED_KIND != 0
    }
}

impl Entry {
    pub(crate) fn new(offset: u64, line: &[u8], head: &LineHead<'_>) -> Self {
        let (id, flags) = id_bytes(&head.id);
        Self {
            offset,
            len: line.len() as u32,
            crc: crc32c::crc32c(line),
            id,
            micros: head.timestamp.utc().timestamp_micros(),
            kind: Kind::of(&head.kind).0,
            source: SOURCES
                .iter()
                .position(|source| *source == head.source)
                .unwrap_or_default() as u8,
            flags,
        }
    }

    pub(crate) fn damaged(offset: u64, line: &[u8], micros: i64) -> Self {
        Self {
            offset,
            len: line.len() as u32,
            crc: crc32c::crc32c(line),
            id: [0; 16],
            micros,
            kind: 0,
            source: 0,
            flags: DAMAGED,
        }
    }

    /// The same for a line of this length and checksum.
    pub(crate) fn spanning(self, len: u32, crc: u32) -> Self {
        Self { len, crc, ..self }
    }

    /// The same line so much further on.
    pub(crate) fn moved(self, by: u64) -> Self {
        Self {
            offset: self.offset + by,
            ..self
        }
    }

    /// Where the next line starts.
    pub(crate) fn end(&self) -> u64 {
        self.offset.saturating_add(u64::from(self.len) + 1)
    }

    pub(crate) fn is_damaged(&self) -> bool {
        self.flags & DAMAGED != 0
    }

    pub(crate) fn is_of(&self, kind: Kind) -> bool {
        self.kind == kind.0
    }

    pub(crate) fn source(&self) -> Source {
        SOURCES[usize::from(self.source) % SOURCES.len()]
    }

    /// The id's place in a table of ids.
    pub(crate) fn id_hash(&self) -> u32 {
        crc32c::crc32c(&self.id)
    }

    /// Whether the id has these bytes; an id that is no UUID is then told by its line alone.
    pub(crate) fn has_id(&self, wanted: &IdBytes) -> bool {
        !self.is_damaged() && self.id == wanted.bytes && self.flags & HASHED_ID == wanted.flags
    }

    /// Whether its line is that of the event with this id.
    pub(crate) fn is_of_id(&self, id: &str) -> bool {
        self.has_id(&IdBytes::of(id))
    }

    /// The head as it stands in the line; none when the entry alone does not tell.
    pub(crate) fn head(&self) -> Option<Head> {
        if self.is_damaged() || self.flags & HASHED_ID != 0 {
            return None;
        }
        let kind = KINDS.get(usize::from(self.kind))?;
        let mut buffer = Uuid::encode_buffer();
        let id = Uuid::from_bytes(self.id)
            .hyphenated()
            .encode_lower(&mut buffer);
        Some(Head {
            id: EventId::from(&*id),
            kind: Cow::Borrowed(kind),
            source: self.source(),
            timestamp: EventTime::from(DateTime::from_timestamp_micros(self.micros)?),
        })
    }

    pub(crate) fn encode(&self) -> [u8; ENTRY] {
        let mut bytes = [0; ENTRY];
        bytes[0..8].copy_from_slice(&self.offset.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.len.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.crc.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.id);
        bytes[32..40].copy_from_slice(&self.micros.to_le_bytes());
        bytes[40..42].copy_from_slice(&self.kind.to_le_bytes());
        bytes[42] = self.source;
        bytes[43] = self.flags;
        let crc = crc32c::crc32c(&bytes[..44]);
        bytes[44..48].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// None when the bytes are not an entry.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; ENTRY] = bytes.try_into().ok()?;
        let (body, crc) = bytes.split_last_chunk::<4>()?;
        if crc32c::crc32c(body) != u32::from_le_bytes(*crc) {
            return None;
        }
        Some(Self {
            offset: u64::from_le_bytes(bytes[0..8].try_into().ok()?),
            len: u32::from_le_bytes(bytes[8..12].try_into().ok()?),
            crc: u32::from_le_bytes(bytes[12..16].try_into().ok()?),
            id: bytes[16..32].try_into().ok()?,
            micros: i64::from_le_bytes(bytes[32..40].try_into().ok()?),
            kind: u16::from_le_bytes(bytes[40..42].try_into().ok()?),
            source: bytes[42],
            flags: bytes[43],
        })
    }
}

/// An event id as entries hold it.
pub(crate) struct IdBytes {
    bytes: [u8; 16],
    flags: u8,
}

impl IdBytes {
    pub(crate) fn of(id: &str) -> Self {
        let (bytes, flags) = id_bytes(id);
        Self { bytes, flags }
    }

    pub(crate) fn is_ambiguous(&self) -> bool {
        self.flags & HASHED_ID != 0
    }

    pub(crate) fn hash(&self) -> u32 {
        crc32c::crc32c(&self.bytes)
    }
}

/// A UUID in its usual writing is 16 bytes that come back the same; anything else is hashed.
fn id_bytes(id: &str) -> ([u8; 16], u8) {
    if let Ok(uuid) = Uuid::try_parse(id) {
        let mut buffer = Uuid::encode_buffer();
        if *uuid.hyphenated().encode_lower(&mut buffer) == *id {
            return (uuid.into_bytes(), 0);
        }
    }
    let hash = Uuid::new_v5(&Uuid::NAMESPACE_OID, id.as_bytes());
    (hash.into_bytes(), HASHED_ID)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head<'a>(id: &'a str, kind: &'a str) -> LineHead<'a> {
        LineHead {
            id: id.into(),
            kind: kind.into(),
            source: Source::Environment,
            timestamp: "2026-11-22T19:31:36.000007".parse().unwrap(),
        }
    }

    #[test]
    fn an_entry_comes_back_from_its_bytes() {
        let head = head("c9aecf55-91d2-4e3c-b878-fac3156a43c7", "PauseEvent");
        let entry = Entry::new(77, b"{\"line\"}", &head);
        let back = Entry::decode(&entry.encode()).unwrap();
        assert_eq!(back, entry);
        assert_eq!(back.head(), Some(head.to_head()));
        assert_eq!(back.end(), 77 + 8 + 1);
    }

    #[test]
    fn a_flipped_bit_anywhere_is_noticed() {
        let good = Entry::new(5, b"line", &head("x", "PauseEvent")).encode();
        for bit in 0..ENTRY * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Entry::decode(&bad), None, "bit {bit}");
        }
        assert_eq!(Entry::decode(&[0; ENTRY]), None);
    }

    #[test]
    fn ids_and_kinds_that_do_not_fit_are_left_to_the_line() {
        for id in [
            "C9AECF55-91D2-4E3C-B878-FAC3156A43C7",
            "c9aecf5591d24e3cb878fac3156a43c7",
            "event-1",
            "",
        ] {
            let entry = Entry::new(0, b"", &head(id, "PauseEvent"));
            assert_eq!(entry.head(), None);
            assert!(entry.has_id(&IdBytes::of(id)) && IdBytes::of(id).is_ambiguous());
        }
        let uuid = "c9aecf55-91d2-4e3c-b878-fac3156a43c7";
        let entry = Entry::new(0, b"", &head(uuid, "ShinyNewEvent"));
        assert_eq!(entry.head(), None);
        assert!(entry.is_of(Kind::of("ShinyNewEvent")) && !entry.is_of(Kind::of("PauseEvent")));
        assert!(Kind::of("ShinyNewEvent").is_ambiguous());
    }

    #[test]
    fn the_kinds_keep_their_numbers() {
        let numbers: Vec<u16> = KINDS.iter().map(|kind| Kind::of(kind).0).collect();
        assert_eq!(numbers, (0..15).collect::<Vec<u16>>());
        assert_eq!(Kind::of("StreamingDeltaEvent").0, 14);
    }
}
