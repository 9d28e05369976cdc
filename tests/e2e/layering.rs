use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// What each crate may know of the others, in the code that ships.
const KNOWS: [(&str, &[&str]); 8] = [
    ("core-model", &[]),
    ("store-fs", &["core-model"]),
    ("llm-client", &["core-model"]),
    ("agent-tools", &["core-model"]),
    ("webhooks", &["core-model"]),
    (
        "agent-runtime",
        &["agent-tools", "core-model", "llm-client"],
    ),
    ("http-api", &["agent-runtime", "core-model"]),
    (
        "agent-server",
        &[
            "agent-runtime",
            "agent-tools",
            "core-model",
            "http-api",
            "llm-client",
            "store-fs",
            "webhooks",
        ],
    ),
];

/// Crates that only one place may touch.
const HOME: [(&str, &[&str]); 6] = [
    ("actix-web", &["http-api", "agent-server"]),
    ("actix-ws", &["http-api"]),
    ("paperclip", &["http-api"]),
    ("reqwest", &["llm-client", "agent-server", "webhooks"]),
    ("pty-process", &["agent-tools"]),
    ("rustix", &["store-fs", "agent-tools"]),
];

#[test]
fn arrows_point_down() {
    let metadata = MetadataCommand::new().no_deps().exec().unwrap();
    let allowed: BTreeMap<&str, BTreeSet<&str>> = KNOWS
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
