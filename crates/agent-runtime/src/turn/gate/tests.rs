use std::{
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::FutureExt;
use tokio::{
    sync::{Barrier, oneshot},
    task::yield_now,
    time::timeout,
};

use super::{Access::*, *};

/// Long enough on any machine: a test that waits for so long has failed.
const GIVE_UP: Duration = Duration::from_secs(20);

type Calls = Vec<(Access, BoxFuture<'static, usize>)>;

/// What began and ended, in order: `+0`, `-0`.
type Trace = Arc<Mutex<Vec<String>>>;

fn traced(
    trace: &Trace,
    position: usize,
    work: impl Future<Output = ()> + Send + 'static,
) -> BoxFuture<'static, usize> {
    let trace = Arc::clone(trace);
    async move {
        trace.lock().unwrap().push(format!("+{position}"));
        work.await;
        trace.lock().unwrap().push(format!("-{position}"));
        position
    }
    .boxed()
}

async fn outputs(limit: usize, calls: Calls) -> Vec<usize> {
    let mut calls = OrderedCalls::new(limit, calls);
    let all = async {
        let mut outputs = Vec::new();
        while let Some(output) = calls.next().await {
            outputs.push(output);
        }
        outputs
    };
    timeout(GIVE_UP, all).await.expect("the calls end")
}

#[tokio::test]
async fn shared_calls_overlap() {
    let together = Arc::new(Barrier::new(3));
    let call = |position| {
        let together = Arc::clone(&together);
        // None passes the barrier before all are there.
        (
            Shared,
            async move {
                together.wait().await;
                position
            }
            .boxed(),
        )
    };
    assert_eq!(outputs(3, (0..3).map(call).collect()).await, [0, 1, 2]);
}

#[tokio::test]
async fn no_more_run_than_the_limit_allows() {
    let pairs = Arc::new(Barrier::new(2));
    let trace = Trace::default();
    let call = |position| {
        let pairs = Arc::clone(&pairs);
        let work = async move {
            pairs.wait().await;
            yield_now().await;
        };
        (Shared, traced(&trace, position, work))
    };
    assert_eq!(
        outputs(2, (0..6).map(call).collect()).await,
        [0, 1, 2, 3, 4, 5]
    );
    let mut most = 0;
    let mut running = 0;
    for step in trace.lock().unwrap().iter() {
        if step.starts_with('+') {
            running += 1;
        } else {
            running -= 1;
        }
        most = most.max(running);
    }
    assert_eq!(most, 2);
}

#[tokio::test]
async fn outputs_keep_the_order_of_the_calls_when_a_later_one_ends_first() {
    let (second_ended, wait_for_second) = oneshot::channel();
    let trace = Trace::default();
    let first = traced(&trace, 0, async move { wait_for_second.await.unwrap() });
    let second = traced(&trace, 1, async move { second_ended.send(()).unwrap() });
    let calls = vec![(Shared, first), (Shared, second)];
    assert_eq!(outputs(2, calls).await, [0, 1]);
    assert_eq!(*trace.lock().unwrap(), ["+0", "+1", "-1", "-0"]);
}

#[tokio::test]
async fn an_exclusive_call_runs_alone() {
    let trace = Trace::default();
    let call = |(position, access)| (access, traced(&trace, position, yield_now()));
    let calls = [Shared, Exclusive, Shared, Exclusive, Exclusive];
    let calls = calls.into_iter().enumerate().map(call).collect();
    assert_eq!(outputs(8, calls).await, [0, 1, 2, 3, 4]);
    assert_eq!(
        *trace.lock().unwrap(),
        ["+0", "-0", "+1", "-1", "+2", "-2", "+3", "-3", "+4", "-4"]
    );
}

#[tokio::test]
async fn a_limit_of_one_is_one_after_the_other() {
    let trace = Trace::default();
    let call = |position| (Shared, traced(&trace, position, yield_now()));
    assert_eq!(outputs(1, (0..3).map(call).collect()).await, [0, 1, 2]);
    assert_eq!(*trace.lock().unwrap(), ["+0", "-0", "+1", "-1", "+2", "-2"]);
}

#[tokio::test]
async fn what_runs_ends_and_nothing_more_starts() {
    let (end_second, second_ends) = oneshot::channel::<()>();
    let trace = Trace::default();
    let first = traced(&trace, 0, async {});
    let second = traced(&trace, 1, async move { second_ends.await.unwrap() });
    let third = traced(&trace, 2, async {});
    let calls = vec![(Shared, first), (Shared, second), (Shared, third)];
    let mut calls = OrderedCalls::new(2, calls);
    assert_eq!(calls.next().await, Some(0));
    calls.start_no_more();
    end_second.send(()).unwrap();
    assert_eq!(calls.next().await, Some(1));
    assert_eq!(calls.next().await, None);
    let trace = trace.lock().unwrap();
    assert!(!trace.contains(&"+2".to_owned()), "{trace:?}");
}

#[tokio::test]
async fn abandoned_calls_give_what_had_come_before() {
    let (end_first, first_ends) = oneshot::channel::<()>();
    let (second_ended, wait_for_second) = oneshot::channel();
    let trace = Trace::default();
    let first = traced(&trace, 0, async move { first_ends.await.unwrap() });
    let second = traced(&trace, 1, async move { second_ended.send(()).unwrap() });
    let third = traced(&trace, 2, yield_now());
    let mut calls = OrderedCalls::new(
        2,
        vec![(Shared, first), (Shared, second), (Exclusive, third)],
    );
    let second_is_through = async {
        tokio::select! {
            biased;
            output = calls.next() => panic!("the first still runs: {output:?}"),
            ended = wait_for_second => ended.unwrap(),
        }
    };
    timeout(GIVE_UP, second_is_through).await.expect("it ends");
    end_first.send(()).unwrap();
    assert_eq!(calls.abandon().await, [1]);
    assert_eq!(*trace.lock().unwrap(), ["+0", "+1", "-1", "-0"]);
}
