use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::{
    flags::Flags,
    maintenance::{ExportArgs, ImportArgs, RepairArgs, VerifyArgs},
};

/// A server that gives programs an AI software agent over REST and WebSocket.
///
/// Without a command it starts the server. Everything that flags set, and more, can be set in a JSON
/// file and by environment variables: `agent-server config` shows the values in effect and where they
/// came from.
#[derive(Debug, Parser)]
#[command(name = "agent-server", version, about)]
pub struct Cli {
    #[command(flatten)]
    pub flags: Flags,
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the server (the default)
    Serve(Flags),
    /// Watch an agent do real work through the REST and WebSocket API
    ///
    /// Starts the real server on a free loopback port, gives it a task and prints each event as it
    /// arrives. With LLM_MODEL set (and LLM_API_KEY, LLM_BASE_URL as the model needs them) that
    /// model works on TASK; without, a built-in scripted model does a fixed task that runs real
    /// commands and edits real files.
    Demo(DemoArgs),
    /// Print the effective configuration, secrets masked, and where each value came from
    Config(ConfigArgs),
    /// List known models: context windows, prices, what they can do
    ///
    /// Prices are US dollars a million tokens; `-` is what is not known. With --check, asks the model instead and says
    /// step by step what works.
    Models(ModelsArgs),
    /// Export a conversation: its log, or a transcript to read
    ///
    /// Works while a server runs, and changes nothing. Exits with 0 when all events were written, with 1
    /// when some are damaged and had to be left out (they are named on standard error).
    Export(ExportArgs),
    /// Import conversations of the OpenHands agent server
    ///
    /// Reads that server's folders (base_state.json, meta.json, events/) and does not change them. Each
    /// conversation keeps its id, its events, its title, its settings and its plan. A conversation that
    /// exists here already is skipped.
    ///
    /// Secrets that were stored encrypted are read when OH_SECRET_KEY (or else the session API key) is
    /// the same as it was there; secrets that were stored masked are lost. Without the model's key an
    /// agent cannot continue: --model-from-config gives it the model configured here.
    ///
    /// No server may run on the conversations folder meanwhile. Exits with 0 when everything was
    /// imported, with 1 when something was skipped or left out.
    Import(ImportArgs),
    /// Check stored conversations
    ///
    /// Reads every line of every log and compares it with its index. Changes nothing, and works beside a
    /// running server. Exits with 1 when something is damaged.
    Verify(VerifyArgs),
    /// Repair stored conversations
    ///
    /// Shows what it would do; with --apply, does it: unfinished last lines are moved to files of their
    /// own, indexes that do not fit are kept and rebuilt. Lines that are not events stay where they are.
    /// A running server has to be stopped first.
    Repair(RepairArgs),
}

#[derive(Debug, Args)]
pub struct DemoArgs {
    /// What the agent is to do; needs LLM_MODEL
    pub task: Option<String>,
    /// Work in this folder instead of a new one below TMPDIR; what is there stays
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct ConfigArgs {
    #[command(flatten)]
    pub flags: Flags,
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
    /// Print only warnings, and say whether the configuration is valid
    #[arg(long)]
    pub check: bool,
}

#[derive(Debug, Args)]
pub struct ModelsArgs {
    /// Only models with this in their name: a provider, a family
    pub filter: Option<String>,
    /// Ask this model once, with the configured key, address and other settings, and say what works
    ///
    /// Exits with 0 when it answers and calls a tool.
    #[arg(long, value_name = "NAME", conflicts_with = "filter")]
    pub check: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn served(line: &[&str]) -> Flags {
        let cli = Cli::try_parse_from(line).unwrap();
        match cli.command {
            Some(Command::Serve(after)) => after.over(cli.flags),
            None => cli.flags,
            Some(
                Command::Demo(_)
                | Command::Config(_)
                | Command::Models(_)
                | Command::Export(_)
                | Command::Import(_)
                | Command::Verify(_)
                | Command::Repair(_),
            ) => panic!("expected to serve"),
        }
    }

    #[test]
    fn the_command_line_is_valid() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_mean_the_same_with_and_without_the_word_serve() {
        let kept = ["--host", "localhost", "--port", "3000", "--ephemeral"];
        let flags = [&kept[..], &["--reload"]].concat();
        for line in [
            [&["agent-server"][..], &flags[..]].concat(),
            [&["agent-server", "serve"][..], &flags[..]].concat(),
            [&["agent-server"][..], &flags[..], &["serve"][..]].concat(),
        ] {
            let flags = served(&line);
            assert_eq!(flags.overrides.host.as_deref(), Some("localhost"));
            assert_eq!(flags.overrides.port, Some(3000));
            assert!(flags.reload && flags.overrides.ephemeral);
            assert_eq!(flags.to_arguments(), kept);
        }
    }
}
