use std::io::Read;

use flate2::read::DeflateDecoder;

use super::*;

fn read_16(bytes: &[u8], at: usize) -> usize {
    u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap()).into()
}

fn read_32(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

fn read_64(bytes: &[u8], at: usize) -> usize {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize
}

/// Names and contents, as the end of the archive leads to them.
fn read(archive: &[u8]) -> Vec<(String, Vec<u8>)> {
    let end = archive.len() - 22;
    assert_eq!(read_32(archive, end), END as usize);
    let (mut count, mut at) = (read_16(archive, end + 10), read_32(archive, end + 16));
    if count == MARK_16 as usize {
        let locator = end - 20;
        assert_eq!(read_32(archive, locator), END_64_LOCATOR as usize);
        let end = read_64(archive, locator + 8);
        assert_eq!(read_32(archive, end), END_64 as usize);
        (count, at) = (read_64(archive, end + 32), read_64(archive, end + 48));
    }
    let mut entries = Vec::new();
    for _ in 0..count {
        assert_eq!(read_32(archive, at), CENTRAL_HEADER as usize);
        let (packed, len) = (read_32(archive, at + 20), read_32(archive, at + 24));
        let (name_len, extra) = (read_16(archive, at + 28), read_16(archive, at + 30));
        let local = read_32(archive, at + 42);
        let name = String::from_utf8(archive[at + 46..at + 46 + name_len].to_vec()).unwrap();
        assert_eq!(read_32(archive, local), LOCAL_HEADER as usize);
        assert_eq!(&archive[local + 30..local + 30 + name_len], name.as_bytes());
        let start = local + 30 + name_len;
        let mut content = Vec::new();
        let mut decoder = DeflateDecoder::new(&archive[start..start + packed]);
        decoder.read_to_end(&mut content).unwrap();
        let mut crc = Crc::new();
        crc.update(&content);
        assert_eq!(
            (content.len(), crc.sum() as usize),
            (len, read_32(archive, at + 16))
        );
        entries.push((name, content));
        at += 46 + name_len + extra;
    }
    entries
}

fn written(entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut zip = ZipWriter::default();
    let mut archive = Vec::new();
    for (name, content) in entries {
        archive.extend(zip.entry(name, content).unwrap());
    }
    archive.extend(zip.end());
    archive
}

#[test]
fn what_was_written_is_read() {
    let entries = [
        ("a/empty".to_owned(), Vec::new()),
        ("a/ü.json".to_owned(), b"{}".to_vec()),
        ("a/long".to_owned(), vec![b'x'; 1 << 20]),
    ];
    let archive = written(&entries);
    assert!(archive.len() < 10_000, "{}", archive.len());
    assert_eq!(read(&archive), entries);
    assert_eq!(read(&written(&[])), []);
}

#[test]
fn there_may_be_more_entries_than_16_bits_count() {
    let entry = |at: usize| (format!("{at}"), Vec::new());
    for count in [65_534, 65_535, 65_536, 70_000] {
        let entries: Vec<(String, Vec<u8>)> = (0..count).map(entry).collect();
        assert_eq!(read(&written(&entries)), entries);
    }
}

#[test]
fn an_entry_beyond_4_gib_has_its_place_in_64_bits() {
    let mut zip = ZipWriter {
        written: u64::from(u32::MAX) + 5,
        ..ZipWriter::default()
    };
    zip.entry("far", b"x").unwrap();
    let end = zip.end();
    assert_eq!(read_32(&end, 42), MARK_32 as usize);
    assert_eq!((read_16(&end, 30), read_16(&end, 46 + 3)), (12, 1));
    assert_eq!(read_64(&end, 46 + 3 + 4), u32::MAX as usize + 5);
    assert_eq!(read_32(&end, 46 + 3 + 12), END_64 as usize);
}
