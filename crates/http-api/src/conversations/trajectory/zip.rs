//! Writing a ZIP archive from its beginning to its end, without going back: APPNOTE.TXT 6.3.10.
//! <https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT>

use std::io::{self, Write};

use flate2::{Compression, Crc, write::DeflateEncoder};

const LOCAL_HEADER: u32 = 0x0403_4b50;
const CENTRAL_HEADER: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const END_64: u32 = 0x0606_4b50;
const END_64_LOCATOR: u32 = 0x0706_4b50;
/// 2.0: compression.
const VERSION: u16 = 20;
/// 4.5: more than 65,535 entries or 4 GiB.
const VERSION_64: u16 = 45;
/// Names are UTF-8.
const FLAGS: u16 = 1 << 11;
const DEFLATED: u16 = 8;
/// 1980-01-01, the first day that there is: entries have no times of their own.
const DATE: u16 = (1 << 5) | 1;
/// The field that holds sizes and places of more than 32 bits.
const EXTRA_64: u16 = 1;
/// "See the 64-bit field".
const MARK_16: u16 = u16::MAX;
const MARK_32: u32 = u32::MAX;

/// An archive that is being written. In memory is what its end repeats of each entry: 46 bytes and the name.
#[derive(Default)]
pub(super) struct ZipWriter {
    written: u64,
    entries: u64,
    central: Vec<u8>,
}

impl ZipWriter {
    /// The bytes of one more entry. `name`: at most 65,535 bytes.
    ///
    /// # Errors
    /// When the content has 4 GiB or more.
    pub(super) fn entry(&mut self, name: &str, content: &[u8]) -> io::Result<Vec<u8>> {
        let too_large = |_| io::Error::other("an entry of a ZIP archive is too large");
        let name_len = u16::try_from(name.len()).map_err(too_large)?;
        let mut crc = Crc::new();
        crc.update(content);
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(content)?;
        let packed = encoder.finish()?;
        let mut shared = Vec::with_capacity(26);
        for field in [FLAGS, DEFLATED, 0, DATE] {
            put_16(&mut shared, field);
        }
        put_32(&mut shared, crc.sum());
        for len in [packed.len(), content.len()] {
            let len = u32::try_from(len).map_err(too_large)?;
            put_32(&mut shared, len);
        }
        put_16(&mut shared, name_len);

        let mut bytes = Vec::with_capacity(30 + name.len() + packed.len());
        put_32(&mut bytes, LOCAL_HEADER);
        put_16(&mut bytes, VERSION);
        bytes.extend(&shared);
        put_16(&mut bytes, 0);
        bytes.extend(name.as_bytes());
        bytes.extend(packed);

        self.list(name, &shared);
        self.written += bytes.len() as u64;
        self.entries += 1;
        Ok(bytes)
    }

    /// Repeats an entry's header for the end.
    fn list(&mut self, name: &str, shared: &[u8]) {
        let central = &mut self.central;
        let near = u32::try_from(self.written).ok().filter(|at| *at < MARK_32);
        let version = if near.is_some() { VERSION } else { VERSION_64 };
        put_32(central, CENTRAL_HEADER);
        put_16(central, version);
        put_16(central, version);
        central.extend(shared);
        put_16(central, if near.is_some() { 0 } else { 12 });
        // No comment; the first disk; no attributes.
        central.extend([0; 10]);
        put_32(central, near.unwrap_or(MARK_32));
        central.extend(name.as_bytes());
        if near.is_none() {
            put_16(central, EXTRA_64);
            put_16(central, 8);
            put_64(central, self.written);
        }
    }

    /// The bytes after the last entry.
    pub(super) fn end(self) -> Vec<u8> {
        let (start, len) = (self.written, self.central.len() as u64);
        let mut bytes = self.central;
        let count = u16::try_from(self.entries).ok();
        let near = [len, start].map(|place| u32::try_from(place).ok());
        let count = count.filter(|count| *count < MARK_16);
        let is_small = count.is_some() && near.iter().flatten().all(|place| *place < MARK_32);
        if !is_small || near.contains(&None) {
            put_32(&mut bytes, END_64);
            put_64(&mut bytes, 44);
            put_16(&mut bytes, VERSION_64);
            put_16(&mut bytes, VERSION_64);
            put_64(&mut bytes, 0);
            for field in [self.entries, self.entries, len, start] {
                put_64(&mut bytes, field);
            }
            put_32(&mut bytes, END_64_LOCATOR);
            put_32(&mut bytes, 0);
            put_64(&mut bytes, start + len);
            put_32(&mut bytes, 1);
        }
        put_32(&mut bytes, END);
        put_32(&mut bytes, 0);
        for _ in 0..2 {
            put_16(&mut bytes, count.unwrap_or(MARK_16));
        }
        for place in near {
            put_32(&mut bytes, place.unwrap_or(MARK_32));
        }
        put_16(&mut bytes, 0);
        bytes
    }
}

fn put_16(bytes: &mut Vec<u8>, field: u16) {
    bytes.extend(field.to_le_bytes());
}

fn put_32(bytes: &mut Vec<u8>, field: u32) {
    bytes.extend(field.to_le_bytes());
}

fn put_64(bytes: &mut Vec<u8>, field: u64) {
    bytes.extend(field.to_le_bytes());
}

#[cfg(test)]
mod tests;
