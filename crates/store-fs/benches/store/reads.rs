//! Reads of a large log that is in the page cache.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use core_model::{HeadFilter, Limit, LogReader, Seq};
use store_fs::FsLog;

use crate::{
    bench::{Bench, median, timed},
    lines::{RARE, head},
    table::Bar,
};

const PAGE: usize = 100;
/// A page's place, and the share of the log before its end.
const PLACES: [(&str, f64); 3] = [("start", 0.0), ("middle", 0.5), ("end", 1.0)];

pub(crate) fn measure(bench: &mut Bench) {
    first_find(bench);
    pages(bench);
    others(bench);
}

/// The first search for an id looks at the whole index, once.
fn first_find(bench: &mut Bench) {
    if !bench.wants("find/first") {
        return;
    }
    let (store, log) = bench.large().open(&bench.runtime);
    drop(log);
    let id = head(bench.plan.events - 1).id;
    let times = (0..bench.plan.rounds).map(|_| {
        let opened = bench.runtime.block_on(store.open_log(bench.large().id));
        let log = opened.unwrap();
        let (time, found) = timed(|| bench.runtime.block_on(log.find(&id)).unwrap());
        assert!(found.is_some());
        time.as_secs_f64() * 1e3
    });
    let time = median(times.collect());
    bench
        .table
        .add("find by id, the first time", time, "ms", Bar::None);
}

fn pages(bench: &mut Bench) {
    let mut pages = Vec::new();
    for (place, share) in PLACES {
        let end = Seq(((bench.plan.events as f64 * share) as u64).max(PAGE as u64));
        let from = Seq(end.0 - PAGE as u64);
        let name = format!("page/forwards, {place}");
        let forwards = read(bench, &name, async move |log| {
            let page = log.read(from, Limit::records(PAGE)).await.unwrap();
            assert_eq!(page.len(), PAGE);
        });
        let name = format!("page/backwards, {place}");
        let backwards = read(bench, &name, async move |log| {
            let all = HeadFilter::default();
            let seqs = log.select(&all, Seq(0)..end, true, PAGE).await.unwrap();
            let page = log.read_at(&seqs, Limit::BYTES).await.unwrap();
            assert_eq!(page.len(), PAGE);
        });
        pages.push((forwards, backwards));
    }
    for (of, first, last) in [
        ("forwards", pages[0].0, pages[2].0),
        ("backwards", pages[0].1, pages[2].1),
    ] {
        if let (Some(first), Some(last)) = (first, last) {
            let name = format!("a page of {PAGE} {of}, at the end");
            bench.table.add(name, last, "µs", Bar::None);
            let name = format!("a page of {PAGE} {of}, end / start");
            bench.table.add(name, last / first, "×", Bar::Below(2.0));
        }
    }
}

fn others(bench: &mut Bench) {
    let events = bench.plan.events;
    let rare = HeadFilter {
        kinds: vec![RARE.to_owned()],
        ..HeadFilter::default()
    };
    let filter = rare.clone();
    let page = read(bench, "filter/a page of a rare kind", async move |log| {
        let all = Seq(0)..log.len();
        black_box(log.select(&filter, all, false, PAGE).await.unwrap());
    });
    let filter = rare.clone();
    let whole = read(bench, "filter/all of a rare kind", async move |log| {
        let all = Seq(0)..log.len();
        black_box(log.select(&filter, all, false, usize::MAX).await.unwrap());
    });
    let again = read(bench, "find/again", async move |log| {
        let id = head(events / 3).id;
        assert!(log.find(&id).await.unwrap().is_some());
    });
    let count = read(bench, "count/all", async |log| {
        black_box(log.count(&HeadFilter::default()).await.unwrap());
    });
    let kind = read(bench, "count/a rare kind", async move |log| {
        black_box(log.count(&rare).await.unwrap());
    });
    for (name, time) in [
        ("seqs of 100 events of a rare kind", page),
        ("seqs of all events of a rare kind", whole),
        ("find by id, again", again),
        ("count, no filter", count),
        ("count of a rare kind", kind),
    ] {
        if let Some(time) = time {
            bench.table.add(name, time, "µs", Bar::None);
        }
    }
}

/// Has criterion measure a read of the large log. The median in µs of its samples, if it is wanted.
fn read(bench: &mut Bench, name: &str, work: impl AsyncFn(&FsLog)) -> Option<f64> {
    if !bench.wants(name) {
        return None;
    }
    let (_store, log) = bench.large().open(&bench.runtime);
    let mut samples = Vec::new();
    let runtime = &bench.runtime;
    bench.criterion.bench_function(name, |bencher| {
        bencher.iter_custom(|times| {
            let took: Duration = runtime.block_on(async {
                let begin = Instant::now();
                for _ in 0..times {
                    work(&log).await;
                }
                begin.elapsed()
            });
            samples.push(took.as_secs_f64() * 1e6 / times as f64);
            took
        });
    });
    Some(median(samples))
}
