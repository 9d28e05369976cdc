//! Measures what a start costs: the time from exec to the first 200 on `/ready`, and the resident
//! memory two seconds later, for this server and for a minimal actix server in turn, in the same
//! run. Prints the medians, and fails when a bar is not met.
//!
//! ```text
//! cargo build --release --bin agent-server --example minimal_actix
//! cargo run --release --example bench_start [-- RUNS]
//! ```

use std::{
    fs,
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

const MOST_TIMES_MINIMAL: f64 = 2.5;
const MOST_MEGABYTES: f64 = 12.0;

const RUNS: usize = 7;
const SETTLED_AFTER: Duration = Duration::from_secs(2);
const GIVE_UP: Duration = Duration::from_secs(30);
const BETWEEN_TRIES: Duration = Duration::from_micros(200);

/// One start.
struct Start {
    millis: f64,
    megabytes: f64,
}

fn main() -> io::Result<ExitCode> {
    let runs = std::env::args().nth(1).and_then(|runs| runs.parse().ok());
    let runs: usize = runs.unwrap_or(RUNS).max(1);
    let examples = std::env::current_exe()?;
    let examples = examples.parent().unwrap_or(Path::new("."));
    let ours = examples.join("../agent-server");
    let minimal = examples.join("minimal_actix");

    let (mut of_ours, mut of_minimal) = (Vec::new(), Vec::new());
    for run in 0..=runs {
        let pair = (start_ours(&ours)?, start_minimal(&minimal)?);
        // The first run warms the page cache.
        if run > 0 {
            of_ours.push(pair.0);
            of_minimal.push(pair.1);
        }
    }
    let (ours, minimal) = (medians(&of_ours), medians(&of_minimal));
    let times = ours.millis / minimal.millis;
    println!(
        "median of {runs} runs   exec to /ready   memory after {} s",
        SETTLED_AFTER.as_secs()
    );
    println!(
        "agent-server       {:>11.1} ms   {:>11.1} MB",
        ours.millis, ours.megabytes
    );
    println!(
        "minimal actix      {:>11.1} ms   {:>11.1} MB",
        minimal.millis, minimal.megabytes
    );
    println!(
        "bar                {times:>8.2} ≤ {MOST_TIMES_MINIMAL} ×   {:>7.1} < {MOST_MEGABYTES} MB",
        ours.megabytes
    );
    if times > MOST_TIMES_MINIMAL || ours.megabytes >= MOST_MEGABYTES {
        eprintln!("a bar is not met");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

fn start_ours(program: &PathBuf) -> io::Result<Start> {
    let folder = tempfile::tempdir()?;
    let port = free_port()?;
    let mut command = Command::new(program);
    command
        .args(["--host", "127.0.0.1", "--port", &port.to_string()])
        .current_dir(folder.path());
    measure(&mut command, port)
}

fn start_minimal(program: &PathBuf) -> io::Result<Start> {
    let port = free_port()?;
    measure(Command::new(program).arg(port.to_string()), port)
}

fn measure(command: &mut Command, port: u16) -> io::Result<Start> {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let begin = Instant::now();
    let mut child = command.spawn()?;
    let outcome = wait_until_ready(&mut child, port).and_then(|()| {
        let millis = begin.elapsed().as_secs_f64() * 1e3;
        sleep(SETTLED_AFTER);
        Ok(Start {
            millis,
            megabytes: resident(child.id())?,
        })
    });
    child.kill()?;
    child.wait()?;
    outcome
}

fn wait_until_ready(child: &mut Child, port: u16) -> io::Result<()> {
    let begin = Instant::now();
    while !is_ready(port) {
        if let Some(status) = child.try_wait()? {
            return Err(io::Error::other(format!(
                "the server ended early: {status}"
            )));
        }
        if begin.elapsed() > GIVE_UP {
            return Err(io::Error::other("the server is not ready after 30 s"));
        }
        sleep(BETWEEN_TRIES);
    }
    Ok(())
}

fn is_ready(port: u16) -> bool {
    let ask = || -> io::Result<bool> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.write_all(b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer.starts_with(b"HTTP/1.1 200"))
    };
    ask().unwrap_or(false)
}

/// `VmRSS`, in megabytes of 1024 × 1024 bytes.
fn resident(pid: u32) -> io::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kilobytes = status.lines().find_map(|line| {
        line.strip_prefix("VmRSS:")?
            .trim()
            .strip_suffix(" kB")?
            .parse::<f64>()
            .ok()
    });
    let kilobytes = kilobytes.ok_or_else(|| io::Error::other("no VmRSS in /proc/…/status"))?;
    Ok(kilobytes / 1024.0)
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

fn medians(starts: &[Start]) -> Start {
    let median = |value: fn(&Start) -> f64| {
        let mut values: Vec<f64> = starts.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    Start {
        millis: median(|start| start.millis),
        megabytes: median(|start| start.megabytes),
    }
}
