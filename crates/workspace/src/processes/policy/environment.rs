//! What processes inherit from the server's environment: variables known to be needed and to contain no
//! secret, and those that the configuration adds.

use std::ffi::OsString;

use thiserror::Error;

/// Variables that processes inherit; a `*` stands for any rest of a name.
const USUAL: [&str; 70] = [
    // who and where
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "PATH",
    "TMPDIR",
    "TZ",
    "XDG_*",
    // languages and looks
    "LANG",
    "LANGUAGE",
    "LC_*",
    "LOCPATH",
    "LOCALE_ARCHIVE",
    "TERM",
    "COLORTERM",
    "NO_COLOR",
    "EDITOR",
    "VISUAL",
    "PAGER",
    "LESS",
    "CI",
    "DEBIAN_FRONTEND",
    // the network
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "NIX_SSL_CERT_FILE",
    "GIT_SSL_CAINFO",
    // git
    "GIT_AUTHOR_NAME",
    "GIT_AUTHOR_EMAIL",
    "GIT_COMMITTER_NAME",
    "GIT_COMMITTER_EMAIL",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_SYSTEM",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_CEILING_DIRECTORIES",
    // compilers and package managers
    "CARGO_HOME",
    "CARGO_TARGET_DIR",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "GOPATH",
    "GOROOT",
    "GOCACHE",
    "GOFLAGS",
    "JAVA_HOME",
    "MAVEN_HOME",
    "GRADLE_HOME",
    "NVM_DIR",
    "NODE_PATH",
    "PYENV_ROOT",
    "PYTHONPATH",
    "VIRTUAL_ENV",
    "CONDA_*",
    "RBENV_ROOT",
    "HOMEBREW_PREFIX",
    "CC",
    "CXX",
    "LD_LIBRARY_PATH",
    "LIBRARY_PATH",
    "PKG_CONFIG_PATH",
    "CPATH",
];

/// A variable with one of these in its name counts as a secret: it is passed only when the configuration
/// has its whole name.
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
const OWN: [&str; 4] = ["OH_*", "LLM_*", "SESSION_API_KEY", "AGENT_TERMINAL_ID"];
/// Variables that control bash itself, or belong to the service manager's socket and log protocols.
const CONTROLLING: [&str; 20] = [
    "BASH_ENV",
    "BASHOPTS",
    "BASH_XTRACEFD",
    "BASH_FUNC_*",
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

/// Why the configuration cannot add a name to what processes inherit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NeverPassed {
    #[error("a variable's name, with `*` at most at its end")]
    NoName,
    #[error("no setting of the server itself: those are kept from what agents start")]
    Own,
    #[error("no variable that steers bash or belongs to the service manager")]
    Controlling,
}

/// Checks a name that the configuration adds.
///
/// # Errors
/// [`NeverPassed`].
pub fn check_name(name: &str) -> Result<(), NeverPassed> {
    let plain = name.strip_suffix('*').unwrap_or(name);
    let is_name = plain
        .chars()
        .all(|char| char.is_ascii_alphanumeric() || char == '_');
    if name.is_empty() || !is_name || plain.starts_with(|char: char| char.is_ascii_digit()) {
        return Err(NeverPassed::NoName);
    }
    if matches_any(&OWN, name) {
        return Err(NeverPassed::Own);
    }
    if matches_any(&CONTROLLING, name) {
        return Err(NeverPassed::Controlling);
    }
    Ok(())
}

/// Whether processes inherit a variable, given what the configuration adds.
#[must_use]
pub fn is_passed(name: &str, value: &str, added: &[String]) -> bool {
    if matches_any(&OWN, name) || matches_any(&CONTROLLING, name) {
        return false;
    }
    let looks_secret = || {
        let upper = name.to_uppercase();
        SECRET_PARTS.iter().any(|part| upper.contains(part)) || has_user(value)
    };
    added.iter().any(|listed| listed == name)
        || (matches_any(&USUAL, name) || matches_any(added, name)) && !looks_secret()
}

/// The variables that processes start with, given the server's.
pub(crate) fn inherited(
    server: impl Iterator<Item = (OsString, OsString)>,
    added: &[String],
) -> Vec<(OsString, OsString)> {
    server
        .filter(|(name, value)| {
            name.to_str()
                .is_some_and(|name| is_passed(name, &value.to_string_lossy(), added))
        })
        .collect()
}

fn matches_any(patterns: &[impl AsRef<str>], name: &str) -> bool {
    patterns.iter().any(|pattern| {
        let pattern = pattern.as_ref();
        match pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == pattern,
        }
    })
}

/// Whether an address in `value` has a user, usually with a password: `http://user:password@proxy`.
fn has_user(value: &str) -> bool {
    value.split("://").skip(1).any(|rest| {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        authority.contains('@')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(names: &[&str], added: &[&str]) -> Vec<String> {
        let server = names.iter().map(|name| (name.into(), "server".into()));
        let added: Vec<String> = added.iter().map(|name| (*name).to_owned()).collect();
        let kept = inherited(server, &added).into_iter();
        kept.map(|(name, _)| name.into_string().unwrap()).collect()
    }

    const PRIVATE: [&str; 15] = [
        "OH_SESSION_API_KEYS_0",
        "OH_SECRET_KEY",
        "OH_ANYTHING",
        "SESSION_API_KEY",
        "LLM_MODEL",
        "BASH_ENV",
        "BASH_FUNC_ls%%",
        "PS1",
        "TMOUT",
        "NOTIFY_SOCKET",
        "ANTHROPIC_API_KEY",
        "github_token",
        "AWS_SECRET_ACCESS_KEY",
        "PGPASSWORD",
        "GOOGLE_APPLICATION_CREDENTIALS",
    ];

    #[test]
    fn only_what_is_known_is_inherited() {
        let names = [
            "PATH",
            "HOME",
            "LC_ALL",
            "XDG_DATA_HOME",
            "CARGO_HOME",
            "http_proxy",
        ];
        assert_eq!(kept(&names, &[]), names);
        assert_eq!(kept(&PRIVATE, &[]), [""; 0]);
        assert_eq!(
            kept(
                &[
                    "DATABASE_URL",
                    "HOOK",
                    "GIT_DIR",
                    "LD_PRELOAD",
                    "PATHS",
                    "XDG_TOKEN"
                ],
                &[]
            ),
            [""; 0]
        );
    }

    #[test]
    fn the_configuration_adds_names_but_no_secrets_by_accident() {
        let names = ["MY_HOME", "MY_KEY", "MY", "OTHER_KEY"];
        assert_eq!(kept(&names, &["MY_*"]), ["MY_HOME"]);
        assert_eq!(
            kept(&names, &["MY_*", "OTHER_KEY"]),
            ["MY_HOME", "OTHER_KEY"]
        );
        // all but what is secret or the server's own
        assert_eq!(kept(&PRIVATE, &["*"]), [""; 0]);
        assert_eq!(kept(&PRIVATE, &PRIVATE), PRIVATE[10..]);
    }

    #[test]
    fn addresses_with_a_password_stay_behind() {
        for (value, passed) in [
            ("http://proxy:3128", true),
            ("proxy:3128", true),
            ("http://proxy/~user@home", true),
            ("http://user:secret@proxy:3128", false),
            ("direct, http://token@proxy", false),
        ] {
            assert_eq!(is_passed("https_proxy", value, &[]), passed, "{value}");
        }
    }

    #[test]
    fn some_names_cannot_be_added() {
        for name in ["MY_VARIABLE", "MY_*", "*", "GITHUB_TOKEN", "PATH"] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        for name in ["", "A B", "A*B", "1A", "A=B", "Ä", "${A}"] {
            assert_eq!(check_name(name), Err(NeverPassed::NoName), "{name}");
        }
        for name in ["OH_SECRET_KEY", "LLM_API_KEY", "SESSION_API_KEY", "OH_*"] {
            assert_eq!(check_name(name), Err(NeverPassed::Own), "{name}");
        }
        for name in ["BASH_ENV", "LISTEN_FDS", "BASH_FUNC_*"] {
            assert_eq!(check_name(name), Err(NeverPassed::Controlling), "{name}");
        }
    }
}
