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

#[test]
fn a_wait_is_read_in_all_its_forms() {
    let wait = |text: &str| parse_wait(text, 1_000_000_000);
    let seconds = |seconds| Some(Duration::from_secs_f64(seconds));
    for (text, expected) in [
        ("6m0s", seconds(360.0)),
        ("1.5s", seconds(1.5)),
        ("120ms", seconds(0.12)),
        ("1h2m3s", seconds(3_723.0)),
        ("2001-09-09T01:46:50Z", seconds(10.0)),
        ("2001-09-09T01:46:30Z", seconds(0.0)),
        ("", None),
        ("soon", None),
        ("3", None),
        ("3 parsecs", None),
    ] {
        assert_eq!(wait(text), expected, "{text:?}");
    }
    let google = r#"{"error": {"code": 429, "details": [
        {"@type": "type.googleapis.com/google.rpc.Help"},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "13s"}]}}"#;
    assert_eq!(asked_wait_in(google), seconds(13.0));
    let openai =
        r#"{"error": {"message": "Rate limit reached. Please try again in 2.5s. Visit x"}}"#;
    assert_eq!(asked_wait_in(openai), seconds(2.5));
    assert_eq!(asked_wait_in("<html>"), None);
}

#[test]
fn the_standard_header_outranks_when_limits_are_free_again() {
    let mut headers = HeaderMap::new();
    let mut set = |name: &'static str, value| {
        headers.insert(name, reqwest::header::HeaderValue::from_static(value));
        asked_wait(&headers)
    };
    assert_eq!(
        set("x-ratelimit-reset-tokens", "6m0s"),
        Some(Duration::from_secs(360))
    );
    assert_eq!(
        set("x-ratelimit-reset-requests", "2s"),
        Some(Duration::from_secs(2))
    );
    assert_eq!(set("retry-after", "7"), Some(Duration::from_secs(7)));
    assert_eq!(set("retry-after-ms", "90"), Some(Duration::from_millis(90)));
}
