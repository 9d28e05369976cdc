//! Signals that the shell must not inherit as ignored.

use std::{fs, sync::Once};

use nix::sys::signal::Signal;
use tokio::signal::unix::{SignalKind, signal};

/// What ends or stops a command from its terminal.
const FROM_TERMINAL: [Signal; 4] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTSTP,
];

/// A process that a script started in the background, or `nohup`, ignores some signals, and all that
/// it starts inherits that: C-c would not end a command. Gives each of these a handler that does
/// nothing: for this process that is the same, and a handler is not inherited. Does its work once.
pub(super) fn stop_handing_down_ignored() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let ignored = fs::read_to_string("/proc/self/status")
            .ok()
            .and_then(|status| ignored(&status))
            .unwrap_or(0);
        for number in FROM_TERMINAL.map(|signal| signal as i32) {
            if ignored & (1 << (number - 1)) == 0 {
                continue;
            }
            if let Err(error) = signal(SignalKind::from_raw(number)) {
                tracing::warn!(%error, signal = number, "commands will ignore this signal");
            }
        }
    });
}

/// The mask of ignored signals in `/proc/PID/status` (proc(5)): bit n-1 stands for signal n.
fn ignored(status: &str) -> Option<u64> {
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_is_read_from_its_line() {
        let status = "SigBlk:\t0000000000000001\nSigIgn:\t0000000000001006\nSigCgt:\t00\n";
        assert_eq!(ignored(status), Some(0x1006));
        assert_eq!(ignored("SigBlk:\t0"), None);
    }
}
