use super::{Item, message::ContextMessage};

/// The messages that the items of a context become. Those of earlier items are kept from one request to
/// the next, so that a step costs what is new in it.
#[derive(Default)]
pub(super) struct Rendered {
    messages: Vec<ContextMessage>,
    /// Of each item that is among them: where its first message stands. An item may share it with the one
    /// before.
    starts: Vec<usize>,
}

impl Rendered {
    /// The messages of these items, which begin with those of the last time. `longest`: the longest text
    /// of a tool that is shown, in characters.
    pub(super) fn catch_up(&mut self, items: &[Item], longest: Option<usize>) -> &[ContextMessage] {
        for item in items.iter().skip(self.starts.len()) {
            let start = self.messages.len();
            let last = self.messages.last_mut();
            match item {
                Item::System(prompt) => self.messages.push(prompt.clone()),
                Item::Said(said) if last.is_some_and(|last| last.join_user_message(said)) => {
                    self.starts.push(start - 1);
                    continue;
                }
                Item::Said(said) => self.messages.push(said.clone()),
                Item::Calls(group) => group.render(longest, &mut self.messages),
            }
            self.starts.push(start);
        }
        &self.messages
    }

    /// An item is not what it was, or another one stands in its place.
    pub(super) fn forget_from(&mut self, item: usize) {
        let Some(start) = self.starts.get(item).copied() else {
            return;
        };
        self.messages.truncate(start);
        // Also those before it that share a message with it.
        self.starts
            .truncate(self.starts.partition_point(|other| *other < start));
    }
}
