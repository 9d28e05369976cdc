use core_model::Seq;
use futures_util::StreamExt;

use crate::{
    bench::{Bench, median, timed},
    table::Bar,
};

/// One follower that reads what is there.
pub(crate) fn measure(bench: &mut Bench) {
    let (pages, stream) = ("follow/pages", "follow/stream");
    if !bench.wants(pages) && !bench.wants(stream) {
        return;
    }
    let (_store, log) = bench.large().open(&bench.runtime);
    let len = log.len();
    let rate = |read: &dyn Fn()| {
        let rates = (0..bench.plan.rounds).map(|_| len.0 as f64 / timed(read).0.as_secs_f64());
        median(rates.collect())
    };
    if bench.wants(pages) {
        let rate = rate(&|| {
            bench.runtime.block_on(async {
                let mut follow = log.follow(Seq(0));
                while follow.cursor() < len {
                    follow.next_page().await.unwrap();
                }
            });
        });
        let name = "follow, one follower, by pages";
        bench.table.add(name, rate, "records/s", Bar::Above(3e6));
    }
    if bench.wants(stream) {
        let rate = rate(&|| {
            bench.runtime.block_on(async {
                let mut follow = log.follow(Seq(0));
                while follow.cursor() < len {
                    follow.next().await.unwrap().unwrap();
                }
            });
        });
        let name = "follow, one follower, by records";
        bench.table.add(name, rate, "records/s", Bar::Above(3e6));
    }
}
