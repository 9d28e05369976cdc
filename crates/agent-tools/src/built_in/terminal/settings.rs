use std::time::Duration;

use serde_json::{Map, Value};

use super::arguments::LONGEST_TIMEOUT;
use crate::OpenError;

/// Limits of the terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TerminalSettings {
    /// A call without `timeout` is answered when nothing new was written for so long.
    pub(super) soft_timeout: Duration,
    /// The same for a call that types into a running program, where silence mostly means that
    /// the program waits for more.
    pub(super) input_soft_timeout: Duration,
    /// Every call is answered after so long, also one whose command writes all the time or that has a
    /// longer `timeout`.
    pub(super) max_foreground_timeout: Duration,
    /// What an observation shows of an output, in characters. What background jobs wrote gets a third of
    /// that beside it.
    pub(super) output_cap: usize,
    /// What the file of a longer output takes, in bytes.
    pub(super) saved_output_cap: u64,
}

impl Default for TerminalSettings {
    fn default() -> Self {
        Self {
            soft_timeout: Duration::from_secs(30),
            input_soft_timeout: Duration::from_secs(3),
            max_foreground_timeout: Duration::from_secs(600),
            output_cap: 30_000,
            saved_output_cap: 256 * 1024 * 1024,
        }
    }
}

/// The settings that an agent's parameters change. Of those that public clients know, the others name a
/// user, a shell or a kind of terminal, and mean nothing here.
///
/// # Errors
/// For the first parameter that is not valid.
pub(super) fn read(
    params: &Map<String, Value>,
    usual: &TerminalSettings,
) -> Result<TerminalSettings, OpenError> {
    let mut settings = usual.clone();
    for (name, setting) in [
        ("no_change_timeout_seconds", &mut settings.soft_timeout),
        (
            "max_foreground_terminal_timeout_seconds",
            &mut settings.max_foreground_timeout,
        ),
    ] {
        let Some(value) = params.get(name).filter(|value| !value.is_null()) else {
            continue;
        };
        *setting = value
            .as_f64()
            .filter(|seconds| *seconds > 0.0)
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .filter(|time| *time <= LONGEST_TIMEOUT)
            .ok_or_else(|| OpenError::Parameter {
                tool: "terminal",
                name,
                expected: format!(
                    "seconds, more than 0 and at most {}",
                    LONGEST_TIMEOUT.as_secs()
                ),
                value: value.to_string(),
            })?;
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_terminal_waits_as_long_as_it_is_told() {
        let usual = TerminalSettings {
            max_foreground_timeout: Duration::from_secs(99),
            ..TerminalSettings::default()
        };
        let read = |params: Value| read(params.as_object().unwrap(), &usual);
        assert_eq!(read(json!({})).unwrap(), usual);
        assert_eq!(
            read(json!({"no_change_timeout_seconds": 7, "terminal_type": "tmux"})).unwrap(),
            TerminalSettings {
                soft_timeout: Duration::from_secs(7),
                ..usual.clone()
            }
        );
        assert_eq!(
            read(json!({
                "no_change_timeout_seconds": null,
                "max_foreground_terminal_timeout_seconds": 0.5,
            }))
            .unwrap(),
            TerminalSettings {
                max_foreground_timeout: Duration::from_millis(500),
                ..usual.clone()
            }
        );
        for name in [
            "no_change_timeout_seconds",
            "max_foreground_terminal_timeout_seconds",
        ] {
            for wrong in [json!(0), json!(-1), json!("7"), json!(1e300), json!(86_401)] {
                let error = read(json!({name: wrong})).unwrap_err().to_string();
                let start = format!("terminal: params.{name}: expected seconds, ");
                assert!(error.starts_with(&start), "{error}");
            }
        }
    }
}
