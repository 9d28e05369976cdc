use std::time::Duration;

use core_model::LlmSettings;

use crate::ModelError;

/// A provider that asks for a longer wait than this is taken at its word: the call fails.
const LONGEST_ASKED_WAIT: Duration = Duration::from_secs(120);

/// No schedule waits longer than this, whatever its settings say.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// How often, and after what waits, a call is tried again.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Schedule {
    retries: u32,
    multiplier: f64,
    min: Duration,
    max: Duration,
}

/// What to do about a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    GiveUp,
    /// Try again, after `asked` if the provider named a time.
    Retry {
        asked: Option<Duration>,
    },
}

/// Calls until it succeeds, fails for good, or the schedule is used up; then says the last error.
pub(crate) async fn retrying<T, F, Fut>(schedule: &Schedule, mut call: F) -> Result<T, ModelError>
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
pub(crate) fn verdict(error: &ModelError) -> Verdict {
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
    pub(crate) fn new(settings: &LlmSettings) -> Self {
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

/// Reads a `Retry-After` header: seconds, or an HTTP date compared with `now_epoch_seconds`.
pub(crate) fn parse_retry_after(value: &str, now_epoch_seconds: i64) -> Option<Duration> {
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
mod tests {
    use super::*;
    use std::cell::Cell;
    use tokio::time::Instant;

    fn schedule(retries: u32) -> Schedule {
        Schedule::new(&LlmSettings {
            num_retries: retries,
            ..LlmSettings::default()
        })
    }

    fn limited(seconds: u64) -> ModelError {
        ModelError::RateLimit {
            message: "slow down".to_owned(),
            retry_after: Some(Duration::from_secs(seconds)),
        }
    }

    #[test]
    fn waits_double_within_their_bounds() {
        let waits = |fraction| -> Vec<u64> {
            (0..6)
                .map_while(|tried| schedule(5).wait(tried, None, fraction))
                .map(|wait| wait.as_secs())
                .collect()
        };
        assert_eq!(waits(1.0), [8, 16, 32, 64, 64]);
        assert_eq!(waits(0.0), [8, 8, 16, 32, 32]);
    }

    #[test]
    fn odd_settings_do_not_panic() {
        for multiplier in [-1.0, 0.0, 1e300, f64::NAN, f64::INFINITY] {
            let odd = Schedule::new(&LlmSettings {
                num_retries: u32::MAX,
                retry_multiplier: multiplier,
                retry_min_wait: 10,
                retry_max_wait: 1,
                ..LlmSettings::default()
            });
            let wait = odd.wait(4_000_000, None, 1.0);
            assert_eq!(wait, Some(Duration::from_secs(10)), "{multiplier}");
        }
    }

    #[test]
    fn no_wait_exceeds_a_day() {
        let patient = Schedule::new(&LlmSettings {
            retry_min_wait: u64::MAX,
            retry_max_wait: u64::MAX,
            ..LlmSettings::default()
        });
        assert_eq!(patient.wait(0, None, 1.0), Some(LONGEST_WAIT));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let seconds = |text| parse_retry_after(text, 784_111_770).map(|wait| wait.as_secs_f64());
        assert_eq!(seconds("7"), Some(7.0));
        assert_eq!(seconds(" 0.5 "), Some(0.5));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(7.0));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:40:00 GMT"), Some(0.0));
        assert_eq!(seconds("-3"), None);
        assert_eq!(seconds("soon"), None);
    }

    #[test]
    fn only_what_may_pass_is_retried() {
        let retry = |status| verdict(&ModelError::from_status(status, "m", None));
        for status in [408, 409, 429, 500, 502, 503, 504, 529] {
            assert_eq!(retry(status), Verdict::Retry { asked: None }, "{status}");
        }
        for status in [302, 400, 401, 402, 403, 404, 413, 422] {
            assert_eq!(retry(status), Verdict::GiveUp, "{status}");
        }
        assert_eq!(verdict(&limited(121)), Verdict::GiveUp);
    }

    #[tokio::test(start_paused = true)]
    async fn the_provider_s_wait_is_kept() {
        let calls = Cell::new(0);
        let start = Instant::now();
        let reply = retrying(&schedule(5), || async {
            calls.set(calls.get() + 1);
            match calls.get() {
                1 => Err(limited(3)),
                2 => Err(limited(90)),
                _ => Ok("reply"),
            }
        })
        .await;
        assert_eq!((reply, calls.get()), (Ok("reply"), 3));
        assert_eq!(start.elapsed().as_secs(), 93);
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_error_is_told_when_retries_are_used_up() {
        let calls = Cell::new(0);
        let failed: Result<(), _> = retrying(&schedule(2), || async {
            calls.set(calls.get() + 1);
            Err(ModelError::Timeout(calls.get().to_string()))
        })
        .await;
        assert_eq!(failed, Err(ModelError::Timeout("3".to_owned())));
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_pass_is_tried_once() {
        let calls = Cell::new(0);
        let failed: Result<(), _> = retrying(&schedule(5), || async {
            calls.set(calls.get() + 1);
            Err(limited(600))
        })
        .await;
        assert_eq!((failed, calls.get()), (Err(limited(600)), 1));
    }
}
