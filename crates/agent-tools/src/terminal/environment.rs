//! What the shell inherits from the server's environment: everything but secrets and what would
//! change how bash starts.

use std::ffi::{OsStr, OsString};

/// A variable with one of these in its name is taken for a secret.
const SECRET_PARTS: [&str; 7] = [
    "KEY",
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "CREDENTIAL",
];
/// The server's own settings.
const OWN_PREFIXES: [&str; 2] = ["OH_", "LLM_"];
/// What steers bash itself, or belongs to the service manager's socket and log protocols.
const STEERING: [&str; 19] = [
    "BASH_ENV",
    "BASHOPTS",
    "BASH_XTRACEFD",
    "ENV",
    "HISTFILE",
    "IFS",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "LISTEN_FDNAMES",
    "LISTEN_FDS",
    "LISTEN_PID",
    "NOTIFY_SOCKET",
    "POSIXLY_CORRECT",
    "PROMPT_COMMAND",
    "PS0",
    "PS1",
    "PS2",
    "SHELLOPTS",
    "TMOUT",
];
/// Programs write plain text and wait for no reader of pages.
const PLAIN: [(&str, &str); 5] = [
    ("TERM", "dumb"),
    ("PAGER", "cat"),
    ("GIT_PAGER", "cat"),
    ("MANPAGER", "cat"),
    ("SYSTEMD_PAGER", "cat"),
];

/// The variables a shell starts with, given the server's.
pub(super) fn inherited(
    server: impl Iterator<Item = (OsString, OsString)>,
) -> Vec<(OsString, OsString)> {
    server
        .filter(|(name, _)| may_pass(name))
        .chain(PLAIN.map(|(name, value)| (name.into(), value.into())))
        .collect()
}

fn may_pass(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else {
        return false;
    };
    let upper = name.to_uppercase();
    !SECRET_PARTS.iter().any(|part| upper.contains(part))
        && !OWN_PREFIXES.iter().any(|prefix| upper.starts_with(prefix))
        && !upper.starts_with("BASH_FUNC_")
        && !STEERING.contains(&name)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn kept(names: &[&str]) -> HashMap<OsString, OsString> {
        let server = names.iter().map(|name| (name.into(), "server".into()));
        inherited(server).into_iter().collect()
    }

    #[test]
    fn secrets_and_steering_variables_stay_behind() {
        let names = [
            "OH_SESSION_API_KEYS_0",
            "OH_SECRET_KEY",
            "OH_ANYTHING",
            "SESSION_API_KEY",
            "LLM_MODEL",
            "ANTHROPIC_API_KEY",
            "github_token",
            "AWS_SECRET_ACCESS_KEY",
            "PGPASSWORD",
            "GOOGLE_APPLICATION_CREDENTIALS",
            "BASH_ENV",
            "BASH_FUNC_ls%%",
            "PS1",
            "TMOUT",
            "NOTIFY_SOCKET",
        ];
        let kept = kept(&names);
        for name in names {
            assert!(!kept.contains_key(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn the_usual_environment_stays_and_pages_do_not() {
        let kept = kept(&[
            "PATH",
            "HOME",
            "LC_ALL",
            "CARGO_HOME",
            "http_proxy",
            "TERM",
            "PAGER",
        ]);
        for name in ["PATH", "HOME", "LC_ALL", "CARGO_HOME", "http_proxy"] {
            assert_eq!(kept[OsStr::new(name)], "server", "{name}");
        }
        assert_eq!(kept[OsStr::new("TERM")], "dumb");
        assert_eq!(kept[OsStr::new("PAGER")], "cat");
    }
}
