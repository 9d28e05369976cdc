//! Folders whose loss makes a machine or a home useless.

use command_syntax::{Piece, Word};

const ROOTS: [&str; 15] = [
    "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib64", "/opt", "/proc", "/root", "/sbin",
    "/srv", "/sys", "/usr", "/var",
];

/// What a word names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The root, a home folder as a whole, or something in a folder of the system.
    Critical,
    Other,
    /// It is known only when the command runs.
    Unknown,
}

pub(crate) fn target(word: &Word) -> Target {
    let home = |rest: &str| {
        let path = format!("/~{rest}");
        match normal(&path).as_str() {
            "/~" | "/~/*" | "/~/.*" | "/" => Target::Critical,
            path if path.starts_with("/~/") => Target::Other,
            // Above it.
            _ => Target::Critical,
        }
    };
    match word.pieces() {
        [Piece::Tilde(_)] => Target::Critical,
        [Piece::Tilde(_), rest @ ..] if !word.is_dynamic() => home(&text(rest)),
        [Piece::Dynamic { source, .. }, rest @ ..]
            if matches!(source.as_str(), "$HOME" | "${HOME}") && rest.iter().all(is_static) =>
        {
            home(&text(rest))
        }
        _ if word.is_dynamic() => Target::Unknown,
        pieces if is_critical(&text(pieces)) => Target::Critical,
        _ => Target::Other,
    }
}

fn is_static(piece: &Piece) -> bool {
    !matches!(piece, Piece::Dynamic { .. })
}

fn text(pieces: &[Piece]) -> String {
    pieces.iter().map(Piece::text).collect()
}

/// Whether an absolute path is the root or in a folder of the system.
pub(crate) fn is_critical(path: &str) -> bool {
    if !path.starts_with('/') {
        return false;
    }
    let path = normal(path);
    if matches!(path.as_str(), "/" | "/*" | "/.*") || path.starts_with("/{") {
        return true;
    }
    ROOTS.iter().any(|root| {
        path.strip_prefix(root)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '*', '?', '[', '{']))
    }) && !path.starts_with("/dev/shm/")
        && !path.starts_with("/var/tmp/")
}

/// Whether it names a disk, rather than one of the devices that anybody may write to.
pub(crate) fn is_disk(path: &str) -> bool {
    let path = normal(path);
    let Some(device) = path.strip_prefix("/dev/") else {
        return false;
    };
    ![
        "null", "zero", "full", "random", "urandom", "stdin", "stdout", "stderr", "tty",
    ]
    .contains(&device)
        && !["fd/", "pts/", "shm/", "tcp/", "udp/"]
            .iter()
            .any(|usual| device.starts_with(usual))
}

/// A path without `.`, `..` and doubled slashes.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}
