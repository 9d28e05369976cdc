//! A load generator for servers of this protocol; see the README.

mod bare;
mod cli;
mod fill;
mod frames;
mod measure;
mod progress;
mod report;
mod subject;
mod swarm;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use cli::{Cli, Command};
use report::Report;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    allow_many_files();
    let mut report = Report::new(cli.options.json);
    let options = &cli.options;
    match &cli.command {
        Some(Command::Append(sizes)) => measure::append(options, sizes, &mut report)?,
        Some(Command::Create(sizes)) => measure::create(options, sizes, &mut report)?,
        Some(Command::Backlog(sizes)) => measure::backlog(options, sizes, &mut report)?,
        Some(Command::Live(sizes)) => measure::live(options, sizes, &mut report)?,
        Some(Command::Pages(sizes)) => measure::pages(options, sizes, &mut report)?,
        Some(Command::Sockets(sizes)) => measure::sockets(options, sizes, &mut report)?,
        Some(Command::List(sizes)) => measure::list(options, sizes, &mut report)?,
        Some(Command::Big(sizes)) => measure::big(options, sizes, &mut report)?,
        Some(Command::Webhooks(sizes)) => measure::webhooks(options, sizes, &mut report)?,
        Some(Command::All) | None => all(cli, &mut report)?,
    }
    report.finish()
}

/// One measurement that fails does not keep the others from being made.
fn all(cli: &Cli, report: &mut Report) -> Result<()> {
    let options = &cli.options;
    let outcomes = [
        measure::append(options, &cli::Append::default(), report),
        measure::create(options, &cli::Create::default(), report),
        measure::backlog(options, &cli::Backlog::default(), report),
        measure::live(options, &cli::Live::default(), report),
        measure::pages(options, &cli::Pages::default(), report),
        measure::sockets(options, &cli::Sockets::default(), report),
        measure::list(options, &cli::List::default(), report),
        measure::big(options, &cli::Big::default(), report),
        measure::webhooks(options, &cli::Webhooks::default(), report),
    ];
    let mut failed = None;
    for error in outcomes.into_iter().filter_map(Result::err) {
        eprintln!("load: {error:#}");
        failed = Some(error);
    }
    match failed {
        Some(_) => {
            report.finish()?;
            anyhow::bail!("not everything could be measured")
        }
        None => Ok(()),
    }
}

/// A thousand sockets are more than the usual limit of open files allows.
fn allow_many_files() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        eprintln!("load: the limit of open files stays as it is: {error}");
    }
}
