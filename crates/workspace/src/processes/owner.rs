use std::{fmt, os::unix::fs::MetadataExt, path::Path, str::FromStr};

use super::table;

/// Identifies a server in the tags of what it starts.
///
/// A folder has one server at a time, so a tag with this folder and a server that is gone is an earlier
/// server's, and what has it was left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    /// Device and inode of its folder; zeros without one.
    folder: (u64, u64),
    pid: i32,
    /// When it started, in ticks after the machine's start.
    started: u64,
}

impl Owner {
    /// This process, as the server over `folder`.
    pub(super) fn of(folder: Option<&Path>) -> Self {
        let metadata = folder.and_then(|folder| folder.metadata().ok());
        let pid = i32::try_from(std::process::id()).unwrap_or_default();
        Self {
            folder: metadata.map_or((0, 0), |folder| (folder.dev(), folder.ino())),
            pid,
            started: table::entry(pid).map_or(0, |own| own.started),
        }
    }

    /// The tag of one session of this server and all that it starts.
    pub(super) fn tag(self, session: &str) -> String {
        format!("{self}-{session}")
    }

    /// The server that a tag names.
    pub(super) fn of_tag(tag: &str) -> Option<Self> {
        tag.rsplit_once('-')?.0.parse().ok()
    }

    /// Whether `other` was a server over the same folder and is gone.
    pub(super) fn is_successor_of(self, other: Self) -> bool {
        self.folder != (0, 0) && self.folder == other.folder && self != other && other.is_gone()
    }

    /// Whether that server has ended, as far as can be seen from here.
    pub(super) fn is_gone(self) -> bool {
        let holder = table::entry(self.pid);
        !holder.is_some_and(|process| process.started == self.started && !process.is_zombie)
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            folder: (device, inode),
            pid,
            started,
        } = self;
        write!(f, "{device}-{inode}-{pid}-{started}")
    }
}

impl FromStr for Owner {
    type Err = Option<std::num::ParseIntError>;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.split('-').collect();
        let [device, inode, pid, started] = parts.as_slice() else {
            return Err(None);
        };
        Ok(Self {
            folder: (device.parse()?, inode.parse()?),
            pid: pid.parse()?,
            started: started.parse()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_names_its_server() {
        let folder = tempfile::tempdir().unwrap();
        let owner = Owner::of(Some(folder.path()));
        assert_eq!(Owner::of_tag(&owner.tag("abc")), Some(owner));
        for other in ["", "abc", "1-2-3-abc", "1-2-3-4-5-abc", "1-2-x-4-abc"] {
            assert_eq!(Owner::of_tag(other), None, "{other}");
        }
    }

    #[test]
    fn only_what_a_dead_server_over_the_same_folder_left_is_ours() {
        let folder = tempfile::tempdir().unwrap();
        let here = Owner::of(Some(folder.path()));
        let dead = Owner {
            started: here.started + 1,
            ..here
        };
        let elsewhere = Owner {
            folder: (here.folder.0, here.folder.1 + 1),
            ..dead
        };
        let living = Owner {
            pid: 1,
            started: table::entry(1).unwrap().started,
            ..here
        };
        assert!(here.is_successor_of(dead));
        assert!(!here.is_successor_of(here));
        assert!(!here.is_successor_of(elsewhere));
        assert!(!here.is_successor_of(living));
        let nowhere = Owner::of(None);
        let dead = Owner {
            started: nowhere.started + 1,
            ..nowhere
        };
        assert!(!nowhere.is_successor_of(dead));
    }
}
