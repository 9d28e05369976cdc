use std::time::Duration;

/// What "durable" means for appended events; see [`crate::Options`].
///
/// ```
/// use store_fs::{Durability, Options};
///
/// assert_eq!(Options::default().durability, Durability::Always);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// On disk: `fdatasync` before an append returns.
    #[default]
    Always,
    /// Written to the operating system, and on disk after at most this long. A crash of the machine
    /// may lose the last events; a crash of the server loses none.
    Interval(Duration),
    /// Written to the operating system, which decides when it reaches the disk.
    Os,
}
