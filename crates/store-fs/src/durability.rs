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

/// How a store behaves.
///
/// ```
#[doc = include_str!("example.txt")]
/// use std::time::Duration;
/// use store_fs::{Durability, FsStore, Options};
///
/// let durability = Durability::Interval(Duration::from_millis(100));
/// let store = FsStore::open(&root, Options { durability })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// What has to have happened to an event when its append returns.
    pub durability: Durability,
}
