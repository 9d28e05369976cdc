//! When to try again, apart from what an answer means. Pure: time comes in as numbers.

use std::time::Duration;

use core_model::port::Outcome;

use crate::{config::OnExhausted, verdict::Verdict};

/// The first probe comes within this time, a later one twice as long after the one before, up to the
/// longest.
const FIRST_PROBE: Duration = Duration::from_secs(5);
const SOONEST_PROBE: Duration = Duration::from_millis(100);
const LONGEST_PROBE: Duration = Duration::from_secs(60);
/// How often events are refused until they are given up.
const MAX_REFUSALS: u32 = 3;

/// How often one webhook tries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    pub(crate) num_retries: u32,
    pub(crate) retry_delay: Duration,
    pub(crate) on_exhausted: OnExhausted,
}

/// What went wrong so far with one and the same thing that is to be delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) attempts: u32,
    /// Answers that the receiver cannot take it now.
    delays: u32,
    refusals: u32,
    /// Tries after the retries were used up.
    probes: u32,
}

/// What to do after an attempt that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// The same again, after this time.
    Again(Duration),
    /// The same again after this time, and it does not look as if it would work.
    Probe(Duration),
    /// Continue without it.
    GiveUp(Outcome),
}

impl Schedule {
    /// `jitter`, from 0 to 1, keeps many from trying at the same time.
    pub(crate) fn after(
        &self,
        verdict: Verdict,
        trouble: &mut Trouble,
        retry_after: Option<Duration>,
        jitter: f64,
    ) -> Next {
        trouble.attempts += 1;
        let wanted = |delay: Duration| delay.max(retry_after.unwrap_or_default());
        match verdict {
            Verdict::Refused => {
                trouble.refusals += 1;
                if trouble.refusals >= MAX_REFUSALS {
                    return Next::GiveUp(Outcome::Dead);
                }
                Next::Again(wanted(self.probe(trouble.refusals, jitter)))
            }
            Verdict::Later if trouble.delays < self.num_retries => {
                trouble.delays += 1;
                Next::Again(wanted(self.retry_delay.mul_f64(0.9 + 0.2 * jitter)))
            }
            // Nobody calls this after a try that was taken.
            Verdict::Taken | Verdict::Later | Verdict::Misdirected => match self.on_exhausted {
                OnExhausted::Drop => Next::GiveUp(Outcome::Dropped),
                OnExhausted::Park => {
                    trouble.probes += 1;
                    Next::Probe(wanted(self.probe(trouble.probes, jitter)))
                }
            },
        }
    }

    /// How long after a failure the `nth` probe comes, counted from 1.
    pub(crate) fn probe(&self, nth: u32, jitter: f64) -> Duration {
        let first = self.retry_delay.clamp(SOONEST_PROBE, FIRST_PROBE);
        let doubled = 2_u32.saturating_pow(nth.saturating_sub(1).min(16));
        let delay = first.saturating_mul(doubled).min(LONGEST_PROBE);
        delay.mul_f64(1.0 - 0.2 * jitter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn schedule(on_exhausted: OnExhausted) -> Schedule {
        Schedule {
            num_retries: 2,
            retry_delay: 5 * SECOND,
            on_exhausted,
        }
    }

    #[test]
    fn retries_are_used_up_then_probes_grow() {
        let schedule = schedule(OnExhausted::Park);
        let mut trouble = Trouble::default();
        let mut next = || schedule.after(Verdict::Later, &mut trouble, None, 0.5);
        assert_eq!([next(), next()], [Next::Again(5 * SECOND); 2]);
        let probes: Vec<Next> = (0..6).map(|_| next()).collect();
        // With half of the jitter, a tenth sooner.
        let expected = [4.5, 9.0, 18.0, 36.0, 54.0, 54.0];
        assert_eq!(probes, expected.map(|s| Next::Probe(SECOND.mul_f64(s))));
        assert_eq!(trouble.attempts, 8);
    }

    #[test]
    fn the_first_probe_comes_within_five_seconds_and_the_slowest_after_a_minute() {
        for jitter in [0.0, 0.5, 1.0] {
            for retry_delay in [Duration::ZERO, SECOND, 3600 * SECOND] {
                let schedule = Schedule {
                    retry_delay,
                    ..schedule(OnExhausted::Park)
                };
                assert!(schedule.probe(1, jitter) <= 5 * SECOND);
                assert!(schedule.probe(1, jitter) > Duration::ZERO);
                assert!(schedule.probe(u32::MAX, jitter) <= 60 * SECOND);
                assert!(schedule.probe(u32::MAX, jitter) >= 48 * SECOND);
            }
        }
    }

    #[test]
    fn a_receiver_that_asks_for_a_pause_gets_it() {
        let schedule = schedule(OnExhausted::Park);
        let mut trouble = Trouble::default();
        let wait = Some(120 * SECOND);
        let next = schedule.after(Verdict::Later, &mut trouble, wait, 0.0);
        assert_eq!(next, Next::Again(120 * SECOND));
        // A shorter wish does not hurry us.
        let next = schedule.after(Verdict::Later, &mut trouble, Some(SECOND), 0.5);
        assert_eq!(next, Next::Again(5 * SECOND));
    }

    #[test]
    fn what_is_refused_three_times_is_dead_and_misdirected_is_probed_at_once() {
        let schedule = schedule(OnExhausted::Park);
        let mut trouble = Trouble::default();
        let mut next = |verdict| schedule.after(verdict, &mut trouble, None, 0.0);
        assert_eq!(next(Verdict::Refused), Next::Again(5 * SECOND));
        assert_eq!(next(Verdict::Misdirected), Next::Probe(5 * SECOND));
        assert_eq!(next(Verdict::Refused), Next::Again(10 * SECOND));
        assert_eq!(next(Verdict::Refused), Next::GiveUp(Outcome::Dead));
    }

    #[test]
    fn one_that_drops_continues_after_the_retries() {
        let schedule = schedule(OnExhausted::Drop);
        let mut trouble = Trouble::default();
        let mut next = |verdict| schedule.after(verdict, &mut trouble, None, 0.5);
        assert_eq!(next(Verdict::Later), Next::Again(5 * SECOND));
        assert_eq!(next(Verdict::Later), Next::Again(5 * SECOND));
        assert_eq!(next(Verdict::Later), Next::GiveUp(Outcome::Dropped));
    }
}
