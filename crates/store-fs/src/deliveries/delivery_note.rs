//! One line of `cursors.jsonl`. Pure.

use core_model::{
    ConversationKey, UtcTime,
    port::{Cursor, DeadLetter, FeedPosition, FollowerRecords},
};
use serde::{Deserialize, Serialize};

/// One record about a follower. A later note outranks earlier ones about the same thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "note", rename_all = "snake_case")]
pub(crate) enum DeliveryNote {
    Follower {
        name: String,
        since: Option<UtcTime>,
    },
    Removed {
        at: UtcTime,
    },
    Feed(FeedPosition),
    Cursor {
        #[serde(flatten)]
        conversation: ConversationKey,
        #[serde(flatten)]
        cursor: Cursor,
    },
    /// All conversations were rewound to their start: cursors before this note count no more.
    Rewound {
        at: UtcTime,
    },
    Dead(Box<DeadLetter>),
    /// The follower took a dead letter after all.
    #[serde(rename = "revived")]
    Restored {
        id: String,
    },
}

/// What all notes about a follower come to; none where there are no notes.
pub(super) fn fold(notes: impl IntoIterator<Item = DeliveryNote>) -> Option<FollowerRecords> {
    let mut records = None;
    for note in notes {
        apply(records.get_or_insert_with(FollowerRecords::default), note);
    }
    records
}

fn apply(records: &mut FollowerRecords, note: DeliveryNote) {
    match note {
        DeliveryNote::Follower { name, since } => records.introduce(&name, since),
        DeliveryNote::Removed { at } => records.removed = Some(at),
        DeliveryNote::Feed(position) => records.position = Some(position),
        DeliveryNote::Cursor {
            conversation,
            cursor,
        } => {
            records.cursors.insert(conversation, cursor);
        }
        DeliveryNote::Rewound { at } => records.rewind_all(at),
        DeliveryNote::Dead(letter) => {
            records.push_dead_letter(*letter);
        }
        DeliveryNote::Restored { id } => records.remove_dead_letter(&id),
    }
}

/// The fewest notes that come to the same, with the cursors of conversations that `keep` names.
pub(super) fn notes(
    records: &FollowerRecords,
    keep: impl Fn(&ConversationKey) -> bool,
) -> Vec<DeliveryNote> {
    // First what clears, then what it would clear.
    let mut notes = Vec::with_capacity(records.cursors.len() + records.dead_letters.len() + 4);
    notes.extend(records.rewound.map(|at| DeliveryNote::Rewound { at }));
    notes.push(DeliveryNote::Follower {
        name: records.name.clone(),
        since: records.since,
    });
    notes.extend(records.removed.map(|at| DeliveryNote::Removed { at }));
    let kept = records.cursors.iter().filter(|(of, _)| keep(of));
    notes.extend(kept.map(|(conversation, cursor)| DeliveryNote::Cursor {
        conversation: *conversation,
        cursor: *cursor,
    }));
    let letters = records.dead_letters.iter().cloned();
    notes.extend(letters.map(Box::new).map(DeliveryNote::Dead));
    notes.extend(records.position.map(DeliveryNote::Feed));
    notes
}

#[cfg(test)]
mod tests {
    use core_model::{
        ConversationId, Seq,
        port::{MAX_DEAD_LETTERS, Outcome},
    };
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn conversation(nth: u8) -> ConversationKey {
        ConversationKey {
            id: ConversationId(Uuid::from_u128(u128::from(nth))),
            created_at: UtcTime("2026-11-26T00:00:00Z".parse().unwrap()),
        }
    }

    fn letter(id: u8) -> DeadLetter {
        DeadLetter {
            id: id.to_string(),
            conversation: conversation(id),
            first_seq: Seq(0),
            last_seq: Seq(1),
            events: 2,
            at: conversation(0).created_at,
            attempts: 3,
            outcome: Outcome::Dead,
            status: Some(400),
            reason: "the receiver answered 400".to_owned(),
        }
    }

    fn note() -> impl Strategy<Value = DeliveryNote> {
        let at = conversation(0).created_at;
        let feed = Uuid::nil();
        prop_oneof![
            2 => any::<bool>().prop_map(move |since| DeliveryNote::Follower {
                name: "n".to_owned(),
                since: since.then_some(at),
            }),
            1 => Just(DeliveryNote::Removed { at }),
            3 => (0_u64..9).prop_map(move |position| DeliveryNote::Feed(FeedPosition { feed, position })),
            6 => (0_u8..4, 0_u64..9, any::<bool>()).prop_map(move |(of, next, rewound)| DeliveryNote::Cursor {
                conversation: conversation(of),
                cursor: Cursor { next: Seq(next), rewound: rewound.then_some(at) },
            }),
            1 => Just(DeliveryNote::Rewound { at }),
            2 => (0_u8..4).prop_map(|id| DeliveryNote::Dead(Box::new(letter(id)))),
            1 => (0_u8..4).prop_map(|id| DeliveryNote::Restored { id: id.to_string() }),
        ]
    }

    proptest! {
        #[test]
        fn fewer_notes_come_to_the_same(all in proptest::collection::vec(note(), 1..40)) {
            let records = fold(all).unwrap();
            prop_assert_eq!(fold(notes(&records, |_| true)), Some(records));
        }
    }

    #[test]
    fn the_last_note_on_a_conversation_counts_and_gone_ones_are_left_out() {
        let cursor = |of, next| DeliveryNote::Cursor {
            conversation: conversation(of),
            cursor: Cursor {
                next: Seq(next),
                rewound: None,
            },
        };
        let records = fold([cursor(1, 5), cursor(2, 7), cursor(1, 3)]).unwrap();
        assert_eq!(records.cursors[&conversation(1)].next, Seq(3));
        let kept = fold(notes(&records, |of| *of == conversation(2))).unwrap();
        assert_eq!(kept.cursors.len(), 1);
    }

    #[test]
    fn only_the_last_dead_letters_are_kept() {
        let many = (0..=MAX_DEAD_LETTERS).map(|_| DeliveryNote::Dead(Box::new(letter(1))));
        let kept = fold(many).map(|records| records.dead_letters.len());
        assert_eq!(kept, Some(MAX_DEAD_LETTERS));
        assert_eq!(fold([]), None);
    }
}
