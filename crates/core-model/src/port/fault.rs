use std::{fmt, io};

/// Why a write failed: a kind, which says what has to be done, and words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub kind: FaultKind,
    /// `disk full`, `read-only`, or what the system said.
    pub reason: String,
}

/// What has to change before writes work again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// Space is needed: the disk, a quota or a limit on the size of files is used up.
    Full,
    /// The file system takes no writes.
    ReadOnly,
    /// Anything else.
    Other,
}

impl Fault {
    #[must_use]
    pub fn of(error: &io::Error) -> Self {
        let names = [
            (io::ErrorKind::StorageFull, FaultKind::Full, "disk full"),
            (
                io::ErrorKind::QuotaExceeded,
                FaultKind::Full,
                "disk quota used up",
            ),
            (
                io::ErrorKind::FileTooLarge,
                FaultKind::Full,
                "file size limit reached",
            ),
            (
                io::ErrorKind::ReadOnlyFilesystem,
                FaultKind::ReadOnly,
                "read-only",
            ),
        ];
        let named = names.into_iter().find(|(of, ..)| *of == error.kind());
        named.map_or_else(
            || Self::other(error.to_string()),
            |(_, kind, reason)| Self {
                kind,
                reason: reason.to_owned(),
            },
        )
    }

    /// One of no particular kind.
    #[must_use]
    pub fn other(reason: impl Into<String>) -> Self {
        Self {
            kind: FaultKind::Other,
            reason: reason.into(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_failures_have_plain_names() {
        use FaultKind::{Full, Other, ReadOnly};
        for (errno, kind, reason) in [
            (28, Full, "disk full"),
            (122, Full, "disk quota used up"),
            (27, Full, "file size limit reached"),
            (30, ReadOnly, "read-only"),
            (5, Other, "Input/output error (os error 5)"),
        ] {
            let fault = Fault::of(&io::Error::from_raw_os_error(errno));
            assert_eq!((fault.kind, fault.reason.as_str()), (kind, reason));
        }
    }
}
