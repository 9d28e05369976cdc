/// Bytes of the shortest request head; blank lines that are closer together end none.
const SHORTEST: usize = 16;

/// Finds where request heads end, in bytes that come piece by piece: at blank lines. It knows nothing of
/// bodies, which may hold blank lines too, so it finds rather too many.
#[derive(Default)]
pub(super) struct Heads {
    /// The last two bytes.
    last: [u8; 2],
    /// Bytes since a head ended.
    since: usize,
}

impl Heads {
    /// How many of these bytes come before the `most`-th head has ended, and how many heads end in them.
    pub(super) fn pass(&mut self, bytes: &[u8], most: usize) -> (usize, usize) {
        let (mut done, mut ended) = (0, 0);
        for at in memchr::memchr_iter(b'\n', bytes) {
            let before = match at {
                0 => self.last,
                1 => [self.last[1], bytes[0]],
                at => [bytes[at - 2], bytes[at - 1]],
            };
            let blank = before[1] == b'\n' || before == *b"\n\r";
            if blank && self.since + (at + 1 - done) >= SHORTEST {
                ended += 1;
                done = at + 1;
                self.since = 0;
                if ended == most {
                    break;
                }
            }
        }
        let passing = if ended == most { done } else { bytes.len() };
        self.since += passing - done;
        self.last = match bytes[..passing] {
            [] => self.last,
            [one] => [self.last[1], one],
            [.., a, b] => [a, b],
        };
        (passing, ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n";

    #[test]
    fn heads_are_found_however_they_are_cut() {
        let bytes = HEAD.repeat(5);
        for piece in [1, 2, 3, 7, 33, 34, 1000] {
            let mut heads = Heads::default();
            let mut ended = 0;
            for mut part in bytes.chunks(piece) {
                while !part.is_empty() {
                    let (passing, more) = heads.pass(part, 1);
                    assert!(passing > 0 && more <= 1);
                    ended += more;
                    part = &part[passing..];
                }
            }
            assert_eq!(ended, 5, "in pieces of {piece}");
        }
    }

    #[test]
    fn no_more_pass_than_are_wanted() {
        let bytes = HEAD.repeat(5);
        assert_eq!(Heads::default().pass(&bytes, 3), (3 * HEAD.len(), 3));
        assert_eq!(Heads::default().pass(&bytes, 9), (bytes.len(), 5));
        let bare = b"GET /health HTTP/1.1\nHost: x\n\nGET";
        assert_eq!(Heads::default().pass(bare, 1), (bare.len() - 3, 1));
    }

    #[test]
    fn blank_lines_close_together_are_not_counted_each() {
        let lines = vec![b'\n'; 160];
        assert_eq!(Heads::default().pass(&lines, 100), (160, 10));
    }
}
