//! Measures what a step costs beside the model as a conversation grows: a turn of 1,000 steps with a model
//! that answers at once and reads nothing. Prints for each wire format, around step 20 and step 1,000:
//!
//! - the time from the model's answer to the last byte of the next request. It holds the tool call, two
//!   commits, whose syncs the disk decides on, and the sending of the whole context;
//! - the processor time of the server in that time, which has the bar: without what sending a request of
//!   this size costs by itself, because that cannot be avoided;
//! - the server's memory, which may grow by the context.
//!
//! Fails when a bar is not met.
//!
//! ```text
//! cargo build --release --bin agent-server
//! cargo run --release --example bench_steps [-- --rounds N] [--server PATH] [FORMAT…]
//! ```

mod model;
mod server;

use std::{
    error::Error,
    io::Write,
    net::{Ipv4Addr, TcpStream},
    ops::Range,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use model::{Answered, FORMATS, InstantModel};
use server::ServerProcess;

/// Processor time near the last step beside that near step 20, both without sending.
const MOST_TIMES: f64 = 1.2;
/// Resident memory may grow by so many times the bytes of the last request, and
const MOST_TIMES_CONTEXT: f64 = 6.0;
/// by this in any case.
const FREE_GROWTH: u64 = 8 << 20;

const STEPS: usize = 1_000;
const EARLY: Range<usize> = 10..30;
const LATE: Range<usize> = STEPS - 20..STEPS;
/// Bodies of one size that are sent to learn what sending alone costs.
const BARE_SENDS: usize = 21;
const ROUNDS: usize = 3;

struct Arguments {
    rounds: usize,
    server: PathBuf,
    formats: Vec<String>,
}

/// The cost of a step around one place of a conversation.
#[derive(Clone, Copy)]
struct Cost {
    /// Median milliseconds until the next request was read.
    wall: f64,
    /// Mean milliseconds that the server's threads were running.
    processor: f64,
    request_bytes: usize,
    /// Resident bytes of the server.
    memory: u64,
    /// Milliseconds that it takes to send such a request and nothing else.
    sending: f64,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments = arguments()?;
    let mut missed = false;
    println!(
        "overhead of a step, without the model        step {:>4}  step {STEPS:>5}   ratio  bar",
        (EARLY.start + EARLY.end) / 2
    );
    for format in &arguments.formats {
        let mut rounds = Vec::new();
        for _ in 0..arguments.rounds {
            rounds.push(round(&arguments.server, format)?);
        }
        // The round with the median ratio.
        rounds.sort_by(|a, b| times(a).total_cmp(&times(b)));
        let (early, late) = rounds[rounds.len() / 2];
        row(format, "until the next request, ms", early.wall, late.wall);
        println!("{:>8.2}", late.wall / early.wall);
        row(format, "sending alone, ms", early.sending, late.sending);
        println!();
        let times = times(&(early, late));
        missed |= times > MOST_TIMES;
        row(
            format,
            "processor time, ms",
            early.processor,
            late.processor,
        );
        println!("{:>8.2}", late.processor / early.processor);
        row(format, "without sending, ms", early.own(), late.own());
        println!("{times:>8.2}  ≤ {MOST_TIMES}");
        let kilobytes = |cost: Cost| cost.request_bytes as f64 / 1024.0;
        row(format, "request, KB", kilobytes(early), kilobytes(late));
        println!();
        let grown = late.memory.saturating_sub(early.memory);
        let context = late.request_bytes as f64;
        let most = MOST_TIMES_CONTEXT * context + FREE_GROWTH as f64;
        missed |= grown as f64 > most;
        let megabytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        row(
            format,
            "resident memory, MB",
            megabytes(early.memory),
            megabytes(late.memory),
        );
        println!("{:>8}  ≤ +{:.1} MB", "", most / f64::from(1 << 20));
    }
    if missed {
        eprintln!("a bar is not met");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

fn row(format: &str, what: &str, early: f64, late: f64) {
    print!("{format:<10} {what:<32} {early:>10.2} {late:>11.2}");
}

impl Cost {
    /// Milliseconds of processor time without sending.
    fn own(&self) -> f64 {
        self.processor - self.sending
    }
}

fn times((early, late): &(Cost, Cost)) -> f64 {
    late.own() / early.own()
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let examples = std::env::current_exe()?;
    let examples = examples.parent().unwrap_or(Path::new("."));
    let mut arguments = Arguments {
        rounds: ROUNDS,
        server: examples.join("../agent-server"),
        formats: Vec::new(),
    };
    let mut given = std::env::args().skip(1);
    while let Some(argument) = given.next() {
        match argument.as_str() {
            "--rounds" => {
                arguments.rounds = given.next().unwrap_or_default().parse::<usize>()?.max(1)
            }
            "--server" => arguments.server = given.next().unwrap_or_default().into(),
            format if FORMATS.contains(&format) => arguments.formats.push(argument),
            other => return Err(format!("{other}: unknown; formats are {FORMATS:?}").into()),
        }
    }
    if arguments.formats.is_empty() {
        arguments.formats = FORMATS.map(str::to_owned).into();
    }
    Ok(arguments)
}

/// One conversation of [`STEPS`] steps, with a server of its own.
fn round(program: &Path, format: &str) -> Result<(Cost, Cost), Box<dyn Error>> {
    let server = ServerProcess::start(program)?;
    let model = InstantModel::start(format, STEPS, server.id())?;
    server.run_conversation(&model.settings())?;
    let answered = model.answered();
    let early = cost(&answered, EARLY, &model)?;
    let late = cost(&answered, LATE, &model)?;
    Ok((early, late))
}

fn cost(
    answered: &[Answered],
    steps: Range<usize>,
    model: &InstantModel,
) -> Result<Cost, Box<dyn Error>> {
    let shown = answered
        .get(steps.start..=steps.end)
        .ok_or("the turn ended early")?;
    let mut gaps: Vec<f64> = shown
        .windows(2)
        .map(|pair| (pair[1].asked - pair[0].answered).as_secs_f64() * 1e3)
        .collect();
    let last = &shown[shown.len() - 1];
    let processor = last
        .processor_nanos
        .saturating_sub(shown[0].processor_nanos);
    Ok(Cost {
        wall: median(&mut gaps),
        processor: processor as f64 / 1e6 / gaps.len() as f64,
        request_bytes: last.body_bytes,
        memory: last.resident_bytes,
        sending: sending(model, last.body_bytes)?,
    })
}

/// The milliseconds between the first byte's sending and the last one's arrival, for a request of so many
/// bytes.
fn sending(model: &InstantModel, bytes: usize) -> Result<f64, Box<dyn Error>> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, model.port()))?;
    stream.set_nodelay(true)?;
    let head = format!("POST /bare HTTP/1.1\r\nHost: localhost\r\nContent-Length: {bytes}\r\n\r\n");
    let mut request = head.into_bytes();
    request.resize(request.len() + bytes, b' ');
    let mut took = Vec::new();
    for _ in 0..BARE_SENDS {
        let begin = Instant::now();
        stream.write_all(&request)?;
        took.push((model.bare_request()? - begin).as_secs_f64() * 1e3);
    }
    Ok(median(&mut took))
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
