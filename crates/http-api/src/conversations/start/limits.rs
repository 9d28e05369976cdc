//! Limits on what is stored with a conversation, because it is in memory and on every page of a list.

use std::{collections::BTreeMap, io};

use agent_runtime::NewConversation;
use serde::Serialize;

use crate::validation::Problem;

const MAX_TAGS: usize = 64;
const MAX_TAG_KEY_CHARS: usize = 64;
const MAX_TAG_VALUE_CHARS: usize = 256;
const MAX_TITLE_PROMPT_CHARS: usize = 2_000;

/// # Errors
/// All that is wrong with them.
pub(in crate::conversations) fn tags(
    tags: BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, Vec<Problem>> {
    let wrong = |why: &str| Problem::value_error(&["body", "tags"], why);
    if tags.len() > MAX_TAGS {
        let why = format!("at most {MAX_TAGS} tags, these are {}", tags.len());
        return Err(vec![wrong(&why)]);
    }
    let mut problems = Vec::new();
    for (name, value) in &tags {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        if name.chars().count() > MAX_TAG_KEY_CHARS {
            let why = format!("a tag key exceeds {MAX_TAG_KEY_CHARS} characters");
            problems.push(wrong(&why));
        } else if name.is_empty() || !name.chars().all(plain) {
            let why =
                format!("Tag key '{name}' is invalid: keys must be lowercase alphanumeric only");
            problems.push(wrong(&why));
        } else if value.chars().count() > MAX_TAG_VALUE_CHARS {
            let why = format!("Tag value of '{name}' exceeds {MAX_TAG_VALUE_CHARS} characters");
            problems.push(wrong(&why));
        }
    }
    if problems.is_empty() {
        Ok(tags)
    } else {
        Err(problems)
    }
}

/// What is wrong with the words that ask for a title.
pub(super) fn title_prompt(prompt: Option<&str>) -> Option<Problem> {
    let is_long = prompt.is_some_and(|prompt| prompt.chars().count() > MAX_TITLE_PROMPT_CHARS);
    let why = format!("at most {MAX_TITLE_PROMPT_CHARS} characters");
    is_long.then(|| Problem::value_error(&["body", "prompt"], &why))
}

/// What is wrong when more than `limit` bytes would be stored besides the events.
pub(super) fn too_much(new: &NewConversation, limit: usize) -> Option<Problem> {
    let settings = &new.settings;
    let parts = [
        ("agent", bytes(&new.agent)),
        ("workspace", bytes(&new.workspace)),
        ("security_analyzer", bytes(&settings.security_analyzer)),
        ("hook_config", bytes(&settings.hook_config)),
        ("tags", bytes(&settings.tags)),
        ("secrets", bytes(&settings.secrets)),
        ("client_tools", bytes(&settings.client_tools)),
        (
            "tool_module_qualnames",
            bytes(&settings.tool_module_qualnames),
        ),
        ("user_id", bytes(&settings.user_id)),
        ("title_llm_profile", bytes(&settings.title_llm_profile)),
        ("prompt", bytes(&settings.title_prompt)),
    ];
    let all: usize = parts.iter().map(|(_, bytes)| bytes).sum();
    if all <= limit {
        return None;
    }
    let (largest, its) = parts.into_iter().max_by_key(|(_, bytes)| *bytes)?;
    let msg = format!(
        "Settings of a conversation must take at most {limit} bytes (max_metadata_bytes) without its \
         message; these take {all}, {its} of them in `{largest}`"
    );
    let problem = Problem::new("metadata_too_large", &["body", largest], msg);
    Some(problem.ctx("max_metadata_bytes", limit))
}

/// How many bytes a value takes as JSON.
fn bytes(value: &impl Serialize) -> usize {
    struct Counter(usize);
    impl io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut counter = Counter(0);
    match serde_json::to_writer(&mut counter, value) {
        Ok(()) => counter.0,
        // What cannot be written will not be stored either.
        Err(_) => usize::MAX / 16,
    }
}
