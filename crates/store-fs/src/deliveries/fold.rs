//! What the lines of `cursors.jsonl` come to, and the fewest that come to the same. Pure.

use core_model::{
    ConversationKey,
    port::{FollowerChange, FollowerRecords},
};

/// What all notes about a follower come to; none where there are no notes.
pub(crate) fn fold(notes: impl IntoIterator<Item = FollowerChange>) -> Option<FollowerRecords> {
    let mut records: Option<FollowerRecords> = None;
    for note in notes {
        records.get_or_insert_default().apply(note);
    }
    records
}

/// The fewest notes that come to the same, with the cursors of conversations that `keep` names.
pub(super) fn notes(
    records: &FollowerRecords,
    keep: impl Fn(&ConversationKey) -> bool,
) -> Vec<FollowerChange> {
    // First what clears, then what it would clear.
    let mut notes = Vec::with_capacity(records.cursors.len() + records.dead_letters.len() + 4);
    notes.extend(records.rewound.map(|at| FollowerChange::Rewound { at }));
    notes.push(FollowerChange::Wanted {
        name: records.name.clone(),
        since: records.since,
    });
    notes.extend(records.removed.map(|at| FollowerChange::Removed { at }));
    let kept = records.cursors.iter().filter(|(of, _)| keep(of));
    notes.extend(kept.map(|(conversation, cursor)| FollowerChange::Cursor {
        conversation: *conversation,
        cursor: *cursor,
    }));
    let letters = records.dead_letters.iter().cloned();
    notes.extend(letters.map(Box::new).map(FollowerChange::DeadLetter));
    notes.extend(records.position.map(FollowerChange::Position));
    notes
}

#[cfg(test)]
mod tests {
    use core_model::{
        ConversationId, Seq, UtcTime,
        port::{Cursor, DeadLetter, FeedPosition, MAX_DEAD_LETTERS, Outcome},
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

    fn note() -> impl Strategy<Value = FollowerChange> {
        let at = conversation(0).created_at;
        let feed = Uuid::nil();
        prop_oneof![
            2 => any::<bool>().prop_map(move |since| FollowerChange::Wanted {
                name: "n".to_owned(),
                since: since.then_some(at),
            }),
            1 => Just(FollowerChange::Removed { at }),
            3 => (0_u64..9).prop_map(move |position| FollowerChange::Position(FeedPosition { feed, position })),
            6 => (0_u8..4, 0_u64..9, any::<bool>()).prop_map(move |(of, next, rewound)| FollowerChange::Cursor {
                conversation: conversation(of),
                cursor: Cursor { next: Seq(next), rewound: rewound.then_some(at) },
            }),
            1 => Just(FollowerChange::Rewound { at }),
            2 => (0_u8..4).prop_map(|id| FollowerChange::DeadLetter(Box::new(letter(id)))),
            1 => (0_u8..4).prop_map(|id| FollowerChange::Restored { id: id.to_string() }),
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
        let cursor = |of, next| FollowerChange::Cursor {
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
        let many = (0..=MAX_DEAD_LETTERS).map(|_| FollowerChange::DeadLetter(Box::new(letter(1))));
        let kept = fold(many).map(|records| records.dead_letters.len());
        assert_eq!(kept, Some(MAX_DEAD_LETTERS));
        assert_eq!(fold([]), None);
    }
}
