use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use chacha20poly1305::{
    AeadCore, KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, OsRng},
};
use core_model::secrets::visit_secrets;
use secrecy::{ExposeSecret, SecretBox};
use serde_json::Value;

const PREFIX: &str = "sealed:v1:";
const NONCE_BYTES: usize = 24;

/// Seals secrets at rest with XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha) under the server's key.
#[derive(Clone)]
pub(crate) struct Vault {
    key: Arc<SecretBox<[u8; 32]>>,
}

impl Vault {
    pub(crate) fn new(key: Arc<SecretBox<[u8; 32]>>) -> Self {
        Self { key }
    }

    /// Seals every secret of `settings` in place; what is sealed already stays as it is.
    pub(crate) fn seal_all(&self, settings: &mut Value) {
        visit_secrets(settings, &mut |secret| {
            if let Value::String(text) = secret
                && !text.starts_with(PREFIX)
            {
                *secret = self.seal(text).map_or(Value::Null, Value::String);
            }
        });
    }

    /// Opens every secret of `settings` in place. One that this key does not open becomes null:
    /// the call that needs it then says that credentials are missing.
    pub(crate) fn open_all(&self, settings: &mut Value) {
        visit_secrets(settings, &mut |secret| {
            if let Value::String(text) = secret
                && text.starts_with(PREFIX)
            {
                let opened = self.open(text);
                if opened.is_none() {
                    tracing::warn!("a stored secret was sealed with another key; it is left out");
                }
                *secret = opened.map_or(Value::Null, Value::String);
            }
        });
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(self.key.expose_secret().into())
    }

    /// None only when the text is too long for the cipher (256 GiB).
    fn seal(&self, text: &str) -> Option<String> {
        let nonce = XChaCha20Poly1305::generate_nonce(&mut OsRng);
        let mut sealed = nonce.to_vec();
        sealed.extend(self.cipher().encrypt(&nonce, text.as_bytes()).ok()?);
        Some(format!("{PREFIX}{}", STANDARD.encode(sealed)))
    }

    fn open(&self, sealed: &str) -> Option<String> {
        let bytes = STANDARD.decode(sealed.strip_prefix(PREFIX)?).ok()?;
        let (nonce, text) = bytes.split_at_checked(NONCE_BYTES)?;
        let opened = self
            .cipher()
            .decrypt(XNonce::from_slice(nonce), text)
            .ok()?;
        String::from_utf8(opened).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn vault(byte: u8) -> Vault {
        Vault::new(Arc::new(SecretBox::new(Box::new([byte; 32]))))
    }

    #[test]
    fn what_is_sealed_opens_with_the_same_key_only() {
        let plain = json!({"llm": {"model": "m", "api_key": "sk-1"}});
        let mut sealed = plain.clone();
        vault(1).seal_all(&mut sealed);
        assert!(!sealed.to_string().contains("sk-1"));

        let mut twice = sealed.clone();
        vault(1).seal_all(&mut twice);
        assert_eq!(twice, sealed, "sealing again changes nothing");

        let mut opened = sealed.clone();
        vault(1).open_all(&mut opened);
        assert_eq!(opened, plain);

        vault(2).open_all(&mut sealed);
        assert_eq!(sealed["llm"]["api_key"], Value::Null);
    }
}
