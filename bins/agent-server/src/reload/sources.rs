use std::{
    io,
    path::{Path, PathBuf},
    process::ExitStatus,
};

use tokio::process::Command;

/// The cargo workspace that a program was built in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sources {
    root: PathBuf,
    /// What to add to `cargo build` to get the same program again.
    profile: Vec<String>,
}

impl Sources {
    /// The workspace at or above `start` that has this server among its members, provided that
    /// `program` was built in it: rebuilding would not change another one.
    pub(super) fn find(start: &Path, program: &Path) -> Option<Self> {
        let target = std::env::var_os("CARGO_TARGET_DIR");
        Self::find_with_target(start, program, target.as_deref().map(Path::new))
    }

    /// `target`: where cargo was told to build, if it was.
    fn find_with_target(start: &Path, program: &Path, target: Option<&Path>) -> Option<Self> {
        let root = start
            .ancestors()
            .find(|folder| folder.join("bins/agent-server/Cargo.toml").is_file())?;
        let root = root.canonicalize().ok()?;
        let target = root.join(target.unwrap_or(Path::new("target")));
        let target = target.canonicalize().ok()?;
        let within = program.strip_prefix(target).ok()?;
        // `target/release/agent-server`; with a target triple one folder deeper.
        let folder = within.parent()?.file_name()?.to_str()?;
        let profile = match folder {
            "debug" => Vec::new(),
            "release" => vec!["--release".to_owned()],
            other => vec!["--profile".to_owned(), other.to_owned()],
        };
        Some(Self { root, profile })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// What to watch: folders with all that is in them, and files.
    pub(super) fn watched(&self) -> [PathBuf; 3] {
        ["crates", "bins", "Cargo.toml"].map(|name| self.root.join(name))
    }

    /// Whether a change there may change the program.
    pub(super) fn contains(&self, path: &Path) -> bool {
        let passing = |name: &str| name.starts_with('.') || name.ends_with(['~', '#']);
        let named = path.file_name().and_then(|name| name.to_str());
        named.is_some_and(|name| !passing(name))
            && self
                .watched()
                .iter()
                .any(|watched| path.starts_with(watched))
    }

    /// Builds the program; cargo reports on standard error.
    ///
    /// # Errors
    /// When cargo cannot be run.
    ///
    /// # Cancel safety
    /// Dropping the future kills cargo.
    pub(super) async fn build(&self) -> io::Result<ExitStatus> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        Command::new(cargo)
            .args(["build", "--bin", "agent-server"])
            .args(&self.profile)
            .current_dir(&self.root)
            .kill_on_drop(true)
            .status()
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_workspace_is_found_from_below_for_programs_built_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("bins/agent-server/src")).unwrap();
        fs::create_dir_all(root.join("target/release")).unwrap();
        fs::write(root.join("bins/agent-server/Cargo.toml"), "").unwrap();
        let below = root.join("bins/agent-server/src");

        let find = |start: &Path, program: &Path| Sources::find_with_target(start, program, None);
        let found = find(&below, &root.join("target/release/agent-server")).unwrap();
        assert_eq!(found.root(), root);
        assert_eq!(found.profile, ["--release"]);
        assert!(found.contains(&root.join("crates/a/src/lib.rs")));
        assert!(found.contains(&root.join("Cargo.toml")));
        assert!(!found.contains(&root.join("crates/a/src/.lib.rs.swp")));
        assert!(!found.contains(&root.join("target/debug/x.rs")));

        assert_eq!(find(&below, Path::new("/usr/bin/agent-server")), None);
        assert_eq!(find(Path::new("/"), &root.join("target/debug/x")), None);
    }
}
