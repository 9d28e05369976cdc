//! What judges how dangerous an action is.

use core_model::event::{ActionEvent, SecurityRisk};
use serde_json::Value;

use crate::{
    action_text::ActionText,
    assessment::{Assessment, Finding},
    evaluators::evaluated,
    patterns::PatternAnalyzer,
    rails::rails,
};

/// Levels of ensembles in ensembles, and analyzers in one.
const MAX_DEPTH: usize = 4;
const MAX_CHILDREN: usize = 16;

/// Why settings describe no analyzer of this server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnalyzerError {
    /// The field that is wrong, by names and numbers.
    pub at: Vec<String>,
    pub why: String,
}

/// Judges actions.
#[derive(Clone, Debug)]
pub struct Analyzer {
    /// As clients know it.
    pub name: String,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    /// The model's own word.
    Model,
    Patterns(Box<PatternAnalyzer>),
    Rails,
    Ensemble {
        analyzers: Vec<Analyzer>,
        propagate_unknown: bool,
    },
}

impl Analyzer {
    /// Reads the settings that a client sent.
    ///
    /// # Errors
    /// Where they are wrong, or name an analyzer that is not built in.
    pub fn new(settings: &Value) -> Result<Self, AnalyzerError> {
        Self::at_depth(settings, 0)
    }

    fn at_depth(settings: &Value, depth: usize) -> Result<Self, AnalyzerError> {
        let fail = |at: &[&str], why: String| AnalyzerError {
            at: at.iter().map(|&part| part.to_owned()).collect(),
            why,
        };
        let Some(name) = settings.get("kind").and_then(Value::as_str) else {
            return Err(fail(&["kind"], "an analyzer has a `kind`".to_owned()));
        };
        let kind = match name {
            "LLMSecurityAnalyzer" => Kind::Model,
            "PatternSecurityAnalyzer" => {
                let patterns = PatternAnalyzer::new(settings);
                let patterns = patterns.map_err(|(field, why)| {
                    let at: &[&str] = if field.is_empty() { &[] } else { &[&field] };
                    fail(at, why)
                })?;
                Kind::Patterns(Box::new(patterns))
            }
            "PolicyRailSecurityAnalyzer" => Kind::Rails,
            "EnsembleSecurityAnalyzer" => Self::ensemble(settings, depth)?,
            "GraySwanAnalyzer" => {
                let why =
                    "GraySwanAnalyzer asks a service outside of this server, which is not built in";
                return Err(fail(&["kind"], why.to_owned()));
            }
            "ToolShieldLLMSecurityAnalyzer" => {
                let why = "ToolShieldLLMSecurityAnalyzer needs a collection of experiences that is not built in";
                return Err(fail(&["kind"], why.to_owned()));
            }
            other => {
                let why = format!(
                    "`{other}` is not built in: use LLMSecurityAnalyzer, PatternSecurityAnalyzer, \
                     PolicyRailSecurityAnalyzer or EnsembleSecurityAnalyzer"
                );
                return Err(fail(&["kind"], why));
            }
        };
        Ok(Self {
            name: name.to_owned(),
            kind,
        })
    }

    fn ensemble(settings: &Value, depth: usize) -> Result<Kind, AnalyzerError> {
        let fail = |at: &str, why: &str| AnalyzerError {
            at: vec![at.to_owned()],
            why: why.to_owned(),
        };
        let list = settings.get("analyzers").and_then(Value::as_array);
        let list = list.filter(|list| !list.is_empty() && list.len() <= MAX_CHILDREN);
        let list = list.ok_or_else(|| fail("analyzers", "an ensemble has 1 to 16 analyzers"))?;
        if depth == MAX_DEPTH {
            return Err(fail("analyzers", "ensembles are nested too deeply"));
        }
        let propagate_unknown = match settings.get("propagate_unknown") {
            None => false,
            Some(value) => value
                .as_bool()
                .ok_or_else(|| fail("propagate_unknown", "it is true or false"))?,
        };
        let analyzers = list.iter().enumerate().map(|(index, child)| {
            Self::at_depth(child, depth + 1).map_err(|error| AnalyzerError {
                at: ["analyzers".to_owned(), index.to_string()]
                    .into_iter()
                    .chain(error.at)
                    .collect(),
                why: error.why,
            })
        });
        Ok(Kind::Ensemble {
            analyzers: analyzers.collect::<Result<_, _>>()?,
            propagate_unknown,
        })
    }

    /// Whether it heeds the model's own word on an action's risk.
    #[must_use]
    pub fn heeds_model(&self) -> bool {
        match &self.kind {
            Kind::Model => true,
            Kind::Patterns(_) | Kind::Rails => false,
            Kind::Ensemble { analyzers, .. } => analyzers.iter().any(Self::heeds_model),
        }
    }

    /// Judges an action.
    #[must_use]
    pub fn assess(&self, event: &ActionEvent) -> Assessment {
        if matches!(self.kind, Kind::Model) {
            return of_model(event);
        }
        self.assess_text(event, &ActionText::of(event))
    }

    fn assess_text(&self, event: &ActionEvent, text: &ActionText) -> Assessment {
        match &self.kind {
            Kind::Model => of_model(event),
            Kind::Patterns(patterns) => patterns.assess(text),
            Kind::Rails => {
                let mut findings = Vec::new();
                let mut unresolved = text.unresolved.clone();
                for reading in &text.commands {
                    let (found, unclear) = rails(reading);
                    findings.extend(found);
                    unresolved.extend(unclear);
                    unresolved.extend(evaluated(reading));
                }
                Assessment::of(findings, unresolved)
            }
            Kind::Ensemble {
                analyzers,
                propagate_unknown,
            } => {
                let said = analyzers.iter().map(|it| it.assess_text(event, text));
                fuse(said.collect(), *propagate_unknown)
            }
        }
    }
}

fn of_model(event: &ActionEvent) -> Assessment {
    let risk = event.security_risk;
    let mut assessment = Assessment {
        risk,
        known: risk,
        ..Assessment::default()
    };
    if risk != SecurityRisk::Unknown {
        let about = "what the model says of its own call";
        assessment
            .findings
            .push(Finding::new(risk, "model", about, &event.tool_name));
    }
    assessment
}

/// The highest risk that one of them names. Unknown when none names one, or, with `propagate_unknown`, when
/// one names none.
fn fuse(said: Vec<Assessment>, propagate_unknown: bool) -> Assessment {
    let mut fused = Assessment::default();
    let any_unknown = said.iter().any(|it| it.risk == SecurityRisk::Unknown);
    for one in said {
        // UNKNOWN is the lowest.
        fused.risk = fused.risk.max(one.risk);
        fused.known = fused.known.max(one.known);
        for unresolved in one.unresolved {
            if !fused.unresolved.contains(&unresolved) {
                fused.unresolved.push(unresolved);
            }
        }
        for finding in one.findings {
            if !fused.findings.contains(&finding) {
                fused.findings.push(finding);
            }
        }
    }
    if propagate_unknown && any_unknown {
        fused.risk = SecurityRisk::Unknown;
    }
    fused
}
