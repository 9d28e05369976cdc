//! What an answer means, apart from when to try again.

use crate::sender::{Answer, FailureKind};

/// What an answer means for what was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Taken,
    /// The receiver could not, and may be able to soon.
    Later,
    /// The receiver does not want these events, and will not want them the next time.
    Refused,
    /// The address or the key is wrong: no fault of these events. A person has to change the
    /// configuration or the receiver.
    Misdirected,
}

impl Verdict {
    pub(crate) fn on(answer: &Answer) -> Self {
        match answer {
            Answer::Status { code, .. } => Self::on_status(*code),
            Answer::Failed(failure) => match failure.kind {
                FailureKind::Timeout | FailureKind::Connection => Self::Later,
                FailureKind::Forbidden | FailureKind::Unbuildable => Self::Misdirected,
            },
        }
    }

    fn on_status(code: u16) -> Self {
        match code {
            200..=299 => Self::Taken,
            408 | 425 | 429 | 500..=599 => Self::Later,
            401 | 403 | 407 => Self::Misdirected,
            400..=499 => Self::Refused,
            // Redirects are not followed: the body would go to another receiver, or nowhere.
            _ => Self::Misdirected,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sender::Failure;

    #[test]
    fn every_answer_has_its_verdict() {
        use Verdict::{Later, Misdirected, Refused, Taken};
        for (codes, verdict) in [
            (&[200, 201, 202, 204, 299][..], Taken),
            (&[408, 425, 429, 500, 502, 503, 504, 599], Later),
            (&[400, 404, 405, 410, 413, 415, 422, 499], Refused),
            (
                &[101, 301, 302, 307, 308, 401, 403, 407, 600, 999],
                Misdirected,
            ),
        ] {
            for code in codes.iter().copied() {
                let answer = Answer::Status {
                    code,
                    retry_after: None,
                };
                assert_eq!(Verdict::on(&answer), verdict, "{code}");
            }
        }
        for (kind, verdict) in [
            (FailureKind::Timeout, Later),
            (FailureKind::Connection, Later),
            (FailureKind::Forbidden, Misdirected),
            (FailureKind::Unbuildable, Misdirected),
        ] {
            let reason = String::new();
            let answer = Answer::Failed(Failure { kind, reason });
            assert_eq!(Verdict::on(&answer), verdict, "{kind:?}");
        }
    }
}
