//! The ways in which a text can be read: byte by byte, or with escapes decoded.

use std::collections::HashSet;

/// A byte, and the part of the original text that stands for it.
#[derive(Clone, Copy)]
pub(super) struct Unit {
    pub(super) byte: u8,
    start: u32,
    end: u32,
}

#[derive(Clone, Copy)]
pub(super) enum Encoding {
    /// `\/`, `\u002B`, also `\x2b`, `\u{2b}`.
    Backslash,
    /// `%2B`.
    Percent,
    /// `&#43;`, `&#x2B;`, `&amp;`.
    Html,
}

/// Whether a text continues after the part that is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Whole,
    Cut,
}

/// An escape that is cut has fewer units than this: than the longest one, `\ud83d\ude00`, in each of
/// the layers.
const CUT_ESCAPE: usize = 12 * (super::LAYERS + 1);

/// A decoded escape.
struct Decoded {
    bytes: [u8; 4],
    len: usize,
    /// How many units it takes.
    taken: usize,
}

impl Unit {
    pub(super) fn start(self) -> usize {
        self.start as usize
    }

    pub(super) fn end(self) -> usize {
        self.end as usize
    }
}

impl Encoding {
    pub(super) const ALL: [Self; 3] = [Self::Backslash, Self::Percent, Self::Html];

    fn mark(self) -> u8 {
        match self {
            Self::Backslash => b'\\',
            Self::Percent => b'%',
            Self::Html => b'&',
        }
    }

    /// The escape that begins with the first of these units.
    fn decode(self, units: &[Unit]) -> Option<Decoded> {
        if units.first()?.byte != self.mark() {
            return None;
        }
        let rest = &units[1..];
        match self {
            Self::Backslash => backslash(rest),
            Self::Percent => Some(Decoded::byte(hex_byte(rest)?, 3)),
            Self::Html => html(rest),
        }
    }
}

impl Decoded {
    fn byte(byte: u8, taken: usize) -> Self {
        Self {
            bytes: [byte, 0, 0, 0],
            len: 1,
            taken,
        }
    }

    fn char(code: u32, taken: usize) -> Option<Self> {
        let mut bytes = [0; 4];
        let len = char::from_u32(code)?.encode_utf8(&mut bytes).len();
        Some(Self { bytes, len, taken })
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Every byte by itself. Only the first four gigabytes of a text are read.
pub(super) fn plain(text: &str) -> Vec<Unit> {
    let units = text.bytes().zip(0_u32..u32::MAX);
    units
        .map(|(byte, start)| Unit {
            byte,
            start,
            end: start + 1,
        })
        .collect()
}

/// The same with all escapes of one kind decoded; none if there are none.
pub(super) fn decoded(units: &[Unit], encoding: Encoding) -> Option<Vec<Unit>> {
    let mut read = Vec::with_capacity(units.len());
    let mut any = false;
    let mut at = 0;
    while let Some(unit) = units.get(at) {
        let Some(decoded) = encoding.decode(&units[at..]) else {
            read.push(*unit);
            at += 1;
            continue;
        };
        any = true;
        let end = units[at + decoded.taken - 1].end;
        read.extend(decoded.bytes().iter().map(|byte| Unit {
            byte: *byte,
            start: unit.start,
            end,
        }));
        at += decoded.taken;
    }
    any.then_some(read)
}

/// The end of a `needle` that begins at `start`, each of its bytes as it is or in any escape. If the
/// text is cut, it may end after the cut.
pub(super) fn matched(units: &[Unit], start: usize, needle: &[u8], end: End) -> Option<usize> {
    let mut seen = HashSet::new();
    let mut open = vec![(start, 0)];
    while let Some((at, done)) = open.pop() {
        if done == needle.len() {
            return Some(at);
        }
        let cut = end == End::Cut && done > 0;
        let Some(unit) = units.get(at) else {
            if cut {
                return Some(at);
            }
            continue;
        };
        let as_it_is = (unit.byte == needle[done]).then_some((at + 1, done + 1));
        let escaped = Encoding::ALL
            .into_iter()
            .find(|encoding| encoding.mark() == unit.byte);
        let escaped = escaped.map(|encoding| encoding.decode(&units[at..]));
        if cut && matches!(escaped, Some(None)) && units.len() - at < CUT_ESCAPE {
            return Some(units.len());
        }
        let escaped = escaped.flatten().and_then(|decoded| {
            let fits = needle[done..].starts_with(decoded.bytes());
            fits.then_some((at + decoded.taken, done + decoded.len))
        });
        match (as_it_is, escaped) {
            (Some(one), Some(other)) => {
                open.extend([one, other].into_iter().filter(|state| seen.insert(*state)));
            }
            (one, other) => open.extend(one.or(other)),
        }
    }
    None
}

fn backslash(rest: &[Unit]) -> Option<Decoded> {
    let plain = |byte| Some(Decoded::byte(byte, 2));
    match rest.first()?.byte {
        byte @ (b'"' | b'\'' | b'\\' | b'/') => plain(byte),
        b'n' => plain(b'\n'),
        b'r' => plain(b'\r'),
        b't' => plain(b'\t'),
        b'b' => plain(8),
        b'f' => plain(12),
        b'x' => Some(Decoded::byte(hex_byte(&rest[1..])?, 4)),
        b'u' if rest.get(1).is_some_and(|unit| unit.byte == b'{') => {
            let (code, digits) = number(&rest[2..], 16, 6)?;
            (rest.get(2 + digits)?.byte == b'}').then_some(())?;
            Decoded::char(code, digits + 4)
        }
        b'u' => utf16(rest),
        _ => None,
    }
}

/// `u002B`, or two of these for a character beyond the first 65,536.
fn utf16(rest: &[Unit]) -> Option<Decoded> {
    let four = |units: &[Unit]| {
        let (code, digits) = number(units, 16, 4)?;
        (digits == 4).then_some(code)
    };
    let high = four(rest.get(1..)?)?;
    if !(0xD800..0xDC00).contains(&high) {
        return Decoded::char(high, 6);
    }
    let marked = rest.get(5)?.byte == b'\\' && rest.get(6)?.byte == b'u';
    let low = four(rest.get(7..)?).filter(|low| marked && (0xDC00..0xE000).contains(low))?;
    Decoded::char(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00), 12)
}

fn html(rest: &[Unit]) -> Option<Decoded> {
    const NAMES: [(&[u8], u8); 14] = [
        (b"amp;", b'&'),
        (b"lt;", b'<'),
        (b"gt;", b'>'),
        (b"quot;", b'"'),
        (b"apos;", b'\''),
        (b"sol;", b'/'),
        (b"bsol;", b'\\'),
        (b"plus;", b'+'),
        (b"equals;", b'='),
        (b"colon;", b':'),
        (b"commat;", b'@'),
        (b"percnt;", b'%'),
        (b"lowbar;", b'_'),
        (b"num;", b'#'),
    ];
    let begins = |name: &[u8]| {
        let found = rest.get(..name.len());
        found.is_some_and(|found| {
            found
                .iter()
                .zip(name)
                .all(|(unit, byte)| unit.byte == *byte)
        })
    };
    if let Some((name, byte)) = NAMES.iter().find(|(name, _)| begins(name)) {
        return Some(Decoded::byte(*byte, name.len() + 1));
    }
    let (code, before, digits) = if begins(b"#x") || begins(b"#X") {
        let (code, digits) = number(&rest[2..], 16, 6)?;
        (code, 2, digits)
    } else if begins(b"#") {
        let (code, digits) = number(&rest[1..], 10, 7)?;
        (code, 1, digits)
    } else {
        return None;
    };
    let ends = rest.get(before + digits)?.byte == b';';
    ends.then(|| Decoded::char(code, before + digits + 2))?
}

fn hex_byte(units: &[Unit]) -> Option<u8> {
    let (code, digits) = number(units, 16, 2)?;
    u8::try_from(code).ok().filter(|_| digits == 2)
}

/// A number of at most so many digits, and how many it has, at least one.
fn number(units: &[Unit], radix: u32, most: usize) -> Option<(u32, usize)> {
    let digits = units.iter().take(most);
    let digits = digits.map_while(|unit| char::from(unit.byte).to_digit(radix));
    let (number, count) = digits.fold((0, 0), |(number, count), digit| {
        (number * radix + digit, count + 1)
    });
    (count > 0).then_some((number, count))
}
