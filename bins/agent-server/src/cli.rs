use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::{
    config::{LogFormat, Overrides},
    maintenance::{ExportArgs, ImportArgs, RepairArgs, VerifyArgs},
};

/// A server that gives programs an AI software agent over REST and WebSocket.
///
/// Without a command it serves. Everything that flags set, and more, can be set in a JSON file and
/// by environment variables: `agent-server config` shows what holds and where it came from.
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
    /// Write a conversation out: its log, or a transcript to read
    ///
    /// Works while a server runs, and changes nothing. Gives 0 when all events were written, 1 when
    /// some are damaged and had to be left out (they are named on standard error).
    Export(ExportArgs),
    /// Bring in conversations of the OpenHands agent server
    ///
    /// Reads the folders that server keeps (base_state.json, meta.json, events/) and leaves them as
    /// they are. Each conversation keeps its id, its events, its title, its settings and its plan.
    /// One that exists here already is left alone.
    ///
    /// Secrets that were stored encrypted are read when OH_SECRET_KEY (or else the session API key)
    /// is what it was there; secrets that were stored masked are gone. Without the model's key an
    /// agent cannot go on: --model-from-config gives it the model configured here.
    ///
    /// No server may run on the conversations folder meanwhile. Gives 0 when everything was
    /// imported, 1 when something was skipped or left out.
    Import(ImportArgs),
    /// Look through stored conversations
    ///
    /// Reads every line of every log and compares it with its index. Changes nothing, and works beside a
    /// running server. Ends with 1 when something is damaged.
    Verify(VerifyArgs),
    /// Repair stored conversations
    ///
    /// Tells what it would do; --apply does it: unfinished last lines are moved to files of their own,
    /// indexes that do not fit are kept and made anew. Lines that are no events stay where they are. A
    /// running server has to be stopped first.
    Repair(RepairArgs),
}

#[derive(Clone, Debug, Default, Args)]
pub struct Flags {
    /// Name or address to listen on [default: 0.0.0.0]
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,
    /// Port to listen on; 0 picks a free one [default: 8000]
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,
    /// Restart when the configuration, the program or its sources change, without refusing a
    /// connection
    #[arg(long)]
    pub reload: bool,
    /// JSON configuration file [default: workspace/openhands_agent_server_config.json, if it is
    /// there]
    #[arg(long, value_name = "PATH")]
    pub config: Option<PathBuf>,
    /// How log lines are written [default: text]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// For the supervisor of `--reload`: standard input is the listening socket
    #[arg(long, hide = true)]
    pub supervised: bool,
    /// For the supervisor of `--reload`: runs that its swap paused go on
    #[arg(long, hide = true)]
    pub resume: bool,
}

#[derive(Debug, Args)]
pub struct DemoArgs {
    /// What the agent is to do; needs LLM_MODEL
    pub task: Option<String>,
    /// Work in this folder, and leave everything there
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
    /// Print nothing but warnings; only say whether the configuration can be used
    #[arg(long)]
    pub check: bool,
}

impl Flags {
    /// These flags where they are given, `before` where they are not: flags may stand before or
    /// after the word `serve`.
    #[must_use]
    pub fn over(self, before: Self) -> Self {
        Self {
            host: self.host.or(before.host),
            port: self.port.or(before.port),
            reload: self.reload || before.reload,
            config: self.config.or(before.config),
            log_format: self.log_format.or(before.log_format),
            supervised: self.supervised || before.supervised,
            resume: self.resume || before.resume,
        }
    }

    #[must_use]
    pub fn overrides(&self) -> Overrides {
        Overrides {
            config: self.config.clone(),
            host: self.host.clone(),
            port: self.port,
            log_format: self.log_format,
        }
    }

    /// The command line that gives the same flags, but for `--reload`.
    #[must_use]
    pub fn to_arguments(&self) -> Vec<String> {
        let given = [
            ("--host", self.host.clone()),
            ("--port", self.port.map(|port| port.to_string())),
            (
                "--config",
                self.config.as_ref().map(|path| path.display().to_string()),
            ),
            (
                "--log-format",
                self.log_format.map(|format| format.as_str().to_owned()),
            ),
        ];
        let mut arguments = Vec::new();
        for (flag, value) in given {
            if let Some(value) = value {
                arguments.extend([flag.to_owned(), value]);
            }
        }
        arguments
    }
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
                | Command::Export(_)
                | Command::Import(_)
                | Command::Verify(_)
                | Command::Repair(_),
            ) => panic!("expected to serve"),
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_mean_the_same_with_and_without_the_word_serve() {
        let flags = ["--host", "localhost", "--port", "3000", "--reload"];
        for line in [
            [&["agent-server"][..], &flags[..]].concat(),
            [&["agent-server", "serve"][..], &flags[..]].concat(),
            [&["agent-server"][..], &flags[..], &["serve"][..]].concat(),
        ] {
            let flags = served(&line);
            assert_eq!(flags.host.as_deref(), Some("localhost"));
            assert_eq!(flags.port, Some(3000));
            assert!(flags.reload);
            assert_eq!(
                flags.to_arguments(),
                ["--host", "localhost", "--port", "3000"]
            );
        }
    }
}
