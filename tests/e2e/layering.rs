use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// What each crate may know of the others, in the code that ships.
const ALLOWED_DEPENDENCIES: &[(&str, &[&str])] = &[
    ("core-model", &[]),
    ("telemetry", &[]),
    ("command-syntax", &[]),
    ("action-risk", &["command-syntax", "core-model"]),
    ("store-fs", &["core-model"]),
    ("transcript", &["core-model"]),
    ("store-memory", &["core-model"]),
    ("llm-client", &["core-model"]),
    ("workspace", &[]),
    ("agent-tools", &["core-model", "workspace"]),
    ("mcp", &["agent-tools", "core-model", "workspace"]),
    ("webhooks", &["core-model"]),
    (
        "agent-runtime",
        &[
            "action-risk",
            "agent-tools",
            "core-model",
            "llm-client",
            "telemetry",
            "workspace",
        ],
    ),
    ("http-api", &["agent-runtime", "core-model", "telemetry"]),
    (
        "agent-server",
        &[
            "agent-runtime",
            "agent-tools",
            "core-model",
            "http-api",
            "llm-client",
            "mcp",
            "store-fs",
            "store-memory",
            "telemetry",
            "transcript",
            "webhooks",
            "workspace",
        ],
    ),
];

/// Crates that only one place may touch.
const HOME: &[(&str, &[&str])] = &[
    ("actix-web", &["http-api", "agent-server"]),
    ("actix-http", &["http-api", "agent-server"]),
    ("paperclip", &["http-api"]),
    (
        "reqwest",
        &["llm-client", "mcp", "agent-server", "webhooks"],
    ),
    ("rmcp", &["mcp"]),
    ("pty-process", &["workspace"]),
    ("tree-sitter", &["command-syntax"]),
    ("tree-sitter-bash", &["command-syntax"]),
    ("rustix", &["store-fs", "workspace"]),
];

#[test]
fn crates_depend_only_on_crates_below() {
    let metadata = MetadataCommand::new().no_deps().exec().unwrap();
    let allowed: BTreeMap<&str, BTreeSet<&str>> = ALLOWED_DEPENDENCIES
        .iter()
        .map(|(name, knows)| (*name, knows.iter().copied().collect()))
        .collect();
    let members: BTreeSet<&str> = allowed.keys().copied().collect();
    let mut checked = 0;
    for package in &metadata.packages {
        let Some(knows) = allowed.get(package.name.as_str()) else {
            continue;
        };
        for dependency in &package.dependencies {
            if dependency.kind != DependencyKind::Normal {
                continue;
            }
            let (from, to) = (package.name.as_str(), dependency.name.as_str());
            if members.contains(to) {
                assert!(knows.contains(to), "{from} must not know {to}");
                checked += 1;
            }
            if let Some((_, homes)) = HOME.iter().find(|(name, _)| *name == to) {
                assert!(
                    homes.contains(&from),
                    "{to} belongs to {homes:?}, not to {from}"
                );
                checked += 1;
            }
        }
    }
    assert!(
        checked > 20,
        "the check found only {checked} arrows: has the workspace moved?"
    );
}

/// How else a signal could be sent, in the code that ships; clippy does not see all of these.
const SIGNALS: [&str; 7] = [
    ".kill()",
    "start_kill(",
    "killpg(",
    "kill_process",
    "pidfd_send_signal(",
    "libc::kill(",
    "signal::kill(",
];

/// A signal that goes to the wrong process kills the server, or what is not ours.
#[test]
fn one_file_sends_signals() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let home = root.join("crates/workspace/src/processes/signal.rs");
    let mut sources = Vec::new();
    for folder in ["crates", "bins"] {
        for member in fs::read_dir(root.join(folder)).unwrap() {
            collect(&member.unwrap().path().join("src"), &mut sources);
        }
    }
    assert!(sources.contains(&home), "has it moved?");
    for source in sources.iter().filter(|source| **source != home) {
        let text = fs::read_to_string(source).unwrap();
        for (number, line) in text.lines().enumerate() {
            // a check whether a process is there sends nothing
            let line = line.replace("test_kill_process", "");
            let found = SIGNALS.iter().find(|call| line.contains(**call));
            assert!(
                found.is_none(),
                "{}:{}: use workspace::send",
                source.display(),
                number + 1
            );
        }
    }
}

/// How else code could start a process or touch a file.
const MACHINE: [&str; 16] = [
    "fs::",
    "std::process",
    "process::Command",
    "os::unix",
    "nix::",
    "rustix::",
    "libc::",
    ".exists()",
    ".is_dir()",
    ".is_file()",
    ".is_symlink()",
    ".symlink_metadata()",
    ".canonicalize()",
    ".read_dir()",
    ".read_link()",
    ".try_exists()",
];

/// What an agent may do is decided in one place only if there is no other way to do it.
#[test]
fn tools_and_turns_reach_the_machine_only_through_the_workspace() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut sources = Vec::new();
    for member in ["agent-tools", "agent-runtime", "mcp"] {
        collect(&root.join("crates").join(member).join("src"), &mut sources);
    }
    assert!(sources.len() > 20, "have they moved?");
    for source in sources {
        let text = fs::read_to_string(&source).unwrap();
        let shipped = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for (number, line) in shipped.lines().enumerate() {
            // the crate `store_fs` is none of them, though its name ends like one
            let line = line.replace("store_fs::", "");
            let found = MACHINE.iter().find(|way| line.contains(**way));
            assert!(
                found.is_none(),
                "{}:{}: use the workspace crate instead of `{}`",
                source.display(),
                number + 1,
                found.unwrap()
            );
        }
    }
}

/// Rust files below a folder, but for tests and what serves them.
fn collect(folder: &Path, sources: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if ["tests", "tests.rs", "live_fixture.rs", "faults", "testing"].contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() {
            collect(&path, sources);
        } else if name.ends_with(".rs") {
            sources.push(path);
        }
    }
}
