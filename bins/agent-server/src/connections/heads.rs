/// Bytes of the shortest request head; of blank lines that are closer together, the second does not end one.
const SHORTEST: usize = 16;

/// Finds where request heads end, in bytes that come piece by piece: at blank lines. It does not know of
/// bodies, which may have blank lines too, so it may find too many ends. Blank lines before a request are
/// not ends of heads: otherwise all of them would be searched again for each.
#[derive(Default)]
pub(super) struct Heads {
    /// The last two bytes.
    last: [u8; 2],
    /// Bytes since a head ended.
    since: usize,
    /// Whether there is more than line ends among these.
    begun: bool,
}

impl Heads {
    /// How many of these bytes come before the one that would end a second head, and whether one has ended
    /// by then; `ended` says whether one has before.
    pub(super) fn pass(&mut self, bytes: &[u8], mut ended: bool) -> (usize, bool) {
        let (mut start, mut passing, mut seen) = (0, bytes.len(), 0);
        for at in memchr::memchr_iter(b'\n', bytes) {
            let before = match at {
                0 => self.last,
                1 => [self.last[1], bytes[0]],
                at => [bytes[at - 2], bytes[at - 1]],
            };
            let blank = before[1] == b'\n' || before == *b"\n\r";
            self.begun |= has_text(&bytes[seen..at]);
            seen = at + 1;
            if blank && self.begun && self.since + (at + 1 - start) >= SHORTEST {
                if ended {
                    passing = at;
                    break;
                }
                (ended, start, self.since) = (true, at + 1, 0);
                self.begun = false;
            }
        }
        self.begun |= bytes.get(seen..passing).is_some_and(has_text);
        self.since += passing - start;
        self.last = match bytes[..passing] {
            [] => self.last,
            [one] => [self.last[1], one],
            [.., a, b] => [a, b],
        };
        (passing, ended)
    }

    /// Bytes that came since a head ended.
    pub(super) fn since(&self) -> usize {
        self.since
    }

    /// Starts again after the end of a body.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }
}

fn has_text(bytes: &[u8]) -> bool {
    bytes.iter().any(|byte| !matches!(byte, b'\r' | b'\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n";

    #[test]
    fn heads_pass_one_at_a_time_however_they_are_cut() {
        let bytes = HEAD.repeat(5);
        for piece in [1, 2, 3, 7, 33, 34, 1000] {
            let mut heads = Heads::default();
            let (mut turns, mut ended) = (0, false);
            for mut part in bytes.chunks(piece) {
                while !part.is_empty() {
                    let (passing, has) = heads.pass(part, ended);
                    part = &part[passing..];
                    ended = has;
                    if !part.is_empty() {
                        turns += 1;
                        ended = false;
                    }
                }
            }
            assert_eq!(turns, 4, "in pieces of {piece}");
            assert!(ended);
        }
    }

    #[test]
    fn what_passes_stops_before_the_second_end() {
        let bytes = HEAD.repeat(3);
        let mut heads = Heads::default();
        assert_eq!(heads.pass(&bytes, false), (2 * HEAD.len() - 1, true));
        assert_eq!(heads.since(), HEAD.len() - 1);
        let bare = b"GET /health HTTP/1.1\nHost: x\n\nbody";
        let mut heads = Heads::default();
        assert_eq!(heads.pass(bare, false), (bare.len(), true));
        assert_eq!(heads.since(), 4);
        let mut heads = Heads::default();
        assert_eq!(heads.pass(bare, true), (bare.len() - 5, true));
    }

    #[test]
    fn blank_lines_before_a_request_end_none() {
        for lines in [&b"\n".repeat(50_000), &b"\r\n".repeat(50_000)] {
            for piece in [1, 16, 1000, lines.len()] {
                let mut heads = Heads::default();
                for part in lines.chunks(piece) {
                    assert_eq!(heads.pass(part, true), (part.len(), true));
                }
                assert_eq!(heads.pass(HEAD, false), (HEAD.len(), true));
                assert_eq!(heads.pass(HEAD, true), (HEAD.len() - 1, true));
            }
        }
    }
}
