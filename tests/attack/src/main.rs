//! Attacks the real server on loopback, bounded in count and time, and checks that it stays up; see
//! the README.

mod arena;
mod limits;
mod memory;
mod shells;
mod starts;

use std::{path::PathBuf, process::ExitCode, time::Instant};

use anyhow::{Context, Result};
use clap::Parser;

use arena::Arena;

/// Attacks the real server on loopback with what once brought it down, and checks that it lives.
#[derive(Debug, Parser)]
#[command(name = "attack")]
struct Cli {
    /// Only attacks whose name has this in it
    #[arg(long, value_name = "WORD", default_value = "")]
    only: String,
    /// Interrupts of each command that ends a shell
    #[arg(long, value_name = "N", default_value_t = 160)]
    interrupts: u64,
    /// Fresh starts with many creations at once
    #[arg(long, value_name = "N", default_value_t = 10)]
    starts: u64,
    /// The agent-server program [default: the one beside this program]
    #[arg(long, value_name = "PATH")]
    server: Option<PathBuf>,
    /// Where to make temporary folders [default: where this program lies]
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("attack: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether the server stood all of it.
fn run(cli: &Cli) -> Result<bool> {
    let program = std::env::current_exe()?;
    let parent = cli.folder.as_deref().or(program.parent());
    let arena = Arena {
        binary: harness::find_binary(cli.server.as_deref())?,
        parent: parent
            .context("no folder to work in; name one with --folder")?
            .to_owned(),
    };
    type Attack<'a> = (&'static str, Box<dyn Fn(&Arena) -> Result<String> + 'a>);
    let mut attacks: Vec<Attack<'_>> = vec![
        (
            "interrupts",
            Box::new(|arena| shells::interrupts(arena, cli.interrupts)),
        ),
        ("file size", Box::new(limits::file_size)),
        ("unread log", Box::new(limits::unread_log)),
        ("one gigabyte", Box::new(memory::all_in_one_gigabyte)),
        (
            "creations",
            Box::new(|arena| starts::creations(arena, cli.starts)),
        ),
    ];
    for (name, flood) in memory::FLOODS {
        attacks.push((name, Box::new(|arena| memory::flood(arena, *flood))));
    }
    let mut stood = true;
    for (name, attack) in attacks.iter().filter(|(name, _)| name.contains(&cli.only)) {
        let begin = Instant::now();
        let outcome = attack(&arena);
        let seconds = begin.elapsed().as_secs_f64();
        match outcome {
            Ok(told) => println!("ok      {name:<40} {seconds:>5.1} s  {told}"),
            Err(error) => {
                stood = false;
                println!("FAILED  {name:<40} {seconds:>5.1} s  {error:#}");
            }
        }
    }
    Ok(stood)
}
