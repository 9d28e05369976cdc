//! Which requests are let in: by their host, the page that sends them, their key, and the encodings they
//! accept.

mod accept_encoding;
mod host_name;
mod hosts;
mod keys;
mod origin;
mod origins;

use std::sync::Arc;

use actix_web::dev::RequestHead;

use self::{hosts::Hosts, keys::Keys, origins::Origins};
use crate::{config::ApiConfig, error::ApiError, failure::Failure};

pub(crate) use accept_encoding::check_accept_encoding;
pub(crate) use keys::KeyCheck;
pub use keys::check_key;
pub(crate) use origins::cors;

/// The configured rules, ready to be applied.
pub(crate) struct AccessRules {
    pub(crate) keys: Keys,
    hosts: Hosts,
    pub(crate) origins: Arc<Origins>,
}

impl AccessRules {
    /// # Errors
    /// The first setting that is not well formed.
    pub(crate) fn new(config: &ApiConfig) -> Result<Self, ApiError> {
        Ok(Self {
            keys: Keys::new(&config.keys)?.with_named(&config.named_keys)?,
            hosts: Hosts::new(&config.hosts)?,
            origins: Arc::new(Origins::new(&config.cors)?),
        })
    }

    /// Refuses what was sent to a foreign host or by a foreign page. The key is checked apart from this,
    /// because some operations need none.
    ///
    /// # Errors
    /// The refusal.
    pub(crate) fn check_head(&self, head: &RequestHead) -> Result<(), Failure> {
        self.hosts.check(head)?;
        self.origins.check(head)
    }
}

impl ApiConfig {
    /// Whether an API can be built with this.
    ///
    /// # Errors
    /// The first setting that is not well formed.
    pub fn check(&self) -> Result<(), ApiError> {
        let prefix = &self.prefix;
        if !prefix.is_empty() && (!prefix.starts_with('/') || prefix.ends_with('/')) {
            return Err(ApiError::Prefix(prefix.clone()));
        }
        AccessRules::new(self).map(|_rules| ())
    }
}
