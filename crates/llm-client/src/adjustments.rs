use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

/// How requests to one model differ from what its format writes by default. Known of its provider, or
/// learned from its refusals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Adjustments {
    /// Fields of the body that are not sent.
    pub(crate) refused_fields: BTreeSet<&'static str>,
    pub(crate) content_beside_calls: ContentBesideCalls,
    pub(crate) reasoning_text: ReasoningText,
    /// An assistant's message stands between a tool's result and a user's message.
    pub(crate) reply_after_results: bool,
    /// Ids of calls are nine letters and digits.
    pub(crate) short_call_ids: bool,
    /// Calls that another model made are marked as such, where a signature would stand.
    pub(crate) marks_unsigned_calls: bool,
    /// No image is sent.
    pub(crate) no_images: bool,
    /// Images and provider states that are not sent, by their [`fingerprint`].
    pub(crate) left_out: BTreeSet<u64>,
}

/// What stands in the content of a message that says nothing beside its calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ContentBesideCalls {
    /// There is no such field.
    #[default]
    Absent,
    Empty,
    Null,
}

/// Which earlier replies go back with their `reasoning_content`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ReasoningText {
    /// Those of the same model that came with one and with calls.
    #[default]
    AsItCame,
    /// All, with an empty one where there was none.
    Always,
    Never,
}

impl Adjustments {
    /// What is known of a provider before it refuses anything.
    pub(crate) fn of_provider(prefix: &str) -> Self {
        let mistral = prefix == "mistral";
        Self {
            reply_after_results: mistral,
            short_call_ids: mistral,
            ..Self::default()
        }
    }

    pub(crate) fn leaves_out(&self, thing: &impl Hash) -> bool {
        !self.left_out.is_empty() && self.left_out.contains(&fingerprint(thing))
    }
}

/// A number that tells one image or provider state from another.
pub(crate) fn fingerprint(thing: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    thing.hash(&mut hasher);
    hasher.finish()
}
