use std::path::PathBuf;

use clap::Args;

use crate::config::{LogFormat, Overrides};

/// What a command line may set of the configuration, and how to serve.
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
    /// Store conversations in memory: everything is gone at the end
    #[arg(long)]
    pub ephemeral: bool,
    /// For the supervisor of `--reload`: standard input is the listening socket
    #[arg(long, hide = true)]
    pub supervised: bool,
    /// For the supervisor of `--reload`: runs that its swap paused continue
    #[arg(long, hide = true)]
    pub resume: bool,
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
            ephemeral: self.ephemeral || before.ephemeral,
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
            ephemeral: self.ephemeral,
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
        if self.ephemeral {
            arguments.push("--ephemeral".to_owned());
        }
        arguments
    }
}
