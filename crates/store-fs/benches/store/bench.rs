use std::{
    cell::OnceCell,
    env,
    time::{Duration, Instant},
};

use criterion::Criterion;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::{subject::Subject, table::Table};

/// How much is measured.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    /// In the large log.
    pub(crate) events: usize,
    pub(crate) conversations: usize,
    /// Bytes read by one rebuild of the other kind of log.
    pub(crate) wide_bytes: usize,
    /// How long appends are measured, each kind of them.
    pub(crate) appending: Duration,
    /// How often what is timed by hand is done.
    pub(crate) rounds: usize,
}

const FULL: Plan = Plan {
    events: 1_000_000,
    conversations: 50_000,
    wide_bytes: 180_000_000,
    appending: Duration::from_secs(12),
    rounds: 7,
};
const QUICK: Plan = Plan {
    wide_bytes: 60_000_000,
    appending: Duration::from_secs(2),
    rounds: 3,
    ..FULL
};
/// Only whether everything works.
const TEST: Plan = Plan {
    events: 300,
    conversations: 20,
    wide_bytes: 20_000,
    appending: Duration::ZERO,
    rounds: 1,
};

/// Arguments of criterion that stand alone.
const FLAGS: [&str; 8] = [
    "--bench",
    "--test",
    "--quick",
    "--list",
    "--exact",
    "--noplot",
    "--quiet",
    "--verbose",
];

pub(crate) struct Bench {
    pub(crate) plan: Plan,
    pub(crate) criterion: Criterion,
    pub(crate) table: Table,
    pub(crate) runtime: Runtime,
    pub(crate) folder: TempDir,
    wanted: Option<String>,
    shown: bool,
    large: OnceCell<Subject>,
}

impl Bench {
    pub(crate) fn from_args() -> Self {
        let args: Vec<String> = env::args().skip(1).collect();
        let has = |flag: &str| args.iter().any(|arg| arg == flag);
        // As criterion sees it: `cargo test` does not say `--bench`.
        let testing = has("--test") || has("--list") || !has("--bench");
        let plan = match (testing, has("--quick")) {
            (true, _) => TEST,
            (false, true) => QUICK,
            (false, false) => FULL,
        };
        // On the disk of the target folder: a temporary folder may be in memory.
        let folder = tempfile::Builder::new()
            .prefix("bench-")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .unwrap();
        let criterion = Criterion::default()
            .warm_up_time(Duration::from_millis(300))
            .measurement_time(Duration::from_millis(1500))
            .sample_size(20)
            .configure_from_args();
        Self {
            plan,
            criterion,
            table: Table::default(),
            runtime: tokio::runtime::Builder::new_multi_thread().build().unwrap(),
            folder,
            wanted: word(&args),
            shown: !testing,
            large: OnceCell::new(),
        }
    }

    /// Whether something of this name is to be measured.
    pub(crate) fn wants(&self, name: &str) -> bool {
        let wanted = self.wanted.as_deref();
        wanted.is_none_or(|word| name.contains(word))
    }

    /// The log with very many events; made at the first use.
    pub(crate) fn large(&self) -> &Subject {
        let make = || Subject::make(&self.folder.path().join("large"), self.plan.events, 300);
        self.large.get_or_init(make)
    }

    pub(crate) fn end(self) {
        self.criterion.final_summary();
        if self.shown {
            self.table.print();
        }
    }
}

/// The first argument that is neither a flag nor a flag's value.
fn word(args: &[String]) -> Option<String> {
    let mut before = "";
    for arg in args {
        let is_value = before.starts_with("--") && !FLAGS.contains(&before);
        if !arg.starts_with('-') && !is_value {
            return Some(arg.clone());
        }
        before = arg;
    }
    None
}

pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let begin = Instant::now();
    let done = work();
    (begin.elapsed(), done)
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
