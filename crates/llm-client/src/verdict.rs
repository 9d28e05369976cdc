//! The form in which a model is asked whether a goal is reached.

/// The last words of such a request. The scripted model knows by them what it is asked for.
pub const VERDICT_FORM: &str = "\
Answer with one JSON object and nothing else, in this form:
{\"score\": <0.0 to 1.0: how likely it is that the whole goal is reached>, \
\"complete\": <true or false>, \
\"missing\": \"<what is left to do, in a few words; empty when nothing is>\"}";
