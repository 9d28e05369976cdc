//! The deliveries that the receiver refused for good.

use std::collections::VecDeque;

use core_model::{
    ConversationKey, Seq,
    port::{DeadLetter, Delivery, MAX_DEAD_LETTERS},
};

#[derive(Default)]
pub(super) struct DeadLetters(VecDeque<DeadLetter>);

impl DeadLetters {
    pub(super) fn new(letters: VecDeque<DeadLetter>) -> Self {
        Self(letters)
    }

    /// Adds one, and returns the oldest if it had to go.
    pub(super) fn push(&mut self, letter: DeadLetter) -> Option<DeadLetter> {
        self.0.push_back(letter);
        let full = self.0.len() > MAX_DEAD_LETTERS;
        full.then(|| self.0.pop_front()).flatten()
    }

    /// Takes out those whose events are all among these.
    pub(super) fn take_within(
        &mut self,
        of: &ConversationKey,
        span: (Seq, Seq),
    ) -> VecDeque<DeadLetter> {
        let (first, last) = span;
        let within = |letter: &DeadLetter| {
            letter.conversation == *of && first <= letter.first_seq && letter.last_seq <= last
        };
        let (taken, kept) = std::mem::take(&mut self.0).into_iter().partition(within);
        self.0 = kept;
        taken
    }

    pub(super) fn find(&self, id: &str) -> Option<&DeadLetter> {
        self.0.iter().find(|letter| letter.id == id)
    }

    /// Whether one leads to this conversation.
    pub(super) fn are_of(&self, of: &ConversationKey) -> bool {
        self.0.iter().any(|letter| letter.conversation == *of)
    }

    pub(super) fn conversations(&self) -> impl Iterator<Item = &ConversationKey> {
        self.0.iter().map(|letter| &letter.conversation)
    }

    pub(super) fn to_deliveries(&self) -> Vec<Delivery> {
        self.0.iter().map(DeadLetter::to_delivery).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
