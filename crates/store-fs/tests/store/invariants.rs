//! What holds of a store whatever is found in its files. The fuzz targets check the same.

use std::{
    fs,
    path::{Path, PathBuf},
};

use arbitrary::Arbitrary;
use core_model::{
    Catalog, Claims, ConversationId, ExecutionStatus, Extent, HeadFilter, Limit, LogReader, Record,
    Row, Seq, UtcTime,
    port::{Feed, ListQuery, Receipts},
};
use serde_json::{Value, json};
use store_fs::{FileReader, FsLog, FsStore, IndexState, Options, ReadError, verify};
use tokio::runtime::Runtime;

const KINDS: [&str; 4] = ["MessageEvent", "ActionEvent", "ShinyNewEvent", "PauseEvent"];

/// A part of a log's text.
#[derive(Arbitrary, Clone, Debug)]
pub(crate) enum Piece {
    Event {
        number: u8,
        width: u8,
    },
    /// A beginning of an event's line, with a line break.
    Short {
        number: u8,
        at: u8,
    },
    Line(Vec<u8>),
    Bytes(Vec<u8>),
}

/// What happens to a file.
#[derive(Arbitrary, Clone, Debug)]
pub(crate) enum Harm {
    None,
    Missing,
    Cut(u16),
    Flip(u16, u8),
    Longer(Vec<u8>),
    Other(Vec<u8>),
}

/// A log with its index, what happens to them while no store is open, and what is in them then.
#[derive(Arbitrary, Clone, Debug)]
pub(crate) struct Case {
    before: Vec<Piece>,
    cut: Option<u16>,
    after: Vec<Piece>,
    flip: Option<(u16, u8)>,
    index: Harm,
    metadata: Harm,
}

/// The files of a store that are about all conversations.
#[derive(Arbitrary, Clone, Debug)]
pub(crate) struct Sidecars {
    /// Modulo 8.
    rows: u8,
    feed: Harm,
    catalog: Harm,
    receipts: Harm,
    closed: bool,
}

/// A reader yields each whole line once, in order and with its place, and what is left over.
pub(crate) fn check_reader(text: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    fs::write(&path, text).unwrap();
    let mut reader = FileReader::open(&path).unwrap();
    let (whole, rest) = text.split_at(whole(text));
    let mut place = 0;
    for (line, wanted) in lines(whole).into_iter().zip(0..) {
        match reader.next() {
            Some(Ok(record)) => {
                assert_eq!((record.seq, &record.bytes[..]), (Seq(wanted), line));
                let value: Value = serde_json::from_slice(line).unwrap();
                assert_eq!(value["id"], record.head.id.as_str());
                assert_eq!(value["kind"], *record.head.kind);
                let time = value["timestamp"].as_str().unwrap();
                assert_eq!(time.parse(), Ok(record.head.timestamp));
            }
            Some(Err(ReadError::Damaged { seq, offset, .. })) => {
                assert_eq!((seq, offset), (Seq(wanted), place));
                assert!(!is_ours(line), "an event is called damaged");
            }
            other => panic!("line {wanted}: {other:?}"),
        }
        place += line.len() as u64 + 1;
    }
    match reader.next() {
        None => assert!(rest.is_empty()),
        Some(Err(ReadError::Torn { offset, bytes, .. })) => {
            assert_eq!((offset, &bytes[..]), (place, rest));
        }
        Some(other) => panic!("after the last line: {other:?}"),
    }
    assert!(reader.next().is_none());
}

/// The text of these pieces.
pub(crate) fn text(pieces: &[Piece]) -> Vec<u8> {
    pieces.iter().flat_map(Piece::text).collect()
}

/// Opening keeps every whole line and what is torn, serves what is an event, and takes new ones.
pub(crate) fn check_recovery(case: &Case) {
    let root = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let id = ConversationId("c9aecf55-91d2-4e3c-b878-fac3156a43c7".parse().unwrap());
    let folder = root.path().join(id.to_string());
    let path = folder.join("events.jsonl");
    let store = FsStore::open(root.path(), Options::default()).unwrap();
    let metadata = crate::support::metadata(id);
    runtime.block_on(store.create(&metadata)).unwrap();
    fs::write(&path, text(&case.before)).unwrap();
    drop(runtime.block_on(store.open_log(id)).unwrap());
    drop(store);

    let aside = torn(&folder);
    let before = fs::read(&path).unwrap();
    case.harm(&path);
    case.index.apply(&folder.join("events.idx"));
    case.metadata.apply(&folder.join("metadata.json"));
    let mut found = fs::read(&path).unwrap();
    let as_found = found.clone();
    if let (Some(last), Harm::None) = (found.last_mut(), &case.index) {
        // The index knows that a last event ends where another byte stands now.
        let harmed = std::mem::replace(last, b'\n');
        let event = lines(&found).last().is_some_and(|line| is_ours(line));
        if found != before || !event {
            found.pop();
            found.push(harmed);
        }
    }
    let (whole, rest) = found.split_at(whole(&found));

    let store = FsStore::open(root.path(), Options::default()).unwrap();
    let log = match runtime.block_on(store.open_log(id)) {
        Ok(log) => log,
        Err(error) => {
            assert!(!matches!(case.metadata, Harm::None), "{error}");
            assert_eq!(
                fs::read(&path).unwrap(),
                as_found,
                "changed, but not opened"
            );
            return;
        }
    };
    assert_eq!(
        fs::read(&path).unwrap(),
        whole,
        "whole lines stay as they are"
    );
    let kept: Vec<Vec<u8>> = torn(&folder).into_iter().skip(aside.len()).collect();
    if rest.is_empty() {
        assert!(kept.is_empty())
    } else {
        assert_eq!(kept, [rest], "what is torn is kept")
    }
    let records = read(&runtime, &log);
    if case.is_plain() {
        check_contents(&runtime, &log, &records, &path);
    }
    for record in &records {
        let line = [&record.bytes[..], b"\n"].concat();
        let all = fs::read(&path).unwrap();
        assert!(
            all.windows(line.len()).any(|window| window == line),
            "an event of nowhere"
        );
    }

    let new = crate::support::message(77);
    let len = log.len();
    let appended = runtime.block_on(log.append(vec![new.clone()], Some(len)));
    assert_eq!(appended.unwrap(), len.after(1));
    let expected = [whole, &new.bytes[..], b"\n"].concat();
    assert_eq!(fs::read(&path).unwrap(), expected);
    let served = read(&runtime, &log);
    assert_eq!(served.last().map(|record| &record.bytes), Some(&new.bytes));
    assert_eq!(served[..served.len() - 1], records);
    drop((log, store));

    let store = FsStore::open(root.path(), Options::default()).unwrap();
    let log = runtime.block_on(store.open_log(id)).unwrap();
    assert_eq!((log.len(), read(&runtime, &log)), (len.after(1), served));
    assert_eq!(torn(&folder).len(), aside.len() + kept.len());
}

/// A store opens whatever became of its files, and keeps what it is told then.
pub(crate) fn check_sidecars(case: &Sidecars) {
    let conversations = case.rows % 8;
    let root = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let (key, request) = ([1; 32], [2; 32]);
    let store = FsStore::open(root.path(), Options::default()).unwrap();
    for number in 0..conversations {
        let mut metadata = crate::support::metadata(row(number).id);
        metadata.created_at = row(number).created_at;
        let folder = store.folder(metadata.id);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("events.jsonl"), b"\x00\x01\x02\x03\x04\x05\n").unwrap();
        fs::write(
            folder.join("metadata.json"),
            serde_json::to_vec(&metadata).unwrap(),
        )
        .unwrap();
        runtime.block_on(async {
            let mut writer = crate::support::claim(&store, metadata.id).await.log;
            let summary = crate::support::summary(ExecutionStatus::Idle);
            writer.append(Vec::new(), summary).await.unwrap();
        });
    }
    let count = runtime.block_on(store.count(None)).unwrap();
    assert_eq!(count, u64::from(conversations));
    runtime.block_on(async {
        store.begin(key, request).await.unwrap();
        store.finish(key, "answer".into()).await.unwrap();
        store.feed_len().await.unwrap();
    });
    drop(store);
    case.feed.apply(&root.path().join(".feed"));
    case.catalog.apply(&root.path().join(".catalog"));
    for file in fs::read_dir(root.path().join(".receipts")).unwrap() {
        case.receipts.apply(&file.unwrap().path());
    }
    if !case.closed {
        Harm::Missing.apply(&root.path().join(".closed"));
    }

    let store = FsStore::open(root.path(), Options::default()).unwrap();
    let listed = |store: &FsStore| {
        let limit = usize::MAX;
        runtime.block_on(async {
            let query = ListQuery { limit, ..query() };
            let rows = store.list(&query).await.unwrap().rows;
            assert_eq!(rows.len() as u64, store.count(None).await.unwrap());
            rows
        })
    };
    listed(&store);
    runtime.block_on(async {
        // The answer, or no answer; never another one.
        let receipt = store.begin(key, request).await.unwrap();
        if matches!(case.receipts, Harm::None) {
            assert_eq!(receipt.answer.as_deref(), Some(&b"answer"[..]));
        }
        let mut from = 0;
        while let Some(last) = store.feed_entries(from, 100).await.unwrap().last() {
            assert!(last.position >= from);
            from = last.position + 1;
        }
    });
    runtime.block_on(store.orphans(usize::MAX)).unwrap();
    assert_eq!(
        runtime.block_on(store.count(None)).unwrap(),
        u64::from(conversations),
        "the look through the folder finds them all"
    );
    let new = crate::support::metadata(row(255).id);
    runtime.block_on(store.create(&new)).unwrap();
    let rows = listed(&store);
    assert_eq!(rows.len(), usize::from(conversations) + 1);
    drop(store);
    let store = FsStore::open(root.path(), Options::default()).unwrap();
    assert_eq!(listed(&store), rows);
}

impl Piece {
    fn text(&self) -> Vec<u8> {
        match self {
            Self::Event { number, width } => {
                let mut line = event(*number, *width);
                line.push(b'\n');
                line
            }
            Self::Short { number, at } => {
                let mut line = event(*number, 0);
                line.truncate(usize::from(*at));
                line.push(b'\n');
                line
            }
            Self::Line(bytes) => [bytes, &b"\n"[..]].concat(),
            Self::Bytes(bytes) => bytes.clone(),
        }
    }
}

impl Harm {
    fn apply(&self, path: &Path) {
        let Ok(mut bytes) = fs::read(path) else {
            return;
        };
        match self {
            Self::None => return,
            Self::Missing => return fs::remove_file(path).unwrap(),
            Self::Cut(at) => bytes.truncate(usize::from(*at)),
            Self::Flip(at, bit) => flip(&mut bytes, *at, *bit),
            Self::Longer(more) => bytes.extend(more),
            Self::Other(other) => bytes.clone_from(other),
        }
        fs::write(path, bytes).unwrap();
    }
}

impl Case {
    /// Whether the log only grew, or only lost its end: then nothing of it is damaged.
    fn is_plain(&self) -> bool {
        self.flip.is_none() && (self.cut.is_none() || self.after.is_empty())
    }

    fn harm(&self, path: &Path) {
        let mut bytes = fs::read(path).unwrap();
        if let Some(cut) = self.cut {
            let left = bytes.len().saturating_sub(usize::from(cut));
            bytes.truncate(left);
        }
        bytes.extend(text(&self.after));
        if let Some((at, bit)) = self.flip {
            flip(&mut bytes, at, bit);
        }
        fs::write(path, bytes).unwrap();
    }
}

/// The log says what its file says, whichever way it is asked.
fn check_contents(runtime: &Runtime, log: &FsLog, records: &[Record], path: &Path) {
    let mut expected = Vec::new();
    let mut damaged = Vec::new();
    for item in FileReader::open(path).unwrap() {
        match item {
            Ok(record) => expected.push(record),
            Err(ReadError::Damaged { seq, .. }) => damaged.push(seq.0),
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(records, expected);
    assert_eq!(log.len().0 as usize, expected.len() + damaged.len());
    runtime.block_on(async {
        let all = HeadFilter::default();
        let count = log.count(&all).await.unwrap();
        assert_eq!(count as usize, expected.len());
        for record in &expected {
            let first = expected
                .iter()
                .find(|other| other.head.id == record.head.id);
            let found = log.find(&record.head.id).await.unwrap();
            assert_eq!(found, first.map(|first| first.seq));
        }
        for kind in KINDS {
            let filter = HeadFilter {
                kinds: vec![kind.to_owned()],
                ..HeadFilter::default()
            };
            let found = log
                .select(&filter, Seq(0)..log.len(), true, usize::MAX)
                .await;
            let of_kind = expected
                .iter()
                .rev()
                .filter(|record| record.head.kind == kind);
            let seqs: Vec<Seq> = of_kind.map(|record| record.seq).collect();
            assert_eq!(found.unwrap(), seqs);
        }
    });
    let report = verify(path.parent().unwrap(), |_| {}).unwrap();
    assert_eq!(report.lines, log.len().0);
    assert_eq!((report.torn, &report.index), (None, &IndexState::Right));
    let seqs: Vec<u64> = report.damaged.iter().map(|damage| damage.seq).collect();
    assert_eq!(seqs, damaged);
}

fn read(runtime: &Runtime, log: &FsLog) -> Vec<Record> {
    let mut records: Vec<Record> = Vec::new();
    loop {
        let from = records.last().map_or(Seq(0), |record| record.seq.after(1));
        let page = runtime.block_on(log.read(from, Limit::records(5))).unwrap();
        if page.is_empty() {
            return records;
        }
        assert!(page.iter().all(|record| record.seq >= from));
        assert!(page.is_sorted_by(|one, next| one.seq < next.seq));
        records.extend(page);
    }
}

fn event(number: u8, width: u8) -> Vec<u8> {
    let id = match number % 3 {
        0 => format!("c9aecf55-91d2-4e3c-b878-fac3156a43{number:02x}"),
        1 => format!("C9AECF55-91D2-4E3C-B878-FAC3156A43{number:02X}"),
        _ => format!("event-{number}"),
    };
    let kind = KINDS[usize::from(number) % KINDS.len()];
    let value = json!({
        "id": id, "kind": kind, "source": "user", "timestamp": "2026-11-22T19:31:36.469689",
        "text": "x".repeat(usize::from(width) * 8),
    });
    serde_json::to_vec(&value).unwrap()
}

/// Whether [`event`] makes this line.
fn is_ours(line: &[u8]) -> bool {
    (0..=u8::MAX).any(|number| line == event(number, 0))
}

fn flip(bytes: &mut [u8], at: u16, bit: u8) {
    let len = bytes.len().max(1);
    if let Some(byte) = bytes.get_mut(usize::from(at) % len) {
        *byte ^= 1 << (bit % 8);
    }
}

/// Where the last whole line ends.
fn whole(text: &[u8]) -> usize {
    text.iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1)
}

/// Lines without their line breaks.
fn lines(whole: &[u8]) -> Vec<&[u8]> {
    let lines = whole.split_inclusive(|byte| *byte == b'\n');
    lines.map(|line| &line[..line.len() - 1]).collect()
}

/// What was moved aside, the oldest first.
fn torn(folder: &Path) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.to_string_lossy().contains("events.jsonl.torn-"));
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

fn row(number: u8) -> Row {
    let time = UtcTime(
        format!("2026-11-22T19:31:{:02}Z", number % 60)
            .parse()
            .unwrap(),
    );
    Row {
        id: ConversationId(uuid::Uuid::from_u128(u128::from(number))),
        created_at: time,
        updated_at: time,
        status: ExecutionStatus::Idle,
        extent: Extent {
            len: Seq(u64::from(number)),
            version: 7,
        },
        bytes: 7,
    }
}

fn query() -> ListQuery {
    ListQuery {
        status: None,
        first: None,
        limit: 10,
        order: core_model::ConversationOrder::Created,
    }
}
