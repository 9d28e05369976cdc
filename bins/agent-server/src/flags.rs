use clap::Args;

use crate::config::Overrides;

/// What a command line may set of the configuration, and how to serve.
#[derive(Clone, Debug, Default, Args)]
pub struct Flags {
    #[command(flatten)]
    pub overrides: Overrides,
    /// Restart when the configuration, the program or its sources change, without refusing a
    /// connection
    #[arg(long)]
    pub reload: bool,
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
            overrides: self.overrides.over(before.overrides),
            reload: self.reload || before.reload,
            supervised: self.supervised || before.supervised,
            resume: self.resume || before.resume,
        }
    }

    /// The command line that gives the same flags, but for `--reload`.
    #[must_use]
    pub fn to_arguments(&self) -> Vec<String> {
        let set = &self.overrides;
        let given = [
            ("--host", set.host.clone()),
            ("--port", set.port.map(|port| port.to_string())),
            (
                "--config",
                set.config.as_ref().map(|path| path.display().to_string()),
            ),
            (
                "--log-format",
                set.log_format.map(|format| format.as_str().to_owned()),
            ),
        ];
        let mut arguments = Vec::new();
        for (flag, value) in given {
            if let Some(value) = value {
                arguments.extend([flag.to_owned(), value]);
            }
        }
        if set.ephemeral {
            arguments.push("--ephemeral".to_owned());
        }
        arguments
    }
}
