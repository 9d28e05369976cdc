//! The configuration: what can be set ([`Settings`]), where it is read from ([`load`]), and how to
//! show it ([`Loaded::table`], [`Loaded::json`]).

mod decode;
mod env;
mod error;
mod layers;
mod load;
mod report;
mod schema;
mod secret;
mod settings;
mod unknown;

pub use error::ConfigError;
pub use load::{
    CONFIG_PATH_VARIABLE, DEFAULT_CONFIG_PATH, Loaded, MAX_FILE_BYTES, Overrides, load,
    load_without_webhooks,
};
pub use secret::Secret;
pub use settings::{Durability, LogFormat, Settings};
pub use unknown::Notice;
