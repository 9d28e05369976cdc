use std::{fmt, str::FromStr};

/// A place in the order over all conversations: before the event `seq` of the change at `position`.
/// Its text is opaque to clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// A part of the feed's id, because a cursor means nothing in another feed.
    pub(super) feed: u64,
    pub(super) position: u64,
    /// 0 for the beginning of the change.
    pub(super) seq: u64,
}

impl Cursor {
    /// The same feed at the beginning of the change at `position`.
    pub(super) fn at(self, position: u64) -> Self {
        Self {
            position,
            seq: 0,
            ..self
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}-{}", self.feed, self.position, self.seq)
    }
}

impl FromStr for Cursor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let cursor = || {
            let mut parts = text.split('-');
            let feed = parts.next().filter(|feed| feed.len() == 16)?;
            let cursor = Self {
                feed: u64::from_str_radix(feed, 16).ok()?,
                position: parts.next()?.parse().ok()?,
                seq: parts.next()?.parse().ok()?,
            };
            parts.next().is_none().then_some(cursor)
        };
        cursor().ok_or_else(|| format!("`{text}` is not a valid cursor"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_from_its_text() {
        let cursor = Cursor {
            feed: 0xfeed,
            position: 12,
            seq: 3,
        };
        assert_eq!(cursor.to_string(), "000000000000feed-12-3");
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for bad in [
            "",
            "x",
            "feed-1-2",
            "000000000000feed-1",
            "000000000000feed-1-2-3",
            "000000000000feed--1",
        ] {
            assert!(bad.parse::<Cursor>().is_err(), "{bad}");
        }
    }
}
