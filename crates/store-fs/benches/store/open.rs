//! Opening a log: with its index, and making that anew.

use crate::{
    bench::{Bench, median, timed},
    subject::{Subject, store, sync},
    table::Bar,
};

pub(crate) fn measure(bench: &mut Bench) {
    if bench.wants("open/good index") {
        let store = store(&bench.large().root);
        let times = (0..bench.plan.rounds * 5).map(|_| {
            let open = store.open_log(bench.large().id);
            let (time, log) = timed(|| bench.runtime.block_on(open).unwrap());
            drop(log);
            time.as_secs_f64() * 1e3
        });
        let time = median(times.collect());
        let name = format!("open a log of {} events", bench.plan.events);
        bench.table.add(name, time, "ms", Bar::Below(2.0));
    }
    if bench.wants("open/rebuild 300 B") {
        let rate = rebuild(bench, bench.large());
        let name = "index rebuild, 300 B a line";
        bench.table.add(name, rate, "MB/s", Bar::Above(400.0));
    }
    if bench.wants("open/rebuild 1.8 KB") {
        let root = bench.folder.path().join("wide");
        let wide = Subject::make(&root, bench.plan.wide_bytes / 1800, 1800);
        let rate = rebuild(bench, &wide);
        let name = "index rebuild, 1.8 KB a line";
        bench.table.add(name, rate, "MB/s", Bar::Above(700.0));
    }
}

/// MB a second.
fn rebuild(bench: &Bench, subject: &Subject) -> f64 {
    let store = store(&subject.root);
    let rates = (0..bench.plan.rounds).map(|_| {
        subject.forget_index();
        let open = store.open_log(subject.id);
        let (time, log) = timed(|| bench.runtime.block_on(open).unwrap());
        drop(log);
        sync(&subject.index());
        subject.bytes as f64 / 1e6 / time.as_secs_f64()
    });
    median(rates.collect())
}
