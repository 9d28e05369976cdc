//! What `verify` and `repair` found, as a table and as JSON.

use core_model::ConversationId;
use serde::Serialize;

use crate::console::{counted, one_line};

/// One conversation as it lies on the disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checked {
    pub id: ConversationId,
    pub events: u64,
    pub bytes: u64,
    pub damaged: Vec<DamagedLine>,
    pub torn: Option<TornEnd>,
    pub index: IndexState,
    /// Why its metadata or its log cannot be read at all.
    pub unreadable: Option<String>,
}

/// A whole line that is not an event, or not the event that was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DamagedLine {
    pub seq: u64,
    /// Where the line begins, in bytes.
    pub offset: u64,
    pub reason: String,
}

/// An unfinished last line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TornEnd {
    pub offset: u64,
    pub bytes: u64,
}

/// How the index fits the log. Only [`Self::Wrong`] is damage: the others are left by a server that was
/// killed, and are completed when the log is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum IndexState {
    Fine,
    Missing,
    Stale,
    Wrong,
}

impl IndexState {
    fn as_str(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Missing => "missing",
            Self::Stale => "stale",
            Self::Wrong => "wrong",
        }
    }
}

impl Checked {
    /// Whether nothing was lost or changed. A torn end was never acknowledged, but may be what is
    /// left of more.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        self.damaged.is_empty()
            && self.torn.is_none()
            && self.index != IndexState::Wrong
            && self.unreadable.is_none()
    }

    fn state(&self) -> String {
        if self.unreadable.is_some() {
            return "unreadable".to_owned();
        }
        let mut found = Vec::new();
        if !self.damaged.is_empty() {
            found.push(counted(self.damaged.len() as u64, "damaged line"));
        }
        if self.torn.is_some() {
            found.push("torn end".to_owned());
        }
        if self.index == IndexState::Wrong {
            found.push("wrong index".to_owned());
        }
        if found.is_empty() {
            "fine".to_owned()
        } else {
            found.join(", ")
        }
    }

    /// What was found, a line each.
    fn details(&self) -> Vec<String> {
        let damaged = self.damaged.iter().map(|line| {
            let DamagedLine {
                seq,
                offset,
                reason,
            } = line;
            format!("line {} at byte {offset}: {reason}", seq + 1)
        });
        let torn = self.torn.iter().map(|TornEnd { offset, bytes }| {
            format!("{bytes} bytes at byte {offset} are not a whole line")
        });
        damaged.chain(torn).chain(self.unreadable.clone()).collect()
    }
}

/// A line for each conversation, what was found below it, and a line for all of them.
#[must_use]
pub fn table(checked: &[Checked]) -> String {
    let mut text = format!(
        "{:36}  {:>10}  {:>14}  {:7}  STATE\n",
        "CONVERSATION", "EVENTS", "BYTES", "INDEX"
    );
    for one in checked {
        text.push_str(&format!(
            "{:36}  {:>10}  {:>14}  {:7}  {}\n",
            one.id.to_string(),
            one.events,
            one.bytes,
            one.index.as_str(),
            one.state()
        ));
        for detail in one.details() {
            text.push_str(&format!("    {}\n", one_line(&detail)));
        }
    }
    let hurt = checked.iter().filter(|one| !one.is_fine()).count();
    let all = counted(checked.len() as u64, "conversation");
    text.push_str(&match hurt {
        0 => format!("{all}, all fine\n"),
        hurt => format!("{all}, {hurt} with damage\n"),
    });
    text
}

/// For programs: the same, as one JSON object.
#[must_use]
pub fn json(checked: &[Checked]) -> String {
    let fine = checked.iter().all(Checked::is_fine);
    let value = serde_json::json!({"fine": fine, "conversations": checked});
    format!("{value:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fine() -> Checked {
        Checked {
            id: "2f34c5cd-31d6-4dcf-acdf-cf89c5641e99".parse().unwrap(),
            events: 32,
            bytes: 20_194,
            damaged: Vec::new(),
            torn: None,
            index: IndexState::Stale,
            unreadable: None,
        }
    }

    fn hurt() -> Checked {
        Checked {
            damaged: vec![DamagedLine {
                seq: 4,
                offset: 812,
                reason: "expected value\u{1b}[2J".to_owned(),
            }],
            torn: Some(TornEnd {
                offset: 20_000,
                bytes: 194,
            }),
            index: IndexState::Wrong,
            ..fine()
        }
    }

    #[test]
    fn a_table_names_each_damage_and_counts_at_the_end() {
        assert_eq!(
            table(&[fine(), hurt()]),
            "CONVERSATION                              EVENTS           BYTES  INDEX    STATE\n\
             2f34c5cd-31d6-4dcf-acdf-cf89c5641e99          32           20194  stale    fine\n\
             2f34c5cd-31d6-4dcf-acdf-cf89c5641e99          32           20194  wrong    1 damaged \
             line, torn end, wrong index\n    line 5 at byte 812: expected value [2J\n    \
             194 bytes at byte 20000 are not a whole line\n2 conversations, 1 with damage\n"
        );
        assert!(table(&[fine()]).ends_with("1 conversation, all fine\n"));
    }

    #[test]
    fn json_says_the_same() {
        let value: serde_json::Value = serde_json::from_str(&json(&[fine(), hurt()])).unwrap();
        assert_eq!(value["fine"], false);
        assert_eq!(value["conversations"][0]["damaged"], serde_json::json!([]));
        assert_eq!(
            value["conversations"][1]["damaged"][0],
            serde_json::json!({"seq": 4, "offset": 812, "reason": "expected value\u{1b}[2J"})
        );
        assert_eq!(value["conversations"][1]["index"], "wrong");
        let value: serde_json::Value = serde_json::from_str(&json(&[fine()])).unwrap();
        assert_eq!(value["fine"], true);
    }
}
