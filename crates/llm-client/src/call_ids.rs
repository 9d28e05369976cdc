use std::collections::{HashMap, HashSet};

const LONGEST_ID: usize = 64;

/// The ids under which the calls of a request and their results are sent: of letters, digits, `_` and
/// `-`, at most 64 of them, no two alike. Models of other providers give ids that are none of this. The
/// same messages in the same order always get the same ids.
#[derive(Default)]
pub(crate) struct CallIds {
    used: HashSet<String>,
    /// How often an id has come, so that the thousandth needs no thousand tries.
    seen: HashMap<String, usize>,
    /// The calls that have no result yet.
    open: Vec<OpenCall>,
}

struct OpenCall {
    id: String,
    sent_as: String,
}

impl CallIds {
    /// The id that a call is sent with. The call waits for its result.
    pub(crate) fn call(&mut self, id: &str) -> String {
        let legal = legal_or_call(id);
        let seen = self.seen.entry(legal.clone()).or_default();
        let mut sent_as = legal.clone();
        while !self.used.insert(sent_as.clone()) {
            *seen += 1;
            let suffix = format!("_{}", *seen + 1);
            let kept = legal.len().min(LONGEST_ID - suffix.len());
            sent_as = format!("{}{suffix}", &legal[..kept]);
        }
        self.open.push(OpenCall {
            id: id.to_owned(),
            sent_as: sent_as.clone(),
        });
        sent_as
    }

    /// The id to send a result with; None when no call waits for one of this id.
    pub(crate) fn result(&mut self, id: &str) -> Option<String> {
        let at = self.open.iter().position(|call| call.id == id)?;
        Some(self.open.remove(at).sent_as)
    }

    /// The calls that still wait for a result, and will no more.
    pub(crate) fn unanswered(&mut self) -> impl Iterator<Item = String> + use<> {
        std::mem::take(&mut self.open)
            .into_iter()
            .map(|call| call.sent_as)
    }
}

fn legal_or_call(id: &str) -> String {
    if id.is_empty() {
        return "call".to_owned();
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let chars = id.chars().take(LONGEST_ID);
    chars.map(|c| if allowed(c) { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_become_legal_and_stay_unique() {
        let mut ids = CallIds::default();
        let long = "x".repeat(450);
        let sent: Vec<String> = ["c1", "c1", "c1_2", "a|b", "a b", "", &long, &long]
            .map(|id| ids.call(id))
            .into();
        let expected = ["c1", "c1_2", "c1_2_2", "a_b", "a_b_2", "call"];
        assert_eq!(sent[..6], expected);
        assert_eq!(sent[6], "x".repeat(64));
        assert_eq!(sent[7], format!("{}_2", "x".repeat(62)));
    }

    #[test]
    fn a_result_answers_the_first_call_that_waits_under_its_id() {
        let mut ids = CallIds::default();
        ids.call("c");
        ids.call("c");
        ids.call("d");
        assert_eq!(ids.result("c").as_deref(), Some("c"));
        assert_eq!(ids.result("c").as_deref(), Some("c_2"));
        assert_eq!(ids.result("c"), None);
        assert_eq!(ids.unanswered().collect::<Vec<_>>(), ["d"]);
        assert_eq!(ids.result("d"), None);
    }
}
