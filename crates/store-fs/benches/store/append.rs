//! Durable appends, each figure in turn with a bare `write + fdatasync` loop: a disk of its own mood
//! is then in both.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use core_model::{Catalog, ConversationId};
use store_fs::FsLog;

use crate::{
    bench::{Bench, median, timed},
    lines::record,
    subject::{metadata, store},
    table::Bar,
};

/// Bytes of a line, its line break included.
const WIDTH: usize = 400;
const APPENDERS: usize = 64;
/// What each of many appends in a round, and the bare loop in its turn.
const EACH: usize = 8;

pub(crate) fn measure(bench: &mut Bench) {
    if bench.wants("append/sequential") {
        sequential(bench);
    }
    if bench.wants("append/64 on one log") {
        together(bench, "64 appenders on one log", 1, 8.0);
    }
    if bench.wants("append/64 on 64 logs") {
        together(bench, "64 appenders on 64 logs", APPENDERS, 2.0);
    }
}

/// One append after the other, and as many bare ones in between.
fn sequential(bench: &mut Bench) {
    let root = bench.folder.path().join("sequential");
    let log = logs(bench, &root, 1).remove(0);
    let mut bare = Bare::new(&root);
    let time = bench.plan.appending;
    let task = async move {
        let (mut bares, mut ours) = (Vec::new(), Vec::new());
        let begin = Instant::now();
        let mut number = 0;
        while begin.elapsed() < time || number == 0 {
            let record = record(number, WIDTH - 1);
            // Whoever comes first after the other may fare better; so they change places.
            if number.is_multiple_of(2) {
                bares.push(bare.append());
            }
            let append = Instant::now();
            log.append(vec![record], None).await.unwrap();
            ours.push(append.elapsed());
            if !number.is_multiple_of(2) {
                bares.push(bare.append());
            }
            number += 1;
        }
        (micros(bares), micros(ours))
    };
    // A task like that of a conversation, not the thread that waits for it.
    let (bares, ours) = bench.runtime.block_on(bench.runtime.spawn(task)).unwrap();
    bench
        .table
        .add("bare write + fdatasync, median", bares, "µs", Bar::None);
    bench
        .table
        .add("one sequential append, median", ours, "µs", Bar::None);
    let name = "one sequential append / bare";
    bench.table.add(name, ours / bares, "×", Bar::Below(1.5));
}

/// Many at a time, in rounds that take turns with bare ones.
fn together(bench: &mut Bench, name: &str, count: usize, bar: f64) {
    let root = bench.folder.path().join(format!("together-{count}"));
    let logs: Arc<Vec<FsLog>> = Arc::new(logs(bench, &root, count));
    let mut bare = Bare::new(&root);
    let (mut ratios, mut rates) = (Vec::new(), Vec::new());
    let begin = Instant::now();
    let mut number = 0;
    while begin.elapsed() < bench.plan.appending || ratios.is_empty() {
        let bares = EACH * APPENDERS / 8;
        let bare_time: Duration = (0..bares).map(|_| bare.append()).sum();
        let work: Vec<_> = (0..APPENDERS)
            .map(|one| {
                let first = number + one * EACH;
                (0..EACH)
                    .map(|at| record(first + at, WIDTH - 1))
                    .collect::<Vec<_>>()
            })
            .collect();
        number += APPENDERS * EACH;
        let logs = Arc::clone(&logs);
        let (time, ()) = timed(|| {
            bench.runtime.block_on(async {
                let tasks: Vec<_> = work
                    .into_iter()
                    .enumerate()
                    .map(|(one, records)| {
                        let log = logs[one % logs.len()].clone();
                        tokio::spawn(async move {
                            for record in records {
                                log.append(vec![record], None).await.unwrap();
                            }
                        })
                    })
                    .collect();
                for task in tasks {
                    task.await.unwrap();
                }
            });
        });
        let rate = (APPENDERS * EACH) as f64 / time.as_secs_f64();
        rates.push(rate);
        ratios.push(rate / (bares as f64 / bare_time.as_secs_f64()));
    }
    bench.table.add(name, median(rates), "/s", Bar::None);
    let name = format!("{name} / bare rate");
    bench.table.add(name, median(ratios), "×", Bar::Above(bar));
}

fn logs(bench: &Bench, root: &Path, count: usize) -> Vec<FsLog> {
    let store = store(root);
    let make = || async {
        let id = ConversationId::random();
        store.create(&metadata(id)).await.unwrap();
        store.open_log(id).await.unwrap()
    };
    (0..count).map(|_| bench.runtime.block_on(make())).collect()
}

fn micros(times: Vec<Duration>) -> f64 {
    median(times.iter().map(|time| time.as_secs_f64() * 1e6).collect())
}

/// What a durable append costs at the least.
struct Bare {
    file: File,
    line: Vec<u8>,
}

impl Bare {
    fn new(folder: &Path) -> Self {
        let mut options = OpenOptions::new();
        let file = options.create(true).append(true).open(folder.join("bare"));
        Self {
            file: file.unwrap(),
            line: [vec![b'x'; WIDTH - 1], vec![b'\n']].concat(),
        }
    }

    fn append(&mut self) -> Duration {
        let begin = Instant::now();
        self.file.write_all(&self.line).unwrap();
        self.file.sync_data().unwrap();
        begin.elapsed()
    }
}
