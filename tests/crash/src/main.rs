//! Kills the real server at random moments while clients use it, starts it again, and checks that
//! it kept what it had acknowledged; see the README.

mod check;
mod client;
mod copies;
mod expected_state;
mod faulty_receiver;
mod index;
mod kept;
mod log;
mod random;
mod rounds;
mod webhooks;

use std::{
    path::PathBuf,
    process::ExitCode,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use clap::Parser;

/// Kills the real server with SIGKILL at random moments while clients use it, starts it again over
/// the same folder, and checks that it kept all it had acknowledged.
#[derive(Debug, Parser)]
#[command(name = "crash")]
struct Cli {
    /// How often to kill it under load [default: 300, quick 15]
    #[arg(long, value_name = "N")]
    rounds: Option<u64>,
    /// A few rounds, for every change
    #[arg(long)]
    quick: bool,
    /// Begins the same sequence of random choices again; what the clock decides is not repeated
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Clients at a time
    #[arg(long, value_name = "N", default_value_t = 8)]
    clients: u64,
    /// Create, send and run with an Idempotency-Key, and again after the kill if there was no answer
    #[arg(long)]
    keys: bool,
    /// Send events to two webhooks, whose receivers are here and not always willing
    #[arg(long)]
    webhooks: bool,
    /// The agent-server program [default: the one beside this program]
    #[arg(long, value_name = "PATH")]
    server: Option<PathBuf>,
    /// Where to make the temporary folder [default: where this program lies]
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("crash: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    let seed = cli.seed.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.map_or(1, |now| now.as_micros() as u64)
    });
    let settings = rounds::Settings {
        rounds: cli.rounds.unwrap_or(if cli.quick { 15 } else { 300 }),
        seed,
        clients: cli.clients.max(1),
        keys: cli.keys,
        webhooks: cli.webhooks,
        binary: harness::find_binary(cli.server.as_deref())?,
    };
    let program = std::env::current_exe()?;
    let parent = cli.folder.as_deref().or(program.parent());
    let parent = parent.context("no folder to work in; name one with --folder")?;
    let folder = tempfile::Builder::new()
        .prefix("crash-")
        .tempdir_in(parent)
        .with_context(|| format!("cannot work in {} (see --folder)", parent.display()))?;
    eprintln!("crash: {} rounds with --seed {seed}", settings.rounds);
    let begin = Instant::now();
    match rounds::run(&settings, folder.path()) {
        Ok(tally) => {
            println!("{tally}");
            println!("{:.0} s, no violation", begin.elapsed().as_secs_f64());
            Ok(())
        }
        Err(error) => {
            let kept = folder.keep();
            let kept = kept.display();
            Err(error.context(format!("violation (--seed {seed}); the folder is {kept}")))
        }
    }
}
