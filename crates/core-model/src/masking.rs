//! Masks secrets in texts that others wrote: a provider's error, a receiver's answer.
//!
//! A secret is found as it is, in escapes of JSON and of programming languages, percent-encoded,
//! HTML-escaped, in Base64 (both alphabets, alone or inside a longer text), and in mixtures of these.
//! Instead of listing all forms of a secret, the text is decoded in all these ways.

mod reading;

use std::{fmt, ops::Range};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use secrecy::{ExposeSecret, SecretSlice};

use crate::secrets::MASK;
use reading::{Encoding, End, Unit};

/// Shorter secrets are not searched for, because that would mask everyday words.
pub const SHORTEST_SECRET: usize = 4;

/// Shorter ones are not searched for in Base64, where only few characters depend on them alone.
pub const SHORTEST_IN_BASE64: usize = 8;

/// How often a text may be encoded as a whole, besides the encoding of its characters.
const LAYERS: usize = 3;

/// Secrets that nobody may read.
#[derive(Default)]
pub struct SecretMask(Vec<Needle>);

/// One form of a secret.
struct Needle {
    bytes: SecretSlice<u8>,
    /// In Base64, characters beside it that still have a few bits of the secret.
    before: usize,
    after: usize,
}

impl SecretMask {
    /// White space around a secret is not part of it. A percent-encoded secret, as in an address, is
    /// searched for as it is and decoded.
    pub fn new<T: AsRef<str>>(secrets: impl IntoIterator<Item = T>) -> Self {
        let mut mask = Self::default();
        for secret in secrets {
            let secret = secret.as_ref().trim();
            mask.add(secret.as_bytes());
            if let Some(units) = reading::decoded(&reading::plain(secret), Encoding::Percent) {
                let bytes: Vec<u8> = units.iter().map(|unit| unit.byte).collect();
                // Bytes that are not text could be found across the borders of characters.
                if std::str::from_utf8(&bytes).is_ok() {
                    mask.add(&bytes);
                }
            }
        }
        mask
    }

    fn add(&mut self, secret: &[u8]) {
        if secret.len() >= SHORTEST_SECRET {
            self.0.push(Needle::plain(secret));
        }
        if secret.len() >= SHORTEST_IN_BASE64 {
            self.0.extend(in_base64(secret));
        }
    }

    /// The text with [`MASK`] instead of every secret.
    #[must_use]
    pub fn mask(&self, text: &str) -> String {
        replaced(text, self.found(text, End::Whole))
    }

    /// At most the first `limit` bytes of the text, masked. If the cut goes through a secret, the part before
    /// the cut is masked too.
    #[must_use]
    pub fn mask_up_to(&self, text: &str, limit: usize) -> String {
        let start = &text[..text.floor_char_boundary(limit)];
        let end = if start.len() == text.len() {
            End::Whole
        } else {
            End::Cut
        };
        replaced(start, self.found(start, end))
    }

    /// Whether a secret is in the text.
    #[must_use]
    pub fn is_in(&self, text: &str) -> bool {
        !self.found(text, End::Whole).is_empty()
    }

    fn found(&self, text: &str, end: End) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        if !self.0.is_empty() {
            self.search(&reading::plain(text), end, LAYERS, &mut found);
        }
        found
    }

    /// Searches one decoding of a text, and then those in which it is decoded once more.
    fn search(&self, units: &[Unit], end: End, layers: usize, found: &mut Vec<Range<usize>>) {
        for needle in &self.0 {
            needle.search(units, end, found);
        }
        if layers == 0 {
            return;
        }
        for encoding in Encoding::ALL {
            if let Some(decoded) = reading::decoded(units, encoding) {
                self.search(&decoded, end, layers - 1, found);
            }
        }
    }
}

impl fmt::Debug for SecretMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl Needle {
    fn plain(secret: &[u8]) -> Self {
        Self {
            bytes: secret.to_vec().into(),
            before: 0,
            after: 0,
        }
    }

    fn search(&self, units: &[Unit], end: End, found: &mut Vec<Range<usize>>) {
        let needle = self.bytes.expose_secret();
        let mut at = 0;
        while at < units.len() {
            let Some(behind) = reading::matched(units, at, needle, end) else {
                at += 1;
                continue;
            };
            let in_base64 = |unit: &&Unit| {
                unit.byte.is_ascii_alphanumeric() || matches!(unit.byte, b'+' | b'/' | b'-' | b'_')
            };
            let before = units[..at]
                .iter()
                .rev()
                .take(self.before)
                .take_while(in_base64);
            let after = units[behind..]
                .iter()
                .take(self.after)
                .take_while(in_base64);
            let (first, last) = (at - before.count(), behind + after.count());
            found.push(units[first].start()..units[last - 1].end());
            at = behind;
        }
    }
}

/// The part of a secret's Base64 that does not depend on the text before and after it, for each of the three
/// positions that its first byte can have in a group.
fn in_base64(secret: &[u8]) -> Vec<Needle> {
    let mut needles: Vec<Needle> = Vec::new();
    for place in 0..3 {
        let mut bytes = vec![0; place];
        bytes.extend_from_slice(secret);
        // Six bits a character.
        let (bits_before, bits) = (8 * place, 8 * bytes.len());
        let own = bits_before.div_ceil(6)..bits / 6;
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            let text = engine.encode(&bytes);
            let own = text.as_bytes()[own.clone()].to_vec();
            if needles
                .iter()
                .all(|needle| needle.bytes.expose_secret() != own)
            {
                needles.push(Needle {
                    bytes: own.into(),
                    before: usize::from(bits_before % 6 != 0),
                    after: usize::from(bits % 6 != 0),
                });
            }
        }
    }
    needles
}

fn replaced(text: &str, mut found: Vec<Range<usize>>) -> String {
    found.sort_by_key(|range| range.start);
    let mut masked = String::with_capacity(text.len());
    let mut at = 0;
    let mut ranges = found.into_iter().peekable();
    while let Some(mut range) = ranges.next() {
        while let Some(next) = ranges.next_if(|next| next.start <= range.end) {
            range.end = range.end.max(next.end);
        }
        masked.push_str(text.get(at..range.start).unwrap_or_default());
        masked.push_str(MASK);
        at = range.end;
    }
    masked.push_str(text.get(at..).unwrap_or_default());
    masked
}

#[cfg(test)]
mod tests;
