use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use harness::Dialect;

/// Puts load on a server of this protocol and prints how long it took, where it matters compared with
/// a bare `write + fdatasync` loop in the same run.
///
/// Without --url it starts the `agent-server` beside this program, with separate folders, and stops it
/// afterwards.
#[derive(Debug, Parser)]
#[command(name = "load")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) options: Options,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// A running server to measure, http://HOST:PORT; what is sent to it stays there
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// Key of that server
    #[arg(long, global = true, value_name = "KEY", requires = "url")]
    pub(crate) key: Option<String>,
    /// Paths to use
    #[arg(long, global = true, value_enum, default_value_t)]
    pub(crate) dialect: Dialect,
    /// Model that new conversations name; nothing runs, so none is called
    #[arg(long, global = true, value_name = "NAME", default_value = "scripted")]
    pub(crate) model: String,
    /// The agent-server program to start [default: the one beside this program]
    #[arg(long, global = true, value_name = "PATH", conflicts_with = "url")]
    pub(crate) server: Option<PathBuf>,
    /// Where to make temporary folders; its file system is what is measured [default: where this
    /// program lies]
    #[arg(long, global = true, value_name = "FOLDER")]
    pub(crate) folder: Option<PathBuf>,
    /// Everything smaller: seconds instead of minutes
    #[arg(long, global = true)]
    pub(crate) quick: bool,
    /// Print JSON instead of tables
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

impl Options {
    /// A size: as given, else by `--quick`.
    pub(crate) fn size(&self, given: Option<u64>, quick: u64, usual: u64) -> u64 {
        given
            .unwrap_or(if self.quick { quick } else { usual })
            .max(1)
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// All of the below (the default)
    All,
    /// Messages of one client, first and after many, beside bare appends
    Append(Append),
    /// Conversations made by eight clients at a time, beside bare appends
    Create(Create),
    /// A long log sent to many sockets
    Backlog(Backlog),
    /// Messages that are posted, sent to many sockets as they come
    Live(Live),
    /// A log read by pages, compressed and plain
    Pages(Pages),
    /// Memory of a thousand sockets, a tenth of which never read
    Sockets(Sockets),
    /// Start, pages and memory with many conversations
    List(List),
    /// Opening and reading one very long log
    Big(Big),
    /// Delivery to webhooks, and their cost when they are idle, hang or are slow
    Webhooks(Webhooks),
}

#[derive(Debug, Default, Args)]
pub(crate) struct Append {
    /// Messages between the first and the last measurement [default: 100000, quick 5000]
    #[arg(long, value_name = "N")]
    pub(crate) messages: Option<u64>,
    /// Messages in each measurement [default: 2000, quick 400]
    #[arg(long, value_name = "N")]
    pub(crate) samples: Option<u64>,
}

#[derive(Debug, Default, Args)]
pub(crate) struct Create {
    /// Conversations [default: 1600, quick 160]
    #[arg(long, value_name = "N")]
    pub(crate) conversations: Option<u64>,
}

#[derive(Debug, Default, Args)]
pub(crate) struct Backlog {
    /// Events in the log [default: 100000, quick 5000]
    #[arg(long, value_name = "N")]
    pub(crate) events: Option<u64>,
    /// Sockets [default: 50]
    #[arg(long, value_name = "N")]
    pub(crate) sockets: Option<u64>,
}

#[derive(Debug, Default, Args)]
pub(crate) struct Live {
    /// Messages [default: 3000, quick 300]
    #[arg(long, value_name = "N")]
    pub(crate) messages: Option<u64>,
    /// Sockets [default: 50]
    #[arg(long, value_name = "N")]
    pub(crate) sockets: Option<u64>,
    /// Clients that post at a time, to see whether one is the limit [default: 1]
    #[arg(long, value_name = "N")]
    pub(crate) batch: Option<u64>,
}

#[derive(Debug, Default, Args)]
pub(crate) struct Pages {
    /// Events in the log [default: 2001]
    #[arg(long, value_name = "N")]
    pub(crate) events: Option<u64>,
}

#[derive(Debug, Default, Args)]
pub(crate) struct Sockets {
    /// Sockets [default: 1000, quick 200]
    #[arg(long, value_name = "N")]
    pub(crate) sockets: Option<u64>,
    /// Conversations they are spread over [default: 50, quick 10]
    #[arg(long, value_name = "N")]
    pub(crate) conversations: Option<u64>,
}

#[derive(Debug, Default, Args)]
pub(crate) struct List {
    /// Conversations [default: 50000, quick 2000]
    #[arg(long, value_name = "N")]
    pub(crate) conversations: Option<u64>,
}

#[derive(Debug, Default, Args)]
pub(crate) struct Big {
    /// Events in the log [default: 1000000, quick 50000]
    #[arg(long, value_name = "N")]
    pub(crate) events: Option<u64>,
}

#[derive(Debug, Default, Args)]
pub(crate) struct Webhooks {
    /// One of its measurements alone
    #[arg(long, value_enum, value_name = "PART")]
    pub(crate) only: Option<WebhookPart>,
    /// Events in the backlog [default: 1000000, quick 100000]
    #[arg(long, value_name = "N")]
    pub(crate) events: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum WebhookPart {
    /// A backlog delivered to a receiver that takes it
    Backlog,
    /// Memory and wake-ups of webhooks that have nothing to do
    Idle,
    /// Memory while a receiver never answers
    Silent,
    /// Time of a turn while a receiver is slow
    Slow,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_valid() {
        Cli::command().debug_assert();
        let cli = Cli::try_parse_from(["load", "live", "--batch", "8", "--quick"]).unwrap();
        assert!(cli.options.quick);
        assert!(matches!(cli.command, Some(Command::Live(live)) if live.batch == Some(8)));
    }

    #[test]
    fn a_given_size_outranks_quick() {
        let options = Cli::try_parse_from(["load", "--quick"]).unwrap().options;
        assert_eq!(options.size(Some(7), 1, 2), 7);
        assert_eq!(options.size(None, 1, 2), 1);
    }
}
