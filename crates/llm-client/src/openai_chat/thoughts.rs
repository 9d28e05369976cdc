//! Thoughts that a model writes into its text: `<think>…</think>`, where its server does not take them out.

const TAGS: [(&str, &str); 4] = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("[THINK]", "[/THINK]"),
];

/// Separates thoughts at the beginning of a text from what is said, as the text arrives.
#[derive(Debug, Default)]
pub(super) struct ThoughtSplitter {
    place: Place,
    /// What may be part of a tag.
    held: String,
}

/// A piece of a text, taken apart.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Split {
    pub(super) thoughts: String,
    pub(super) said: String,
}

#[derive(Debug, Default)]
enum Place {
    #[default]
    Beginning,
    /// Until this tag.
    Thoughts(&'static str),
    /// After thoughts: blank space, more thoughts, or what is said.
    Between,
    Said,
}

impl ThoughtSplitter {
    pub(super) fn push(&mut self, piece: &str) -> Split {
        self.held.push_str(piece);
        let mut split = Split::default();
        while self.step(&mut split) {}
        split
    }

    /// What is left of the text when no piece follows.
    pub(super) fn finish(&mut self) -> Split {
        let rest = std::mem::take(&mut self.held);
        match self.place {
            Place::Thoughts(_) => Split {
                thoughts: rest,
                ..Split::default()
            },
            Place::Between => Split {
                said: rest.trim_start().to_owned(),
                ..Split::default()
            },
            Place::Beginning | Place::Said => Split {
                said: rest,
                ..Split::default()
            },
        }
    }

    /// Moves what can be told apart from the text that is held to `split`; whether there may be more.
    fn step(&mut self, split: &mut Split) -> bool {
        match self.place {
            Place::Beginning | Place::Between => {
                let start = self.held.trim_start();
                let opens = |(open, _): &&(&str, &str)| starts_with(start, open);
                if let Some((open, close)) = TAGS.iter().find(opens) {
                    if matches!(self.place, Place::Between) {
                        split.thoughts.push('\n');
                    }
                    self.held = start[open.len()..].to_owned();
                    self.place = Place::Thoughts(close);
                    return true;
                }
                if TAGS.iter().any(|(open, _)| starts_with(open, start)) {
                    return false;
                }
                if matches!(self.place, Place::Between) {
                    self.held = start.to_owned();
                }
                self.place = Place::Said;
                true
            }
            Place::Thoughts(close) => {
                if let Some(at) = position(&self.held, close) {
                    split.thoughts.push_str(&self.held[..at]);
                    self.held = self.held[at + close.len()..].to_owned();
                    self.place = Place::Between;
                    return true;
                }
                let kept = start_of_tag_at_end(&self.held, close);
                let rest = self.held.split_off(self.held.len() - kept);
                split
                    .thoughts
                    .push_str(&std::mem::replace(&mut self.held, rest));
                false
            }
            Place::Said => {
                split.said.push_str(&std::mem::take(&mut self.held));
                false
            }
        }
    }
}

/// Takes the thoughts out of a whole text whose first tag the model's template has written, so that only the
/// second is there.
pub(super) fn split_unopened(text: &str) -> Option<Split> {
    let at = position(text, "</think>")?;
    let (thoughts, said) = (&text[..at], &text[at + "</think>".len()..]);
    let quoted = thoughts.ends_with(['`', '"', '\'']) || position(thoughts, "<think>").is_some();
    (!quoted).then(|| Split {
        thoughts: thoughts.trim().to_owned(),
        said: said.trim_start().to_owned(),
    })
}

/// Whether a text begins with a tag, written in whatever case.
fn starts_with(text: &str, tag: &str) -> bool {
    text.get(..tag.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(tag))
}

/// Where a tag is in a text, written in whatever case.
fn position(text: &str, tag: &str) -> Option<usize> {
    let mut places = text.match_indices(&tag[..1]).map(|(at, _)| at);
    places.find(|at| starts_with(&text[*at..], tag))
}

/// How many bytes at the end of a text are the beginning of a tag.
fn start_of_tag_at_end(text: &str, tag: &str) -> usize {
    let is_at_end = |length: &usize| {
        let start = text.len().checked_sub(*length);
        start.is_some_and(|start| {
            let end = text.get(start..);
            end.is_some_and(|end| end.eq_ignore_ascii_case(&tag[..*length]))
        })
    };
    (1..tag.len()).rev().find(is_at_end).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(pieces: &[&str]) -> (String, String) {
        let mut splitter = ThoughtSplitter::default();
        let mut whole = Split::default();
        let pieces: Vec<Split> = pieces.iter().map(|piece| splitter.push(piece)).collect();
        for piece in pieces.into_iter().chain([splitter.finish()]) {
            whole.thoughts.push_str(&piece.thoughts);
            whole.said.push_str(&piece.said);
        }
        (whole.thoughts, whole.said)
    }

    #[test]
    fn thoughts_at_the_beginning_are_not_said() {
        for (text, thoughts, said) in [
            ("<think>hm</think>\n\nyes", "hm", "yes"),
            ("\n<think>\nhm\n</think>yes", "\nhm\n", "yes"),
            ("<thinking>a < b</thinking>", "a < b", ""),
            ("[THINK]hm[/THINK]ja", "hm", "ja"),
            ("<THINK>hm</Think>ja", "hm", "ja"),
            ("<think>a</think>\n<think>b</think>\n c", "a\nb", "c"),
            ("<think>a</think> <thi", "a", "<thi"),
            ("<think>a</think>\n ", "a", ""),
            ("<think>cut off", "cut off", ""),
            ("<thi", "", "<thi"),
            ("plain <think>not</think>", "", "plain <think>not</think>"),
            ("  padded", "", "  padded"),
            ("", "", ""),
        ] {
            let expected = (thoughts.to_owned(), said.to_owned());
            assert_eq!(split(&[text]), expected, "{text}");
            let characters: Vec<String> = text.chars().map(String::from).collect();
            let characters: Vec<&str> = characters.iter().map(String::as_str).collect();
            assert_eq!(split(&characters), expected, "{text}, in characters");
        }
    }

    #[test]
    fn a_tag_that_only_closes_ends_thoughts_too() {
        let split = split_unopened("hm\n</think>\n\nyes").unwrap();
        assert_eq!(
            (split.thoughts.as_str(), split.said.as_str()),
            ("hm", "yes")
        );
        assert_eq!(split_unopened("write `</think>` at the end"), None);
        assert_eq!(split_unopened("no tag"), None);
    }
}
