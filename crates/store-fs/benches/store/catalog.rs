//! The list of very many conversations.

use std::{fs, hint::black_box, path::PathBuf, time::Instant};

use core_model::{
    Catalog, Claims, ConversationId, ConversationOrder, ConversationState, ExecutionStatus, Extent,
    Snapshot,
    port::{ListPage, ListQuery},
};
use futures_util::FutureExt;
use store_fs::FsStore;
use tokio::runtime::Runtime;

use crate::{
    bench::{Bench, median, timed},
    subject::{metadata, store},
    table::Bar,
};

const PAGE: usize = 100;

pub(crate) fn measure(bench: &mut Bench) {
    if bench.wants("catalog/open") {
        let root = many(bench);
        let times = (0..bench.plan.rounds * 3).map(|_| {
            let (time, store) = timed(|| store(&root));
            assert_eq!(count(&store, None), bench.plan.conversations as u64);
            time.as_secs_f64() * 1e3
        });
        let time = median(times.collect());
        let name = format!("open a store of {} conversations", bench.plan.conversations);
        bench.table.add(name, time, "ms", Bar::Below(50.0));
    }
    let first = list(bench, "catalog/list, first page", |_| None);
    let deep = list(bench, "catalog/list, deep page", |ids| {
        ids.get(ids.len() / 2).copied()
    });
    if let (Some(first), Some(deep)) = (first, deep) {
        let name = format!("list {PAGE} conversations, first page");
        bench.table.add(name, first, "µs", Bar::Below(3000.0));
        let name = format!("list {PAGE} conversations, deep / first");
        bench.table.add(name, deep / first, "×", Bar::Below(2.0));
    }
    let count = measured(bench, "catalog/count of a status", |store| {
        black_box(count(store, Some(ExecutionStatus::Finished)));
    });
    if let Some(count) = count {
        bench
            .table
            .add("count conversations of a status", count, "µs", Bar::None);
    }
}

/// A store with very many conversations, whose folders were made without syncing each, and which was
/// closed cleanly.
pub(crate) fn many(bench: &Bench) -> PathBuf {
    let root = bench.folder.path().join("many");
    if root.exists() {
        return root;
    }
    let store = store(&root);
    for number in 0..bench.plan.conversations {
        let mut metadata = metadata(ConversationId::random());
        let mut state = ConversationState::new(&metadata);
        if number % 4 == 0 {
            state.execution_status = ExecutionStatus::Finished;
        }
        metadata.snapshot = Some(Snapshot {
            extent: Extent::default(),
            state,
        });
        let folder = store.folder(metadata.id);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("events.jsonl"), "").unwrap();
        let text = serde_json::to_vec(&metadata).unwrap();
        fs::write(folder.join("metadata.json"), text).unwrap();
    }
    let runtime = Runtime::new().unwrap();
    let unfit = runtime.block_on(store.orphans(1)).unwrap();
    assert!(unfit.is_empty());
    root
}

fn list(
    bench: &mut Bench,
    name: &str,
    first: impl Fn(&[ConversationId]) -> Option<ConversationId>,
) -> Option<f64> {
    let mut query = ListQuery {
        status: None,
        first: None,
        limit: usize::MAX,
        order: ConversationOrder::default(),
    };
    if bench.wants(name) {
        let store = store(&many(bench));
        let rows = page(&store, &query).rows;
        let ids: Vec<ConversationId> = rows.iter().map(|row| row.id).collect();
        query.first = first(&ids);
        query.limit = PAGE;
    }
    measured(bench, name, |store| {
        black_box(page(store, &query));
    })
}

/// From memory, which waits for nothing.
fn page(store: &FsStore, query: &ListQuery) -> ListPage {
    store.list(query).now_or_never().unwrap().unwrap()
}

fn count(store: &FsStore, status: Option<ExecutionStatus>) -> u64 {
    store.count(status).now_or_never().unwrap().unwrap()
}

/// The median in µs.
fn measured(bench: &mut Bench, name: &str, work: impl Fn(&FsStore)) -> Option<f64> {
    if !bench.wants(name) {
        return None;
    }
    let store = store(&many(bench));
    let mut samples = Vec::new();
    bench.criterion.bench_function(name, |bencher| {
        bencher.iter_custom(|times| {
            let begin = Instant::now();
            (0..times).for_each(|_| work(&store));
            let took = begin.elapsed();
            samples.push(took.as_secs_f64() * 1e6 / times as f64);
            took
        });
    });
    Some(median(samples))
}
