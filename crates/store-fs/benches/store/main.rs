//! What the store costs: `cargo bench -p store-fs`, about three minutes, on the disk that holds the
//! target folder. A word after `--` runs only what has it in its name; `--quick` takes less time for
//! less certain figures.
//!
//! Criterion measures the pure reads. What is told as a ratio to a bare `write + fdatasync` loop takes
//! turns with that loop, and what happens once an opening is timed by hand. A table at the end sets
//! what has a bar beside it; a missed bar fails nothing.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on stops")]

mod append;
mod bench;
mod catalog;
mod follow;
mod lines;
mod memory;
mod open;
mod reads;
mod subject;
mod table;

use bench::Bench;

fn main() {
    if memory::is_measured_here() {
        return;
    }
    let mut bench = Bench::from_args();
    append::measure(&mut bench);
    open::measure(&mut bench);
    follow::measure(&mut bench);
    reads::measure(&mut bench);
    catalog::measure(&mut bench);
    memory::measure(&mut bench);
    bench.end();
}
