//! How far a webhook got, as its notes tell. Pure.

use std::collections::{HashMap, VecDeque};

use core_model::{
    Seq, UtcTime,
    port::{DeadLetter, Incarnation, Note},
};
use uuid::Uuid;

/// Dead letters that are kept; one more pushes out the oldest.
pub(crate) const DEAD_LETTERS: usize = 1000;

/// What all notes about a webhook come to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Standing {
    pub(crate) name: String,
    /// Events before this are not wanted; none: all are.
    pub(crate) since: Option<UtcTime>,
    pub(crate) removed: Option<UtcTime>,
    /// Everything before this place of this feed has been dealt with.
    pub(crate) feed: Option<(Uuid, u64)>,
    pub(crate) cursors: HashMap<Incarnation, Place>,
    /// When all was taken back to the start.
    pub(crate) rewound: Option<UtcTime>,
    pub(crate) dead: VecDeque<DeadLetter>,
}

/// Where one conversation is to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) next: Seq,
    /// When somebody took it back.
    pub(crate) rewound: Option<UtcTime>,
}

impl Standing {
    /// None for a webhook that nobody has heard of.
    pub(crate) fn fold(notes: impl IntoIterator<Item = Note>) -> Option<Self> {
        let mut standing = None;
        for note in notes {
            standing.get_or_insert_with(Self::default).apply(note);
        }
        standing
    }

    fn apply(&mut self, note: Note) {
        match note {
            Note::Follower { name, since } => {
                self.name = name;
                self.since = since;
                self.removed = None;
            }
            Note::Removed { at } => self.removed = Some(at),
            Note::Feed { feed, position } => self.feed = Some((feed, position)),
            Note::Cursor {
                conversation,
                next,
                rewound,
            } => {
                self.cursors.insert(conversation, Place { next, rewound });
            }
            Note::Rewound { at } => {
                self.cursors.clear();
                self.since = None;
                self.feed = None;
                self.rewound = Some(at);
            }
            Note::Dead(letter) => {
                self.dead.push_back(*letter);
                if self.dead.len() > DEAD_LETTERS {
                    self.dead.pop_front();
                }
            }
            Note::Revived { id } => self.dead.retain(|letter| letter.id != id),
        }
    }

    /// The fewest notes that come to the same, with the cursors of conversations that `keep` names.
    pub(crate) fn notes(&self, keep: impl Fn(&Incarnation) -> bool) -> Vec<Note> {
        // First what clears, then what it would clear.
        let mut notes = Vec::with_capacity(self.cursors.len() + self.dead.len() + 4);
        notes.extend(self.rewound.map(|at| Note::Rewound { at }));
        notes.push(Note::Follower {
            name: self.name.clone(),
            since: self.since,
        });
        notes.extend(self.removed.map(|at| Note::Removed { at }));
        let kept = self.cursors.iter().filter(|(of, _)| keep(of));
        notes.extend(kept.map(|(conversation, place)| Note::Cursor {
            conversation: *conversation,
            next: place.next,
            rewound: place.rewound,
        }));
        notes.extend(self.dead.iter().cloned().map(Box::new).map(Note::Dead));
        notes.extend(
            self.feed
                .map(|(feed, position)| Note::Feed { feed, position }),
        );
        notes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core_model::{ConversationId, port::Outcome};
    use proptest::prelude::*;

    fn conversation(nth: u8) -> Incarnation {
        Incarnation {
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

    fn note() -> impl Strategy<Value = Note> {
        let at = conversation(0).created_at;
        prop_oneof![
            2 => any::<bool>().prop_map(move |since| Note::Follower {
                name: "n".to_owned(),
                since: since.then_some(at),
            }),
            1 => Just(Note::Removed { at }),
            3 => (0_u64..9).prop_map(|position| Note::Feed { feed: Uuid::nil(), position }),
            6 => (0_u8..4, 0_u64..9, any::<bool>()).prop_map(move |(of, next, rewound)| Note::Cursor {
                conversation: conversation(of),
                next: Seq(next),
                rewound: rewound.then_some(at),
            }),
            1 => Just(Note::Rewound { at }),
            2 => (0_u8..4).prop_map(|id| Note::Dead(Box::new(letter(id)))),
            1 => (0_u8..4).prop_map(|id| Note::Revived { id: id.to_string() }),
        ]
    }

    proptest! {
        #[test]
        fn fewer_notes_come_to_the_same(notes in proptest::collection::vec(note(), 1..40)) {
            let standing = Standing::fold(notes).unwrap();
            prop_assert_eq!(Standing::fold(standing.notes(|_| true)), Some(standing));
        }
    }

    #[test]
    fn the_last_word_on_a_conversation_counts_and_gone_ones_are_left_out() {
        let cursor = |of, next| Note::Cursor {
            conversation: conversation(of),
            next: Seq(next),
            rewound: None,
        };
        let standing = Standing::fold([cursor(1, 5), cursor(2, 7), cursor(1, 3)]).unwrap();
        assert_eq!(standing.cursors[&conversation(1)].next, Seq(3));
        let kept = Standing::fold(standing.notes(|of| *of == conversation(2))).unwrap();
        assert_eq!(kept.cursors.len(), 1);
    }

    #[test]
    fn only_the_last_dead_letters_are_kept() {
        let many = (0..=DEAD_LETTERS).map(|_| Note::Dead(Box::new(letter(1))));
        assert_eq!(
            Standing::fold(many).map(|s| s.dead.len()),
            Some(DEAD_LETTERS)
        );
        assert_eq!(Standing::fold([]), None);
    }
}
