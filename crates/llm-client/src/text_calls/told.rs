use super::asked::CALL;

/// What of a streamed text is told to those who listen: what stands before its calls.
#[derive(Default)]
pub(super) struct TextBeforeCalls {
    /// What may be the beginning of a call.
    held: String,
    has_calls: bool,
}

impl TextBeforeCalls {
    pub(super) fn push(&mut self, piece: &str) -> Option<String> {
        if self.has_calls {
            return None;
        }
        self.held.push_str(piece);
        let told = match self.held.split_once(CALL) {
            Some((before, _)) => {
                self.has_calls = true;
                before.to_owned()
            }
            None => {
                let lengths = (1..CALL.len()).rev();
                let mut lengths = lengths.filter(|length| self.held.ends_with(&CALL[..*length]));
                let kept = lengths.next().unwrap_or(0);
                let rest = self.held.split_off(self.held.len() - kept);
                std::mem::replace(&mut self.held, rest)
            }
        };
        (!told.is_empty()).then_some(told)
    }
}
