use aes::Aes128;
use base64::{Engine, engine::general_purpose::URL_SAFE};
use cbc::{
    Decryptor,
    cipher::{BlockModeDecrypt, KeyIvInit, block_padding::Pkcs7},
};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::config::Settings;

const VERSION: u8 = 0x80;
const TIME_BYTES: usize = 8;
const IV_BYTES: usize = 16;
const MAC_BYTES: usize = 32;

/// Opens secrets as the reference server encrypts them: Fernet tokens (specification version 0x80:
/// AES-128-CBC, HMAC-SHA256) under the SHA-256 of its secret key.
pub(super) struct Fernet {
    keys: Vec<[u8; 32]>,
}

impl Fernet {
    /// With the keys that the reference would take from the same configuration: its secret key, or
    /// in place of one the session API keys.
    pub(super) fn new(settings: &Settings) -> Self {
        let secret_key = settings.secret_key.as_ref().and_then(|key| key.text());
        Self::with_keys(secret_key.into_iter().chain(settings.keys()))
    }

    fn with_keys<'a>(texts: impl Iterator<Item = &'a str>) -> Self {
        Self {
            keys: texts.map(|text| Sha256::digest(text).into()).collect(),
        }
    }

    /// The content of the token; none when it is not a valid token, or was encrypted with another key.
    pub(super) fn open(&self, token: &str) -> Option<String> {
        let token = URL_SAFE.decode(token).ok()?;
        self.keys.iter().find_map(|key| open(key, &token))
    }
}

fn open(key: &[u8; 32], token: &[u8]) -> Option<String> {
    let (signing, encryption) = key.split_at(16);
    let (signed, signature) = token.split_at_checked(token.len().checked_sub(MAC_BYTES)?)?;
    let mut mac = Hmac::<Sha256>::new_from_slice(signing).ok()?;
    mac.update(signed);
    mac.verify_slice(signature).ok()?;
    let (head, text) = signed.split_at_checked(1 + TIME_BYTES + IV_BYTES)?;
    if head[0] != VERSION {
        return None;
    }
    let cipher = Decryptor::<Aes128>::new_from_slices(encryption, &head[1 + TIME_BYTES..]).ok()?;
    let mut text = text.to_vec();
    let opened = cipher.decrypt_padded::<Pkcs7>(&mut text).ok()?;
    String::from_utf8(opened.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by the reference server 1.58.0 with `OH_SECRET_KEY=my-secret-key`.
    const TOKEN: &str = "gAAAAABrA6sPs5DX6p1aXMn6TuXw6Z_DtCZ5a2ZnC7HyGCA_Thz0DKxGrDGNzgCLIMZAYSQd-tPWgqs8NVvR-DPdYz7xUWKgWA==";

    #[test]
    fn a_token_of_the_reference_opens_with_its_key_only() {
        let keys = |texts: &'static [&str]| Fernet::with_keys(texts.iter().copied());
        let right = keys(&["another", "my-secret-key"]);
        assert_eq!(right.open(TOKEN).as_deref(), Some("sk-key-1"));
        assert_eq!(keys(&["another"]).open(TOKEN), None);
        assert_eq!(keys(&[]).open(TOKEN), None);
    }

    #[test]
    fn a_token_that_was_changed_stays_closed() {
        let fernet = Fernet::with_keys(["my-secret-key"].into_iter());
        let bytes = URL_SAFE.decode(TOKEN).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(fernet.open(&URL_SAFE.encode(&changed)), None, "byte {at}");
            assert_eq!(
                fernet.open(&URL_SAFE.encode(&bytes[..at])),
                None,
                "{at} bytes"
            );
        }
        for other in ["", "gAAAAA", "no base64!", "ü"] {
            assert_eq!(fernet.open(other), None);
        }
    }
}
