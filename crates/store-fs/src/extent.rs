use core_model::Seq;

/// How long a log is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) len: Seq,
    pub(crate) bytes: u64,
}

impl From<Extent> for core_model::Extent {
    /// A log that only grows is told apart by its size.
    fn from(Extent { len, bytes }: Extent) -> Self {
        let version = bytes;
        Self { len, version }
    }
}
