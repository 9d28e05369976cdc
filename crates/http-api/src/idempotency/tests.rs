use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use agent_runtime::{RuntimeConfig, RuntimeError};
use core_model::LlmSettings;
use store_fs::{FsStore, Options};
use tokio::sync::{Notify, oneshot};

use super::*;
use crate::{config::ApiConfig, state::ApiState};

fn server(folder: &tempfile::TempDir) -> Server {
    let store = FsStore::open(folder.path(), Options::default()).unwrap();
    let config = RuntimeConfig::new([7; 32], LlmSettings::default(), folder.path(), store.root());
    let runtime = Runtime::start(config, Arc::new(store));
    Server(ApiState::new(runtime, ApiConfig::default(), &[]).unwrap())
}

#[actix_web::test]
async fn a_key_is_locked_until_the_work_ends_also_when_its_handler_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(&folder);
    let key = || IdempotencyKey(Some("k".to_owned()));
    let carried_out = Arc::new(AtomicUsize::new(0));
    let begun = Arc::new(Notify::new());
    let (end, ended) = oneshot::channel::<()>();
    let (count, started) = (Arc::clone(&carried_out), Arc::clone(&begun));
    let first = run_once(&server, key(), "what", b"", move |_| async move {
        count.fetch_add(1, SeqCst);
        started.notify_one();
        ended.await.unwrap();
        Ok(Reply("first"))
    });
    tokio::select! {
        _ = first => panic!("it ended"),
        () = begun.notified() => {}
    }
    // The first handler is gone now, its work is not.
    let count = Arc::clone(&carried_out);
    let second = run_once(&server, key(), "what", b"", move |_| async move {
        count.fetch_add(1, SeqCst);
        Ok(Reply("second"))
    });
    let (second, ()) = tokio::join!(second, async {
        tokio::task::yield_now().await;
        end.send(()).unwrap();
    });
    let Ok(Idempotent::Stored { answer, replayed }) = second else {
        panic!("not stored");
    };
    assert_eq!((answer.body.as_str(), replayed), ("\"first\"", true));
    assert_eq!(carried_out.load(SeqCst), 1);
}

#[actix_web::test]
async fn only_a_refusal_that_may_have_had_an_effect_uses_up_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(&folder);
    for (failure, has_effect) in [
        (Failure::Unprocessable("no".to_owned()), false),
        (Failure::Runtime(RuntimeError::Stopping), true),
        (
            Failure::MessageSaved {
                run_path: String::new(),
            },
            true,
        ),
    ] {
        let name = failure.to_string();
        let key = || IdempotencyKey(Some(name.clone()));
        let fails = format!("{failure:?}");
        let refused = run_once(&server, key(), "what", b"a", move |_| async move {
            Err::<Reply<()>, _>(failure)
        });
        assert!(refused.await.is_err());
        let other = run_once(&server, key(), "what", b"b", |_| async { Ok(Reply(())) });
        let reused = matches!(other.await, Err(Failure::IdempotencyKeyReused));
        assert_eq!(reused, has_effect, "{fails}");
    }
}
