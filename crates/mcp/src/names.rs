//! Names that every provider takes, no two of them alike.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

/// In bytes; of OpenAI and Anthropic.
const LONGEST: usize = 64;
const HASH_DIGITS: usize = 8;

/// The names by which a model calls the tools of one conversation's servers. A tool keeps its name as long
/// as the servers are open.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// Of other tools as well.
    taken: BTreeSet<String>,
    given: BTreeMap<(String, String), String>,
    /// Whether names begin with that of the server, as in the reference where there are several.
    prefixed: bool,
}

impl Names {
    pub(crate) fn new(taken: BTreeSet<String>, prefixed: bool) -> Self {
        Self {
            taken,
            given: BTreeMap::new(),
            prefixed,
        }
    }

    /// The name of a server's tool.
    pub(crate) fn of(&mut self, server: &str, tool: &str) -> String {
        let key = (server.to_owned(), tool.to_owned());
        if let Some(name) = self.given.get(&key) {
            return name.clone();
        }
        let full = format!("{server}_{tool}");
        let wished = if self.prefixed { &full } else { tool };
        let mut candidates = [legal(wished, wished), legal(&full, &full)].into_iter();
        let is_free = |name: &String| !self.taken.contains(name);
        let name = candidates.find(is_free).unwrap_or_else(|| {
            let numbered =
                (0..).map(|n: u64| with_hash(&legal(&full, &full), &format!("{full} {n}")));
            numbered
                .into_iter()
                .find(is_free)
                .unwrap_or_else(|| full.clone())
        });
        self.taken.insert(name.clone());
        self.given.insert(key, name.clone());
        name
    }
}

/// Letters, digits, `_` and `-`, at most 64. A name that had to be changed ends in a hash of what it stands
/// for, if it was shortened.
fn legal(name: &str, stands_for: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let legal: String = name
        .trim()
        .chars()
        .map(|c| if fits(c) { c } else { '_' })
        .collect();
    if legal.is_empty() {
        return with_hash("tool", stands_for);
    }
    if legal.len() > LONGEST {
        return with_hash(&legal, stands_for);
    }
    legal
}

fn with_hash(name: &str, stands_for: &str) -> String {
    let digest = Sha256::digest(stands_for.as_bytes());
    let hash: String = digest
        .iter()
        .take(HASH_DIGITS / 2)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let end = name.len().min(LONGEST - HASH_DIGITS - 1);
    format!("{}_{hash}", &name[..name.floor_char_boundary(end)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_legal(name: &str) -> bool {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        (1..=64).contains(&name.len()) && name.bytes().all(fits)
    }

    #[test]
    fn one_server_needs_no_prefix_and_several_have_it() {
        let mut names = Names::new(BTreeSet::new(), false);
        assert_eq!(names.of("s", "add"), "add");
        assert_eq!(names.of("s", "add"), "add");
        let mut names = Names::new(BTreeSet::new(), true);
        assert_eq!(names.of("a", "add"), "a_add");
        assert_eq!(names.of("b", "add"), "b_add");
    }

    #[test]
    fn no_two_are_alike_and_none_is_that_of_another_tool() {
        let taken = BTreeSet::from(["terminal".to_owned()]);
        let mut names = Names::new(taken, false);
        let mut given = BTreeSet::from(["terminal".to_owned()]);
        let long = "x".repeat(200);
        let longer = format!("{long}y");
        for tool in [
            "terminal", "a b", "a.b", "a_b", "日本", "本日", "", " ", &long, &longer,
        ] {
            let name = names.of("s", tool);
            assert!(is_legal(&name), "{tool}: {name}");
            assert!(given.insert(name.clone()), "{tool}: {name} twice");
            assert_eq!(names.of("s", tool), name);
        }
    }
}
