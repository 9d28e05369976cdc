//! Lines for the person who ran a command. Whether anybody reads them, or can, changes nothing of what
//! the command does: no panic where a pipe was closed, no end that waits for one that is full.

use std::{
    fmt::Display,
    io::{self, Write},
    os::fd::AsFd,
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// How long an error waits for room on standard error, in milliseconds. A pipe that has room takes a
/// short line as a whole.
const ROOM_TIMEOUT: u16 = 1_000;

/// `1 event`, `2 events`.
pub(crate) fn counted(count: u64, one: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {one}{s}")
}

/// Text that others wrote, in one line and without what a terminal would act on.
pub(crate) fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// A result, on standard output.
pub(crate) fn line(text: impl Display) {
    writeln!(io::stdout(), "{text}").ok();
}

/// An error or a warning, on standard error.
pub(crate) fn error_line(text: impl Display) {
    let stderr = io::stderr();
    let mut room = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    // Where the system does not say, the write itself shows it.
    if poll(&mut room, PollTimeout::from(ROOM_TIMEOUT)) != Ok(0) {
        writeln!(stderr.lock(), "{text}").ok();
    }
}
