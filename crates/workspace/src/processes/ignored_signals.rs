//! Signals that a process was started to ignore.

use std::{fs, sync::Once};

use super::signal::Signal;
use tokio::signal::unix::{SignalKind, signal};

/// What ends or stops a command from its terminal.
const FROM_TERMINAL: [Signal; 4] = [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TSTP];

/// Whether this process ignores `signal`, as one that `nohup` started does a hangup. False where the
/// system does not say.
#[must_use]
pub fn is_ignored(signal: Signal) -> bool {
    own_mask() & (1 << (signal.as_raw() - 1)) != 0
}

/// A process that a script started in the background, or `nohup`, ignores some signals, and all that
/// it starts inherits that: C-c would not end a command. Gives each of these a handler that does
/// nothing: for this process that is the same, and a handler is not inherited. Only the first call acts.
pub(super) fn stop_passing_on() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let ignored = FROM_TERMINAL.into_iter().filter(|it| is_ignored(*it));
        for number in ignored.map(Signal::as_raw) {
            if let Err(error) = signal(SignalKind::from_raw(number)) {
                tracing::warn!(%error, signal = number, "commands will ignore this signal");
            }
        }
    });
}

fn own_mask() -> u64 {
    let status = fs::read_to_string("/proc/self/status").ok();
    status.and_then(|status| ignored(&status)).unwrap_or(0)
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
