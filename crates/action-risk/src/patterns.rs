//! Searches an action for known signs of danger.

use core_model::event::SecurityRisk::{self, High, Medium};
use regex::{Regex, RegexBuilder};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    action_text::ActionText,
    assessment::{Assessment, Finding},
    command_rules::command_rules,
    evaluators::evaluated,
    pattern_lists::{CODE_HIGH, INJECTION_HIGH, INJECTION_MEDIUM, List, TEXT_HIGH, TEXT_MEDIUM},
    rails::rails,
};

/// Patterns in one list.
const MAX_PATTERNS: usize = 50;
/// Bytes that one pattern may take when it is compiled.
const MAX_COMPILED: usize = 1 << 20;

/// The settings of `PatternSecurityAnalyzer`. A list that is left out is our own.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Settings {
    high_patterns: Option<Vec<Vec<Value>>>,
    medium_patterns: Option<Vec<Vec<Value>>>,
    injection_high_patterns: Option<Vec<Vec<Value>>>,
    injection_medium_patterns: Option<Vec<Vec<Value>>>,
}

/// Looks for patterns, and for commands that are dangerous as syntax.
#[derive(Clone, Debug)]
pub(crate) struct PatternAnalyzer {
    /// In what is executed.
    executed: Vec<Pattern>,
    /// In arguments that are not commands.
    arguments: Vec<Pattern>,
    /// In everything.
    everything: Vec<Pattern>,
}

#[derive(Clone, Debug)]
struct Pattern {
    regex: Regex,
    about: String,
    name: String,
    risk: SecurityRisk,
}

impl PatternAnalyzer {
    /// # Errors
    /// Where the settings are wrong, and how.
    pub(crate) fn new(settings: &Value) -> Result<Self, (String, String)> {
        let settings =
            Settings::deserialize(settings).map_err(|error| (String::new(), error.to_string()))?;
        let mut analyzer = Self {
            executed: Vec::new(),
            arguments: Vec::new(),
            everything: Vec::new(),
        };
        match settings.high_patterns {
            Some(own) => analyzer.executed.extend(read(&own, "high_patterns", High)?),
            None => {
                analyzer.executed.extend(built_in(CODE_HIGH, High)?);
                analyzer.arguments.extend(built_in(TEXT_HIGH, High)?);
            }
        }
        match settings.medium_patterns {
            Some(own) => analyzer
                .executed
                .extend(read(&own, "medium_patterns", Medium)?),
            None => analyzer.arguments.extend(built_in(TEXT_MEDIUM, Medium)?),
        }
        analyzer
            .everything
            .extend(match settings.injection_high_patterns {
                Some(own) => read(&own, "injection_high_patterns", High)?,
                None => built_in(INJECTION_HIGH, High)?,
            });
        analyzer
            .everything
            .extend(match settings.injection_medium_patterns {
                Some(own) => read(&own, "injection_medium_patterns", Medium)?,
                None => built_in(INJECTION_MEDIUM, Medium)?,
            });
        Ok(analyzer)
    }

    pub(crate) fn assess(&self, text: &ActionText) -> Assessment {
        let mut findings = Vec::new();
        let mut unresolved = text.unresolved.clone();
        for reading in &text.commands {
            findings.extend(rails(reading).0);
            findings.extend(command_rules(reading));
            unresolved.extend(evaluated(reading));
        }
        search(&self.executed, text.executed(), &mut findings);
        search(&self.arguments, text.arguments.iter(), &mut findings);
        search(&self.everything, text.everything(), &mut findings);
        Assessment::of(findings, unresolved)
    }
}

fn search<'a>(
    patterns: &[Pattern],
    texts: impl Iterator<Item = &'a String>,
    findings: &mut Vec<Finding>,
) {
    for text in texts {
        let text = plain(text);
        for pattern in patterns {
            if let Some(found) = pattern.regex.find(&text) {
                let finding =
                    Finding::new(pattern.risk, &pattern.name, &pattern.about, found.as_str());
                findings.push(finding);
            }
        }
    }
}

/// Without invisible characters, and with wide letters as usual ones.
fn plain(text: &str) -> String {
    let visible = |char: &char| {
        !matches!(*char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2064}'
            | '\u{feff}' | '\u{ad}' | '\u{0}'..='\u{8}' | '\u{e}'..='\u{1f}' | '\u{7f}')
    };
    let narrow = |char: char| match char {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(char) - 0xfee0).unwrap_or(char),
        '\u{3000}' | '\u{a0}' => ' ',
        char => char,
    };
    text.chars().filter(visible).map(narrow).collect()
}

fn built_in(list: List, risk: SecurityRisk) -> Result<Vec<Pattern>, (String, String)> {
    let patterns = list.iter();
    let patterns = patterns.map(|(regex, about, name)| Pattern::new(regex, about, name, risk));
    patterns
        .collect::<Result<_, _>>()
        .map_err(|error| (String::new(), error))
}

/// Triples of texts, as the public SDK sends them.
fn read(
    list: &[Vec<Value>],
    field: &str,
    risk: SecurityRisk,
) -> Result<Vec<Pattern>, (String, String)> {
    if list.len() > MAX_PATTERNS {
        return Err((field.to_owned(), format!("at most {MAX_PATTERNS} patterns")));
    }
    let patterns = list.iter().map(|triple| {
        let texts: Option<Vec<&str>> = triple.iter().map(Value::as_str).collect();
        match texts.as_deref() {
            Some([regex, about, name]) => Pattern::new(regex, about, name, risk),
            Some(_) | None => {
                Err("a pattern is a regular expression, a description and a name".to_owned())
            }
        }
    });
    patterns
        .collect::<Result<_, _>>()
        .map_err(|error| (field.to_owned(), error))
}

impl Pattern {
    fn new(regex: &str, about: &str, name: &str, risk: SecurityRisk) -> Result<Self, String> {
        let compiled = RegexBuilder::new(regex)
            .case_insensitive(true)
            .size_limit(MAX_COMPILED)
            .build();
        let regex = compiled.map_err(|error| {
            format!("`{regex}` is not a regular expression that is understood here: {error}")
        })?;
        Ok(Self {
            regex,
            about: about.to_owned(),
            name: name.to_owned(),
            risk,
        })
    }
}
