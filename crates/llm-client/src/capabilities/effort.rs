/// All levels of reasoning effort, the least first.
const ALL: [&str; 7] = ["none", "minimal", "low", "medium", "high", "xhigh", "max"];

/// The levels of reasoning effort that a model takes. Empty when none are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EffortLevels(&'static str);

impl EffortLevels {
    /// `levels` are separated by commas, the least first.
    pub(crate) const fn new(levels: &'static str) -> Self {
        Self(levels)
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = &'static str> {
        self.0.split(',').filter(|level| !level.is_empty())
    }

    /// The level that comes closest to the one asked for: the next lower one that the model takes, or its
    /// lowest. What is no level, or cannot be compared because no levels are known, stays as it is.
    pub(crate) fn closest(self, asked: &str) -> &str {
        let place = |level: &str| ALL.iter().position(|known| *known == level);
        let Some(wanted) = place(asked) else {
            return asked;
        };
        let lower = self.iter().filter(|level| place(level) <= Some(wanted));
        lower.last().or(self.iter().next()).unwrap_or(asked)
    }
}
