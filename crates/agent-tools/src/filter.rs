use core_model::Agent;
use fancy_regex::{Regex, RegexBuilder};

/// A name is short; a pattern that needs more steps than this is not worth waiting for.
const MOST_STEPS: usize = 100_000;

/// Which tools an agent has, by name: those whose name begins with a match of its `filter_tools_regex`, in
/// the syntax of Python's `re`. Default tools are not asked.
#[derive(Clone, Debug, Default)]
pub struct ToolFilter(Option<Regex>);

impl ToolFilter {
    /// # Errors
    /// When the pattern cannot be read; the text says why.
    pub fn of(agent: &Agent) -> Result<Self, String> {
        let Some(pattern) = agent.filter_tools_regex.as_deref() else {
            return Ok(Self(None));
        };
        let anchored = format!(r"\A(?:{pattern})");
        let regex = RegexBuilder::new(&anchored)
            .backtrack_limit(MOST_STEPS)
            .build();
        match regex {
            Ok(regex) => Ok(Self(Some(regex))),
            Err(error) => Err(format!("filter_tools_regex: {error}")),
        }
    }

    #[must_use]
    pub fn allows(&self, name: &str) -> bool {
        let matches = |regex: &Regex| regex.is_match(name).unwrap_or(false);
        self.0.as_ref().is_none_or(matches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(pattern: &str) -> Result<ToolFilter, String> {
        ToolFilter::of(&Agent {
            filter_tools_regex: Some(pattern.to_owned()),
            ..Agent::default()
        })
    }

    #[test]
    fn a_pattern_is_read_as_python_does() {
        let names = |pattern: &str| -> Vec<&str> {
            let filter = filter(pattern).unwrap();
            let names = ["terminal", "repomix_pack_codebase", "repomix_other"];
            names
                .into_iter()
                .filter(|name| filter.allows(name))
                .collect()
        };
        assert_eq!(
            names("^(?!repomix)(.*)|^repomix.*pack_codebase.*$"),
            ["terminal", "repomix_pack_codebase"]
        );
        assert_eq!(names("mix"), [""; 0]);
        assert_eq!(names("x|repo"), ["repomix_pack_codebase", "repomix_other"]);
        assert!(filter("(").is_err());
        assert!(ToolFilter::default().allows("x"));
    }

    #[test]
    fn a_pattern_that_takes_for_ever_allows_nothing() {
        let filter = filter(r"(?=(a+)+$)\1b").unwrap();
        assert!(!filter.allows(&format!("{}!", "a".repeat(60))));
    }
}
