use std::time::Duration;

use core_model::LlmSettings;
use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::ModelError;

/// When a provider asks for a longer wait than this, the call fails.
const LONGEST_ASKED_WAIT: Duration = Duration::from_secs(120);

/// No schedule waits longer than this, whatever its settings say.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// How often, and after what waits, a call is tried again.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Schedule {
    retries: u32,
    multiplier: f64,
    min: Duration,
    max: Duration,
}

/// What to do about a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    GiveUp,
    /// Try again, after `asked` if the provider named a time.
    Retry {
        asked: Option<Duration>,
    },
}

/// Calls until it succeeds, fails for good, or the schedule is used up; then returns the last error.
pub(super) async fn retrying<T, F, Fut>(schedule: &Schedule, mut call: F) -> Result<T, ModelError>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, ModelError>>,
{
    let mut tried = 0;
    loop {
        let error = match call().await {
            Ok(reply) => return Ok(reply),
            Err(error) => error,
        };
        let Verdict::Retry { asked } = verdict(&error) else {
            return Err(error);
        };
        let Some(wait) = schedule.wait(tried, asked, random_fraction()) else {
            return Err(error);
        };
        tried += 1;
        tracing::warn!(
            code = error.code(),
            retry = tried,
            ?wait,
            "model call failed"
        );
        tokio::time::sleep(wait).await;
    }
}

/// Whether trying the same call again can help.
fn verdict(error: &ModelError) -> Verdict {
    match error {
        ModelError::RateLimit { retry_after, .. } | ModelError::Unavailable { retry_after, .. } => {
            match retry_after {
                Some(asked) if *asked > LONGEST_ASKED_WAIT => Verdict::GiveUp,
                asked => Verdict::Retry { asked: *asked },
            }
        }
        ModelError::Timeout(_) | ModelError::NoResponse(_) => Verdict::Retry { asked: None },
        ModelError::Configuration(_)
        | ModelError::Authentication(_)
        | ModelError::Quota(_)
        | ModelError::BadRequest { .. }
        | ModelError::ContextWindow(_) => Verdict::GiveUp,
    }
}

impl Schedule {
    pub(super) fn new(settings: &LlmSettings) -> Self {
        let min = Duration::from_secs(settings.retry_min_wait).min(LONGEST_WAIT);
        Self {
            retries: settings.num_retries,
            multiplier: settings.retry_multiplier,
            min,
            max: Duration::from_secs(settings.retry_max_wait).clamp(min, LONGEST_WAIT),
        }
    }

    /// How long to wait after `tried` retries; `None` when there are none left. Without a time
    /// asked for, waits double from `multiplier` seconds, and `fraction` (0 to 1) picks a point in
    /// their upper half, so that many callers do not come back at once.
    fn wait(&self, tried: u32, asked: Option<Duration>, fraction: f64) -> Option<Duration> {
        if tried >= self.retries {
            return None;
        }
        if let Some(asked) = asked.filter(|asked| !asked.is_zero()) {
            return Some(asked);
        }
        let doubled = self.multiplier * 2f64.powi(tried.min(62).cast_signed());
        let full = seconds(doubled).clamp(self.min, self.max);
        Some(full.mul_f64(0.5 + fraction / 2.0).max(self.min))
    }
}

/// How long a provider asks to wait: by `retry-after-ms`, by the standard header, or by the headers that
/// say when its limits are free again.
pub(super) fn asked_wait(headers: &HeaderMap) -> Option<Duration> {
    let now = chrono::Utc::now().timestamp();
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let exact = text("retry-after-ms").and_then(|ms| ms.trim().parse().ok());
    let exact = exact.map(Duration::from_millis);
    let resets = RESET_HEADERS.iter().filter_map(|name| text(name));
    // They tell when a limit is whole again, also of one that was not used up.
    let reset = || resets.filter_map(|value| parse_wait(value, now)).min();
    exact
        .or_else(|| parse_retry_after(text("retry-after")?, now))
        .or_else(reset)
}

/// When a used-up limit is free again, at OpenAI and those who copy it, and at Anthropic.
const RESET_HEADERS: [&str; 5] = [
    "x-ratelimit-reset-requests",
    "x-ratelimit-reset-tokens",
    "anthropic-ratelimit-requests-reset",
    "anthropic-ratelimit-input-tokens-reset",
    "anthropic-ratelimit-output-tokens-reset",
];

/// Reads `6m0s`, `1.5s`, `120ms`, or an RFC 3339 time compared with `now_epoch_seconds`.
fn parse_wait(value: &str, now_epoch_seconds: i64) -> Option<Duration> {
    let value = value.trim();
    if let Ok(time) = chrono::DateTime::parse_from_rfc3339(value) {
        let ahead = time.timestamp().saturating_sub(now_epoch_seconds);
        return Some(Duration::from_secs(u64::try_from(ahead).unwrap_or(0)));
    }
    let mut total = Duration::ZERO;
    let mut rest = value;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let unit_end = rest[digits..].find(|c: char| c.is_ascii_digit());
        let unit_end = unit_end.map_or(rest.len(), |end| digits + end);
        let seconds_each = match &rest[digits..unit_end] {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        total = total.saturating_add(seconds(number * seconds_each));
        rest = &rest[unit_end..];
    }
    (!value.is_empty()).then_some(total)
}

/// How long an error's body asks to wait: Google's `RetryInfo`, or OpenAI's words.
pub(super) fn asked_wait_in(body: &str) -> Option<Duration> {
    let answer: Value = serde_json::from_str(body).ok()?;
    let details = answer.pointer("/error/details").and_then(Value::as_array);
    let delay = details
        .into_iter()
        .flatten()
        .find_map(|detail| detail["retryDelay"].as_str());
    let said = || {
        let message = answer.pointer("/error/message")?.as_str()?;
        let (_, wait) = message.split_once("try again in ")?;
        wait.split([' ', ','])
            .next()
            .map(|wait| wait.trim_end_matches('.'))
    };
    parse_wait(delay.or_else(said)?, 0)
}

/// Reads a `Retry-After` header: seconds, or an HTTP date compared with `now_epoch_seconds`.
fn parse_retry_after(value: &str, now_epoch_seconds: i64) -> Option<Duration> {
    let value = value.trim();
    if let Ok(number) = value.parse::<f64>() {
        return Duration::try_from_secs_f64(number).ok();
    }
    let date = chrono::DateTime::parse_from_rfc2822(value).ok()?;
    let ahead = date.timestamp().saturating_sub(now_epoch_seconds);
    Some(Duration::from_secs(u64::try_from(ahead).unwrap_or(0)))
}

fn seconds(value: f64) -> Duration {
    match Duration::try_from_secs_f64(value) {
        Ok(duration) => duration,
        Err(_) if value > 0.0 => Duration::MAX,
        Err(_) => Duration::ZERO,
    }
}

fn random_fraction() -> f64 {
    let (_, low) = uuid::Uuid::new_v4().as_u64_pair();
    f64::from((low & u64::from(u32::MAX)) as u32) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests;
