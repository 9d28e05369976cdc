//! Signatures of [Standard Webhooks](https://www.standardwebhooks.com), version 1.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

const PREFIX: &str = "whsec_";

/// Shorter keys can be guessed.
const SHORTEST_KEY: usize = 16;

/// Signs requests with the key that a receiver knows too.
#[derive(Clone)]
pub(crate) struct Signer(Hmac<Sha256>);

impl Signer {
    /// From a secret: its key in base64, with or without `whsec_` before it. None when it is not valid
    /// base64, or shorter than 16 bytes.
    pub(crate) fn new(secret: &str) -> Option<Self> {
        let secret = secret.trim();
        let text = secret.strip_prefix(PREFIX).unwrap_or(secret);
        let key = STANDARD.decode(text).ok();
        let key = key.filter(|key| key.len() >= SHORTEST_KEY);
        let mac = key.and_then(|key| Hmac::new_from_slice(&key).ok());
        mac.map(Self)
    }

    /// The value of `webhook-signature` for a request with this `webhook-id`, `webhook-timestamp`
    /// (seconds since 1970) and body, which may come in parts.
    pub(crate) fn sign<P: AsRef<[u8]>>(
        &self,
        id: &str,
        timestamp: i64,
        body: impl IntoIterator<Item = P>,
    ) -> String {
        let mut mac = self.0.clone();
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        for part in body {
            mac.update(part.as_ref());
        }
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    /// The one that the specification's own libraries are tested with.
    #[test]
    fn the_published_vector_comes_out() {
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        let bare = SECRET.strip_prefix(PREFIX).unwrap();
        for secret in [SECRET, bare, &format!(" {SECRET}\n")] {
            let signer = Signer::new(secret).unwrap();
            let whole = signer.sign(id, 1_614_265_330, [r#"{"test": 2432232314}"#]);
            let parts = signer.sign(id, 1_614_265_330, [r#"{"test": "#, "24322", "32314}"]);
            assert_eq!((whole.as_str(), parts.as_str()), (expected, expected));
        }
    }

    #[test]
    fn each_part_of_what_is_signed_counts() {
        let signer = Signer::new(SECRET).unwrap();
        let signed = signer.sign("a", 1, ["b"]);
        assert_ne!(signed, signer.sign("A", 1, ["b"]));
        assert_ne!(signed, signer.sign("a", 2, ["b"]));
        assert_ne!(signed, signer.sign("a", 1, ["B"]));
        let other = Signer::new(&format!("whsec_{}", STANDARD.encode([7; 32]))).unwrap();
        assert_ne!(signed, other.sign("a", 1, ["b"]));
    }

    #[test]
    fn what_is_not_a_valid_secret_is_refused() {
        let short = format!("whsec_{}", STANDARD.encode([1; 15]));
        for secret in ["", "whsec_", "hush hush hush hush hush", &short] {
            assert!(Signer::new(secret).is_none(), "{secret}");
        }
        assert!(Signer::new(&STANDARD.encode([1; 16])).is_some());
    }
}
