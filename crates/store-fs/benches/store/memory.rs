//! Resident memory, each figure in a process of its own that has done nothing else.

use std::{env, fs, path::Path, process::Command};

use core_model::{HeadFilter, Limit, LogReader, Seq};
use tokio::runtime::Runtime;

use crate::{
    bench::{Bench, median},
    catalog,
    lines::head,
    subject::store,
    table::Bar,
};

const ARGUMENT: &str = "--memory-of";

pub(crate) fn measure(bench: &mut Bench) {
    let (opening, open, idle) = (
        "memory/opening",
        "memory/open log",
        "memory/idle conversation",
    );
    if bench.wants(opening) {
        let bytes = ask(bench, "opening", &bench.large().root.clone());
        let name = format!("memory to open a log of {} events", bench.plan.events);
        bench.table.add(name, bytes / 1e6, "MB", Bar::Below(2.0));
    }
    if bench.wants(open) {
        let bytes = ask(bench, "open", &bench.large().root.clone());
        let each = bytes / bench.plan.events as f64;
        let name = "memory of an open log that was searched, an event";
        bench.table.add(name, each, "B", Bar::Below(64.0));
    }
    if bench.wants(idle) {
        let bytes = ask(bench, "idle", &catalog::many(bench));
        let each = bytes / bench.plan.conversations as f64;
        let name = "memory of an idle conversation";
        bench.table.add(name, each, "B", Bar::Below(1024.0));
    }
}

/// Whether this is the process in which memory is measured; it then was.
pub(crate) fn is_measured_here() -> bool {
    let args: Vec<String> = env::args().collect();
    let Some(at) = args.iter().position(|arg| arg == ARGUMENT) else {
        return false;
    };
    let (what, root) = (&args[at + 1], Path::new(&args[at + 2]));
    // The runtime's threads are not what is to be measured.
    let runtime = Runtime::new().unwrap();
    runtime
        .block_on(async { tokio::task::spawn_blocking(|| ()).await })
        .unwrap();
    let used = match what.as_str() {
        "idle" => {
            let before = resident("RssAnon");
            let _store = store(root);
            resident("RssAnon").saturating_sub(before)
        }
        what => of_a_log(&runtime, root, what == "opening"),
    };
    println!("{used}");
    true
}

fn of_a_log(runtime: &Runtime, root: &Path, opening: bool) -> u64 {
    let store = store(root);
    let mut names = fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let id = names.find_map(|name| name.to_str()?.parse().ok()).unwrap();
    let (peak, before) = (resident("VmHWM"), resident("RssAnon"));
    let log = runtime.block_on(store.open_log(id)).unwrap();
    if opening {
        return resident("VmHWM").saturating_sub(peak);
    }
    runtime.block_on(async {
        let last = head(log.len().0 as usize - 1).id;
        assert!(log.find(&last).await.unwrap().is_some());
        log.count(&HeadFilter::default()).await.unwrap();
        log.read(Seq(0), Limit::records(100)).await.unwrap();
    });
    resident("RssAnon").saturating_sub(before)
}

/// Bytes; the median of some.
fn ask(bench: &Bench, what: &str, root: &Path) -> f64 {
    let used = (0..bench.plan.rounds.min(3)).map(|_| {
        let mut command = Command::new(env::current_exe().unwrap());
        let output = command.args([ARGUMENT, what]).arg(root).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.trim().parse::<f64>().unwrap()
    });
    median(used.collect())
}

/// Bytes, by a line of `/proc/self/status`.
fn resident(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .unwrap();
    let number = line.split_whitespace().nth(1).unwrap();
    number.parse::<u64>().unwrap() * 1024
}
