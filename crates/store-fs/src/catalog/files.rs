//! The bytes of `.feed`, `.catalog` and `.infos`: little endian, each with checksums. `docs/STORAGE.md` has the
//! tables.

use std::io;

use core_model::{
    ConversationId, Seq,
    port::{Change, FeedEntry},
};
use uuid::Uuid;

use super::{
    row::{CRC, Compact, Place},
    rows::Rows,
};
use crate::disk::{DiskFile, Wait, read_exact};

pub(crate) const HEADER: usize = 64;
/// Bytes of a feed's entry.
pub(crate) const ENTRY: usize = 64;
/// Bytes of a catalog's row.
pub(crate) const ROW: usize = 64;
/// Rows read at a time.
const STRETCH: usize = 1024;

const VERSION: u32 = 1;
const FEED: &[u8; 8] = b"evfeed\0\0";
const CATALOG: &[u8; 8] = b"evcatlog";
const INFOS: &[u8; 8] = b"evinfos\0";

/// What an entry of the feed is about. Numbers are on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Created = 0,
    Grown = 1,
    /// Its row changed, its log did not.
    Noted = 2,
    Deleted = 3,
}

/// One change, with the whole row after it. [`ENTRY`] bytes in `.feed`: the conversation's id (16), how long
/// its log was before (8) and is now (8), in bytes too (8), when it was updated and created (8 each,
/// microseconds since the epoch), its status (1), what happened (1), 2 zeros, the CRC-32C of all this (4).
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

    /// None when the bytes are not an entry.
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

/// Where the entry at this position is.
pub(crate) fn place(position: u64) -> u64 {
    HEADER as u64 + position * ENTRY as u64
}

/// The feed's header: `evfeed`, two zeros, the version (4), the size of an entry (4), the feed's id (16),
/// zeros, and in the last 4 of 64 bytes the CRC-32C of the others. Entries follow, the nth at
/// `64 + 64 n`.
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

/// What a catalog belongs to, and what it is true of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stand {
    pub(crate) feed: Uuid,
    /// The feed's length.
    pub(crate) position: u64,
    /// Names the `.infos` that its rows lead into; 0: none.
    pub(crate) infos: u64,
}

/// A catalog: a header of 64 bytes (`evcatlog`, the version (4), the size of a row (4), the feed's id (16),
/// the position (8), how many rows (8), their CRC-32C (4), the id of `.infos` (8), the CRC-32C of all this
/// (4)), then [`ROW`] bytes a row: the id, when it was created and updated
/// (microseconds since the epoch), how long its log is in lines and in bytes, where `.infos` has it and
/// how long that is (4 bytes), its status (1 byte), 3 zeros.
pub(crate) fn write_catalog<'a>(
    stand: &Stand,
    count: usize,
    rows: impl Iterator<Item = (ConversationId, Compact, Place)> + 'a,
) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + count * ROW);
    bytes.resize(HEADER, 0);
    for (id, row, info) in rows {
        bytes.extend_from_slice(id.0.as_bytes());
        bytes.extend_from_slice(&row.created.to_le_bytes());
        bytes.extend_from_slice(&row.updated.to_le_bytes());
        bytes.extend_from_slice(&row.len.to_le_bytes());
        bytes.extend_from_slice(&row.bytes.to_le_bytes());
        bytes.extend_from_slice(&info.at.to_le_bytes());
        bytes.extend_from_slice(&info.len.to_le_bytes());
        bytes.extend_from_slice(&[row.status, 0, 0, 0]);
    }
    let count = ((bytes.len() - HEADER) / ROW) as u64;
    let crc = crc32c::crc32c(&bytes[HEADER..]);
    let mut header = [0; HEADER];
    header[0..8].copy_from_slice(CATALOG);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    header[12..16].copy_from_slice(&(ROW as u32).to_le_bytes());
    header[16..32].copy_from_slice(stand.feed.as_bytes());
    header[32..40].copy_from_slice(&stand.position.to_le_bytes());
    header[40..48].copy_from_slice(&count.to_le_bytes());
    header[48..52].copy_from_slice(&crc.to_le_bytes());
    header[52..60].copy_from_slice(&stand.infos.to_le_bytes());
    seal(&mut header);
    bytes[..HEADER].copy_from_slice(&header);
    bytes
}

/// Reads a stored catalog a stretch at a time; none when it is damaged.
pub(crate) fn read_catalog(file: &dyn DiskFile) -> io::Result<Option<(Stand, Rows)>> {
    let len = file.len()?;
    let mut header = [0; HEADER];
    if len < HEADER as u64 {
        return Ok(None);
    }
    read_exact(file, &mut header, 0, Wait::Yes)?;
    let count = number(&header, 40);
    let ours = is_sealed(&header)
        && header[0..8] == CATALOG[..]
        && header[8..12] == VERSION.to_le_bytes()
        && header[12..16] == (ROW as u32).to_le_bytes()
        && count.checked_mul(ROW as u64) == Some(len - HEADER as u64);
    let Some(feed) = Uuid::from_slice(&header[16..32]).ok().filter(|_| ours) else {
        return Ok(None);
    };
    let mut rows = Rows::with_capacity(count as usize);
    let (mut crc, mut at) = (0, HEADER as u64);
    let mut bytes = vec![0; STRETCH * ROW];
    while at < len {
        let some = (len - at).min(bytes.len() as u64) as usize;
        read_exact(file, &mut bytes[..some], at, Wait::Yes)?;
        crc = crc32c::crc32c_append(crc, &bytes[..some]);
        for row in bytes[..some].chunks_exact(ROW) {
            let (id, row, info) = read_row(row);
            rows.push(id, &row, info);
        }
        at += some as u64;
    }
    if header[48..52] != crc.to_le_bytes() {
        return Ok(None);
    }
    rows.sort();
    let stand = Stand {
        feed,
        position: number(&header, 32),
        infos: number(&header, 52),
    };
    Ok(Some((stand, rows)))
}

fn read_row(row: &[u8]) -> (ConversationId, Compact, Place) {
    let id = Uuid::from_slice(&row[0..16]).unwrap_or_default();
    let compact = Compact {
        created: number(row, 16) as i64,
        updated: number(row, 24) as i64,
        len: number(row, 32),
        bytes: number(row, 40),
        status: row[60],
    };
    let info = Place {
        at: number(row, 48),
        len: number(row, 56) as u32,
    };
    (ConversationId(id), compact, info)
}

/// The header of `.infos`: `evinfos`, a zero, the version (4), 4 zeros, its id (8), zeros, and in the last 4
/// of 64 bytes the CRC-32C of the others. Behind it stand what lists show of conversations, each as the CRC-32C of the
/// conversation's id and its JSON (4 bytes), then the JSON. Only rows know where.
pub(crate) fn infos_header(id: u64, maker: u32) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[0..8].copy_from_slice(INFOS);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    header[12..16].copy_from_slice(&maker.to_le_bytes());
    header[16..24].copy_from_slice(&id.to_le_bytes());
    seal(&mut header);
    header
}

/// What is stored of a conversation in `.infos`.
pub(crate) fn infos_record(id: ConversationId, json: &[u8]) -> Vec<u8> {
    let mut record = Vec::with_capacity(CRC + json.len());
    record.extend_from_slice(&info_crc(id, json).to_le_bytes());
    record.extend_from_slice(json);
    record
}

/// Whether these are the bytes that were stored of this conversation.
pub(crate) fn is_info(id: ConversationId, record: &[u8]) -> bool {
    record
        .split_first_chunk::<CRC>()
        .is_some_and(|(crc, json)| *crc == info_crc(id, json).to_le_bytes())
}

fn info_crc(id: ConversationId, json: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(id.0.as_bytes()), json)
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
    use crate::disk::{Disk, Open, RealDisk};

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
        let stand = Stand {
            feed: Uuid::from_u128(9),
            position: 11,
            infos: 13,
        };
        let other = ConversationId(Uuid::from_u128(8));
        let rows = [
            (id, ROW_, Place { at: 6, len: 7 }),
            (other, ROW_, Place::default()),
        ];
        let good = write_catalog(&stand, 2, rows.into_iter());
        let read = |bytes: &[u8]| {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), bytes).unwrap();
            let file = RealDisk.open(file.path(), Open::Read).unwrap();
            read_catalog(file.as_ref()).unwrap()
        };
        let (found, back) = read(&good).unwrap();
        assert_eq!(found, stand);
        let back: Vec<_> = back.all().collect();
        assert_eq!(back, rows);
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&bad).is_none(), "bit {bit}");
        }
        assert!(read(&good[..good.len() - 1]).is_none());
        let info = infos_record(id, b"{}");
        assert!(is_info(id, &info) && !is_info(other, &info) && !is_info(id, &info[..5]));
        let feed = stand.feed;
        assert_eq!(read_feed_header(&feed_header(feed)), Some(feed));
    }
}
