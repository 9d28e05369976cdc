//! Which processes signals may reach.

use std::{os::unix::process::CommandExt, process::Command};

use super::{OwnProcess, Policy, Processes, Signal, owner::Owner, send, table, tree::TAG_VARIABLE};

/// A process that ends with the test.
struct Sleeper(std::process::Child);

impl Sleeper {
    fn start(command: &mut Command) -> Self {
        Self(command.arg("1000").spawn().unwrap())
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).unwrap()
    }

    fn is_alive(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn sleeper_apart() -> Sleeper {
    Sleeper::start(Command::new("sleep").process_group(0))
}

#[test]
fn signals_reach_what_was_seen_and_nothing_else() {
    let mut sleeper = sleeper_apart();
    let seen = table::entry(sleeper.pid()).unwrap();
    // the same id, used by something else since
    let other = table::Entry {
        started: seen.started + 1,
        ..seen
    };
    assert!(OwnProcess::seen(&other).is_none());
    for pid in [0, 1, -1, -seen.pid, std::process::id().cast_signed()] {
        assert!(
            OwnProcess::seen(&table::Entry { pid, ..seen }).is_none(),
            "{pid}"
        );
    }
    for id in [0, 1, u32::MAX, std::process::id()] {
        assert!(OwnProcess::unreaped(id).is_none(), "{id}");
    }
    assert!(sleeper.is_alive());

    let process = OwnProcess::seen(&seen).unwrap();
    send(&process, Signal::TERM).unwrap();
    sleeper.0.wait().unwrap();
    // it is gone, and a process that has its id now gets no signal
    send(&process, Signal::TERM).unwrap();
    assert!(OwnProcess::seen(&seen).is_none());
}

#[test]
fn nothing_in_our_own_process_group_is_signalled() {
    let mut sleeper = Sleeper::start(&mut Command::new("sleep"));
    let seen = table::entry(sleeper.pid()).unwrap();
    assert!(OwnProcess::seen(&seen).is_none());
    assert!(!table::others().contains(&seen));
    assert!(sleeper.is_alive());
}

#[test]
fn a_server_ends_what_an_earlier_one_left_and_nothing_of_others() {
    let folder = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    let owner = Owner::of(Some(folder.path()));
    let tagged = |tag: &str| {
        let mut command = Command::new("sleep");
        Sleeper::start(command.env(TAG_VARIABLE, tag).process_group(0))
    };
    // servers that are gone: no process starts with the machine's first tick but those of the kernel
    let gone = |owner: &Owner| owner.to_string().rsplit_once('-').unwrap().0.to_owned() + "-1";
    let mut left = tagged(&format!("{}-abc", gone(&owner)));
    let mut kept = [
        tagged(&owner.tag("abc")),
        tagged(&format!("{}-abc", gone(&Owner::of(Some(other.path()))))),
        tagged("abc"),
        sleeper_apart(),
    ];
    let processes = Processes::new(&Policy::default(), Some(folder.path()));
    processes.end_leftovers();
    // only its parent, this process, may reap it
    left.0.wait().unwrap();
    assert!(kept.iter_mut().all(Sleeper::is_alive));
}
