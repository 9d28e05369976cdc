/// The version of the protocol that this server speaks; clients compare it with the one they need.
pub(super) const PROTOCOL_VERSION: &str = "1.58.0";
