use std::sync::{Arc, Mutex, OnceLock};

use base64::{Engine, engine::general_purpose::STANDARD};
use chacha20poly1305::{
    AeadCore, KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, OsRng},
};
use core_model::{
    StoreError,
    secrets::{SEALED_PREFIX as PREFIX, visit_secrets},
};
use secrecy::{ExposeSecret, SecretBox};
use serde_json::Value;

use crate::{RuntimeError, lock::lock};

const NONCE_BYTES: usize = 24;

/// Seals secrets at rest with XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha) under the server's key.
pub struct Vault {
    source: KeySource,
    /// Held while the source is asked; others wait for the key.
    asking: Mutex<()>,
    key: OnceLock<SecretBox<[u8; 32]>>,
}

/// Gives the key that seals secrets at rest, or says why there is none. Asked at the first secret,
/// so that a server without secrets needs no key.
pub type KeySource = Arc<dyn Fn() -> Result<SecretBox<[u8; 32]>, StoreError> + Send + Sync>;

impl Vault {
    #[must_use]
    pub fn new(source: KeySource) -> Self {
        Self {
            source,
            asking: Mutex::default(),
            key: OnceLock::new(),
        }
    }

    /// Seals every secret of `settings` in place; what is sealed already stays as it is.
    ///
    /// # Errors
    /// When there is no key. Then `settings` may be half sealed and must not be stored.
    pub fn seal_all(&self, settings: &mut Value) -> Result<(), RuntimeError> {
        let mut outcome = Ok(());
        visit_secrets(settings, &mut |secret| {
            if let Value::String(text) = secret
                && !text.starts_with(PREFIX)
            {
                match self.seal(text) {
                    Ok(sealed) => *secret = Value::String(sealed),
                    Err(error) => outcome = Err(error),
                }
            }
        });
        outcome
    }

    /// Opens every secret of `settings` in place. One that this key does not open becomes null:
    /// the call that needs it then says that credentials are missing.
    pub fn open_all(&self, settings: &mut Value) {
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

    fn cipher(&self) -> Result<XChaCha20Poly1305, RuntimeError> {
        Ok(XChaCha20Poly1305::new(self.key()?.expose_secret().into()))
    }

    fn key(&self) -> Result<&SecretBox<[u8; 32]>, RuntimeError> {
        if let Some(key) = self.key.get() {
            return Ok(key);
        }
        let _asking = lock(&self.asking);
        if let Some(key) = self.key.get() {
            return Ok(key);
        }
        let key = (self.source)()?;
        Ok(self.key.get_or_init(|| key))
    }

    fn seal(&self, text: &str) -> Result<String, RuntimeError> {
        let nonce = XChaCha20Poly1305::generate_nonce(&mut OsRng);
        let mut sealed = nonce.to_vec();
        let too_long = |_| RuntimeError::Invalid("a secret is too long to be sealed".to_owned());
        sealed.extend(
            self.cipher()?
                .encrypt(&nonce, text.as_bytes())
                .map_err(too_long)?,
        );
        Ok(format!("{PREFIX}{}", STANDARD.encode(sealed)))
    }

    fn open(&self, sealed: &str) -> Option<String> {
        let bytes = STANDARD.decode(sealed.strip_prefix(PREFIX)?).ok()?;
        let (nonce, text) = bytes.split_at_checked(NONCE_BYTES)?;
        let opened = self
            .cipher()
            .ok()?
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
        Vault::new(Arc::new(move || Ok(SecretBox::new(Box::new([byte; 32])))))
    }

    #[test]
    fn what_is_sealed_opens_with_the_same_key_only() {
        let plain = json!({"llm": {"model": "m", "api_key": "sk-1"}});
        let mut sealed = plain.clone();
        vault(1).seal_all(&mut sealed).unwrap();
        assert!(!sealed.to_string().contains("sk-1"));

        let mut twice = sealed.clone();
        vault(1).seal_all(&mut twice).unwrap();
        assert_eq!(twice, sealed, "sealing again changes nothing");

        let mut opened = sealed.clone();
        vault(1).open_all(&mut opened);
        assert_eq!(opened, plain);

        vault(2).open_all(&mut sealed);
        assert_eq!(sealed["llm"]["api_key"], Value::Null);
    }

    #[test]
    fn without_a_key_nothing_is_sealed_and_nothing_without_secrets_needs_one() {
        let full = || StoreError::Io {
            path: "secret.key".to_owned(),
            source: std::io::ErrorKind::StorageFull.into(),
        };
        let none = Vault::new(Arc::new(move || Err(full())));
        let mut plain = json!({"llm": {"model": "m", "api_key": null}});
        none.seal_all(&mut plain).unwrap();
        let mut secret = json!({"llm": {"api_key": "sk-1"}});
        let refused = none.seal_all(&mut secret).unwrap_err();
        assert!(matches!(
            refused,
            RuntimeError::Store(StoreError::Io { .. })
        ));
    }

    #[test]
    fn the_source_is_asked_once_however_many_need_the_key_at_once() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        let vault = Vault::new(Arc::new(move || {
            counter.fetch_add(1, Ordering::SeqCst);
            std::thread::yield_now();
            Ok(SecretBox::new(Box::new([7; 32])))
        }));
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| vault.seal("sk-1").unwrap());
            }
        });
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }
}
