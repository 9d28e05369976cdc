//! Attacks the real server on loopback, bounded in count and time, and checks that it stays up; see
//! the README.

mod launcher;
mod limits;
mod memory;
mod shells;
mod starts;

use std::{path::PathBuf, process::ExitCode, time::Instant};

use anyhow::{Context, Result};
use clap::Parser;

use launcher::Launcher;

/// Repeats attacks on loopback that once brought the real server down, and checks that it stays up.
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

/// Whether the server survived all attacks.
fn run(cli: &Cli) -> Result<bool> {
    let program = std::env::current_exe()?;
    let parent = cli.folder.as_deref().or(program.parent());
    let launcher = Launcher {
        binary: harness::find_binary(cli.server.as_deref())?,
        parent: parent
            .context("no folder to work in; name one with --folder")?
            .to_owned(),
    };
    type Attack<'a> = (&'static str, Box<dyn Fn(&Launcher) -> Result<String> + 'a>);
    let mut attacks: Vec<Attack<'_>> = vec![
        (
            "interrupts",
            Box::new(|launcher| shells::interrupts(launcher, cli.interrupts)),
        ),
        ("file size", Box::new(limits::file_size)),
        ("unread log", Box::new(limits::unread_log)),
        ("one gigabyte", Box::new(memory::all_in_one_gigabyte)),
        (
            "creations",
            Box::new(|launcher| starts::creations(launcher, cli.starts)),
        ),
    ];
    for (name, flood) in memory::FLOODS {
        attacks.push((name, Box::new(|launcher| memory::flood(launcher, *flood))));
    }
    let mut stood = true;
    for (name, attack) in attacks.iter().filter(|(name, _)| name.contains(&cli.only)) {
        let begin = Instant::now();
        let outcome = attack(&launcher);
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
