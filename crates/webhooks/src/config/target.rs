//! Where events go.

use std::fmt;

use serde::{Serialize, Serializer, ser::SerializeMap as _};
use url::Url;

/// Where events go.
#[derive(Clone, PartialEq, Eq)]
pub enum Target {
    /// Everything to this address (`webhook_url`).
    Url(Url),
    /// The public server's layout below this address (`base_url`): `/events/{conversation}` and
    /// `/conversations`.
    Base(Url),
}

impl Target {
    /// The configured address.
    #[must_use]
    pub fn url(&self) -> &Url {
        match self {
            Self::Url(url) | Self::Base(url) => url,
        }
    }

    /// The key of the configuration that it was given with.
    pub(super) fn key(&self) -> &'static str {
        match self {
            Self::Url(_) => "webhook_url",
            Self::Base(_) => "base_url",
        }
    }
}

/// As it is configured; the other key is null.
impl Serialize for Target {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut keys = serializer.serialize_map(Some(2))?;
        for key in ["webhook_url", "base_url"] {
            let url = Some(self.url()).filter(|_| key == self.key());
            keys.serialize_entry(key, &url)?;
        }
        keys.end()
    }
}

/// Without what may be secret in an address.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.key(), shown(self.url()))
    }
}

/// The address without what may be secret: user, password, query, fragment.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // These fail for addresses that have no user, and then there is nothing to hide.
    url.set_username("").ok();
    url.set_password(None).ok();
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}
