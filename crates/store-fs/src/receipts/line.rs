use bytes::Bytes;
use core_model::port::Digest;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

#[derive(Serialize, Deserialize)]
pub(super) struct Line {
    #[serde(with = "hex")]
    pub(super) key: Digest,
    #[serde(with = "hex")]
    pub(super) request: Digest,
    pub(super) nonce: Uuid,
    /// When the request was begun: seconds since 1970.
    pub(super) at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "base64")]
    pub(super) answer: Option<Bytes>,
    /// The request was refused and left nothing behind.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) gone: bool,
}

impl Line {
    pub(super) fn parse(text: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(text)
    }

    /// With its line break.
    pub(super) fn encode(&self) -> serde_json::Result<Vec<u8>> {
        let mut text = serde_json::to_vec(self)?;
        text.push(b'\n');
        Ok(text)
    }
}

mod base64 {
    use base64::{Engine, prelude::BASE64_STANDARD};

    use super::{Bytes, Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(
        answer: &Option<Bytes>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match answer {
            Some(answer) => to.serialize_str(&BASE64_STANDARD.encode(answer)),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Bytes>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        let answer = text.map(|text| BASE64_STANDARD.decode(text));
        Ok(answer
            .transpose()
            .map_err(de::Error::custom)?
            .map(Bytes::from))
    }
}

mod hex {
    use super::{Deserialize, Deserializer, Digest, Serializer, de};

    pub(super) fn serialize<S: Serializer>(digest: &Digest, to: S) -> Result<S::Ok, S::Error> {
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        to.serialize_str(&hex)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Digest, D::Error> {
        let hex = String::deserialize(from)?;
        let mut digest = [0; 32];
        if hex.len() != 64 || !hex.is_ascii() {
            return Err(de::Error::custom("a digest has 64 hex digits"));
        }
        for (at, byte) in digest.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).map_err(de::Error::custom)?;
        }
        Ok(digest)
    }
}
