//! Prompt markers: how the shell says, within the byte stream of its terminal, that a command
//! began or that it waits for the next one.
//!
//! A marker is `RS nonce : field GS field … US`. The nonce is random per shell, and the shell's
//! own variables spell the control bytes as escapes, so neither foreign output nor a dump of the
//! variables (`set`, `declare -p`) forms a marker.

/// Starts a marker: ASCII record separator.
const START: u8 = 0x1e;
/// Parts the fields: ASCII group separator.
const SEPARATOR: u8 = 0x1d;
/// Ends a marker: ASCII unit separator.
const END: u8 = 0x1f;
/// No marker is longer: one `PWD` and one generous `PATH`, in bytes.
const LONGEST: usize = 64 * 1024;

/// A stretch of the stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// What programs wrote.
    Output(&'a [u8]),
    /// The shell starts the command of this number.
    Begin(u64),
    Prompt(Prompt),
}

/// The shell is done with a command and waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Prompt {
    /// The number of the command it is done with.
    pub(super) number: u64,
    pub(super) exit_code: i32,
    /// The shell's `PWD`.
    pub(super) working_dir: String,
    /// The shell's `PATH`.
    pub(super) path: String,
}

/// Takes markers out of a stream that comes in arbitrary chunks.
#[derive(Debug)]
pub(super) struct Scanner {
    introducer: Vec<u8>,
    /// The start of what may become a marker.
    held: Vec<u8>,
}

impl Scanner {
    pub(super) fn new(nonce: &str) -> Self {
        let mut introducer = vec![START];
        introducer.extend_from_slice(nonce.as_bytes());
        introducer.push(b':');
        Self {
            introducer,
            held: Vec::new(),
        }
    }

    /// Hands the pieces of `chunk` to `each`, in order.
    pub(super) fn push(&mut self, chunk: &[u8], mut each: impl FnMut(Piece<'_>)) {
        let held = std::mem::take(&mut self.held);
        if held.is_empty() {
            self.held = self.scan(chunk, &mut each).to_vec();
        } else {
            let joined = [held.as_slice(), chunk].concat();
            self.held = self.scan(&joined, &mut each).to_vec();
        }
    }

    /// Returns the tail that needs more bytes to be understood.
    fn scan<'a>(&self, mut rest: &'a [u8], each: &mut impl FnMut(Piece<'_>)) -> &'a [u8] {
        let mut output = rest;
        let mut plain = 0;
        while let Some(offset) = rest.iter().position(|byte| *byte == START) {
            plain += offset;
            rest = &rest[offset..];
            let parsed = self.marker(rest);
            if let Parsed::No = parsed {
                plain += 1;
                rest = &rest[1..];
                continue;
            }
            if plain > 0 {
                each(Piece::Output(&output[..plain]));
            }
            let Parsed::Marker(piece, length) = parsed else {
                return rest;
            };
            each(piece);
            rest = &rest[length..];
            output = rest;
            plain = 0;
        }
        if !output.is_empty() {
            each(Piece::Output(output));
        }
        &[]
    }

    /// Reads a marker at the start of `bytes`.
    fn marker(&self, bytes: &[u8]) -> Parsed {
        let Some(body) = bytes.strip_prefix(self.introducer.as_slice()) else {
            return if self.introducer.starts_with(bytes) {
                Parsed::Incomplete
            } else {
                Parsed::No
            };
        };
        let Some(end) = body.iter().position(|byte| *byte == END) else {
            return if body.len() < LONGEST {
                Parsed::Incomplete
            } else {
                Parsed::No
            };
        };
        match fields(&body[..end]) {
            Some(piece) => Parsed::Marker(piece, self.introducer.len() + end + 1),
            None => Parsed::No,
        }
    }
}

enum Parsed {
    /// A marker and its length in bytes.
    Marker(Piece<'static>, usize),
    Incomplete,
    No,
}

fn fields(body: &[u8]) -> Option<Piece<'static>> {
    let text = String::from_utf8_lossy(body);
    let fields: Vec<&str> = text.split(char::from(SEPARATOR)).collect();
    match fields.as_slice() {
        ["begin", number] => Some(Piece::Begin(number.parse().ok()?)),
        ["prompt", number, exit_code, working_dir, path] => Some(Piece::Prompt(Prompt {
            number: number.parse().ok()?,
            exit_code: exit_code.parse().ok()?,
            working_dir: (*working_dir).to_owned(),
            path: (*path).to_owned(),
        })),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] =
        b"one\x1en0:begin\x1d7\x1ftwo\x1ethree\x1en0:prompt\x1d7\x1d130\x1d/a b\x1d/bin\x1ffour";

    /// The pieces of `chunks`, neighbouring output joined.
    fn pieces<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
        let mut scanner = Scanner::new("n0");
        let mut seen: Vec<String> = Vec::new();
        let mut joins = false;
        for chunk in chunks {
            scanner.push(chunk, |piece| {
                let (text, output) = match piece {
                    Piece::Output(bytes) => (String::from_utf8_lossy(bytes).into_owned(), true),
                    Piece::Begin(number) => (format!("<begin {number}>"), false),
                    Piece::Prompt(prompt) => (format!("<{prompt:?}>"), false),
                };
                match seen.last_mut() {
                    Some(last) if output && joins => last.push_str(&text),
                    _ => seen.push(text),
                }
                joins = output;
            });
        }
        seen
    }

    #[test]
    fn markers_part_the_stream_wherever_it_is_cut() {
        let prompt = Prompt {
            number: 7,
            exit_code: 130,
            working_dir: "/a b".into(),
            path: "/bin".into(),
        };
        let expected = vec![
            "one".to_owned(),
            "<begin 7>".into(),
            "two\x1ethree".into(),
            format!("<{prompt:?}>"),
            "four".into(),
        ];
        for size in 1..=STREAM.len() {
            assert_eq!(pieces(STREAM.chunks(size)), expected, "chunks of {size}");
        }
    }

    #[test]
    fn other_nonces_and_broken_markers_are_output() {
        for forged in [
            "\x1en1:begin\x1d7\x1f",
            "\x1en0:begin\x1dseven\x1f",
            "\\036n0:begin\\0357\\037",
            "\x1en0:prompt\x1d7\x1d0\x1f",
        ] {
            assert_eq!(pieces([forged.as_bytes()].into_iter()), [forged]);
        }
    }

    #[test]
    fn an_endless_marker_is_output() {
        let mut scanner = Scanner::new("n0");
        let mut length = 0;
        let forged = [b"\x1en0:".as_slice(), &[b'x'; LONGEST]].concat();
        scanner.push(&forged, |piece| match piece {
            Piece::Output(bytes) => length += bytes.len(),
            Piece::Begin(_) | Piece::Prompt(_) => panic!("a marker"),
        });
        assert_eq!(length, forged.len());
    }
}
