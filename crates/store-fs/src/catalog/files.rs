//! The bytes of `.feed` and `.catalog`: little endian, each with checksums. `docs/STORAGE.md` has the
//! tables.

use core_model::{
    ConversationId, Seq,
    port::{Change, FeedEntry},
};
use uuid::Uuid;

use super::rows::Compact;

pub(crate) const HEADER: usize = 64;
/// Bytes of a feed's entry.
pub(crate) const ENTRY: usize = 64;
/// Bytes of a catalog's row.
pub(crate) const ROW: usize = 56;

const VERSION: u32 = 1;
const FEED: &[u8; 8] = b"evfeed\0\0";
const CATALOG: &[u8; 8] = b"evcatlog";

/// What an entry of the feed is about. Numbers are on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Created = 0,
    Grown = 1,
    /// Its row changed, its log did not.
    Noted = 2,
    Deleted = 3,
}

/// One change, with the whole row after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) id: ConversationId,
    pub(crate) what: What,
    /// How long the log was before.
    pub(crate) from: u64,
    pub(crate) row: Compact,
}

impl Entry {
    pub(crate) fn encode(&self) -> [u8; ENTRY] {
        let mut bytes = [0; ENTRY];
        bytes[0..16].copy_from_slice(self.id.0.as_bytes());
        bytes[16..24].copy_from_slice(&self.from.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.row.len.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.row.bytes.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.row.updated.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.row.created.to_le_bytes());
        bytes[56] = self.row.status;
        bytes[57] = self.what as u8;
        seal(&mut bytes);
        bytes
    }

    /// None when the bytes are no entry.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; ENTRY] = bytes.try_into().ok()?;
        is_sealed(bytes).then_some(())?;
        Some(Self {
            id: ConversationId(Uuid::from_slice(&bytes[0..16]).ok()?),
            from: number(bytes, 16),
            row: Compact {
                len: number(bytes, 24),
                bytes: number(bytes, 32),
                updated: number(bytes, 40) as i64,
                created: number(bytes, 48) as i64,
                status: bytes[56],
            },
            what: match bytes[57] {
                0 => What::Created,
                1 => What::Grown,
                2 => What::Noted,
                3 => What::Deleted,
                _ => return None,
            },
        })
    }

    /// As followers are told it, if they are.
    pub(crate) fn at(&self, position: u64) -> Option<FeedEntry> {
        let change = match self.what {
            What::Created => Change::Created,
            What::Grown => Change::Appended {
                from: Seq(self.from),
                to: Seq(self.row.len),
            },
            What::Deleted => Change::Deleted,
            What::Noted => return None,
        };
        Some(FeedEntry {
            position,
            conversation: self.id,
            created_at: self.row.row(self.id).created_at,
            change,
        })
    }
}

pub(crate) fn feed_header(id: Uuid) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[0..8].copy_from_slice(FEED);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    header[12..16].copy_from_slice(&(ENTRY as u32).to_le_bytes());
    header[16..32].copy_from_slice(id.as_bytes());
    seal(&mut header);
    header
}

/// The feed's id.
pub(crate) fn read_feed_header(bytes: &[u8]) -> Option<Uuid> {
    let bytes: &[u8; HEADER] = bytes.try_into().ok()?;
    let id = Uuid::from_slice(&bytes[16..32]).ok()?;
    (*bytes == feed_header(id)).then_some(id)
}

/// A catalog as it stands at a position of a feed.
pub(crate) fn write_catalog(
    feed: Uuid,
    position: u64,
    rows: impl ExactSizeIterator<Item = (ConversationId, Compact)>,
) -> Vec<u8> {
    let mut bytes = vec![0; HEADER];
    bytes.reserve(rows.len() * ROW);
    let count = rows.len() as u64;
    for (id, row) in rows {
        bytes.extend_from_slice(id.0.as_bytes());
        bytes.extend_from_slice(&row.created.to_le_bytes());
        bytes.extend_from_slice(&row.updated.to_le_bytes());
        bytes.extend_from_slice(&row.len.to_le_bytes());
        bytes.extend_from_slice(&row.bytes.to_le_bytes());
        bytes.extend_from_slice(&u64::from(row.status).to_le_bytes());
    }
    let crc = crc32c::crc32c(&bytes[HEADER..]);
    let mut header = [0; HEADER];
    header[0..8].copy_from_slice(CATALOG);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    header[12..16].copy_from_slice(&(ROW as u32).to_le_bytes());
    header[16..32].copy_from_slice(feed.as_bytes());
    header[32..40].copy_from_slice(&position.to_le_bytes());
    header[40..48].copy_from_slice(&count.to_le_bytes());
    header[48..52].copy_from_slice(&crc.to_le_bytes());
    seal(&mut header);
    bytes[..HEADER].copy_from_slice(&header);
    bytes
}

/// The feed it belongs to, the position it is true of, and its rows.
pub(crate) fn read_catalog(
    bytes: &[u8],
) -> Option<(Uuid, u64, impl Iterator<Item = (ConversationId, Compact)>)> {
    let (header, rows) = bytes.split_first_chunk::<HEADER>()?;
    let ours = is_sealed(header)
        && header[0..8] == CATALOG[..]
        && header[8..12] == VERSION.to_le_bytes()
        && header[12..16] == (ROW as u32).to_le_bytes()
        && header[48..52] == crc32c::crc32c(rows).to_le_bytes()
        && number(header, 40) * ROW as u64 == rows.len() as u64;
    if !ours {
        return None;
    }
    let feed = Uuid::from_slice(&header[16..32]).ok()?;
    let row = |row: &[u8]| {
        let id = Uuid::from_slice(&row[0..16]).unwrap_or_default();
        let compact = Compact {
            created: number(row, 16) as i64,
            updated: number(row, 24) as i64,
            len: number(row, 32),
            bytes: number(row, 40),
            status: row[48],
        };
        (ConversationId(id), compact)
    };
    Some((feed, number(header, 32), rows.chunks_exact(ROW).map(row)))
}

fn number(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(number)
}

/// Puts a checksum of the first 60 bytes into the last four.
fn seal(bytes: &mut [u8; 64]) {
    let crc = crc32c::crc32c(&bytes[..60]);
    bytes[60..].copy_from_slice(&crc.to_le_bytes());
}

fn is_sealed(bytes: &[u8; 64]) -> bool {
    bytes[60..] == crc32c::crc32c(&bytes[..60]).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW_: Compact = Compact {
        created: 1,
        updated: -2,
        len: 3,
        bytes: 4,
        status: 5,
    };

    #[test]
    fn entries_and_catalogs_come_back_and_notice_every_flipped_bit() {
        let id = ConversationId(Uuid::from_u128(7));
        let entry = Entry {
            id,
            what: What::Grown,
            from: 1,
            row: ROW_,
        };
        let good = entry.encode();
        assert_eq!(Entry::decode(&good), Some(entry));
        assert_eq!(Entry::decode(&[0; ENTRY]), None);
        for bit in 0..ENTRY * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Entry::decode(&bad), None, "bit {bit}");
        }
        let feed = Uuid::from_u128(9);
        let good = write_catalog(feed, 11, [(id, ROW_), (id, ROW_)].into_iter());
        let (found, position, rows) = read_catalog(&good).unwrap();
        assert_eq!((found, position), (feed, 11));
        assert_eq!(rows.collect::<Vec<_>>(), [(id, ROW_), (id, ROW_)]);
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(read_catalog(&bad).is_none(), "bit {bit}");
        }
        assert!(read_catalog(&good[..good.len() - 1]).is_none());
        assert_eq!(read_feed_header(&feed_header(feed)), Some(feed));
    }
}
