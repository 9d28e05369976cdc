use std::sync::Arc;

use agent_runtime::{Runtime, RuntimeConfig};
use core_model::LlmSettings;
use store_fs::{FsStore, Options};
use tokio::sync::oneshot;

use super::*;
use crate::{config::ApiConfig, state::ApiState};

#[actix_web::test]
async fn what_a_client_does_not_wait_for_is_carried_out() {
    let folder = tempfile::tempdir().unwrap();
    let store = FsStore::open(folder.path(), Options::default()).unwrap();
    let config = RuntimeConfig::new([7; 32], LlmSettings::default(), folder.path(), store.root());
    let runtime = Runtime::start(config, Arc::new(store));
    let server = Server(ApiState::new(runtime, ApiConfig::default(), &[]).unwrap());

    let (begin, begun) = oneshot::channel();
    let (go_on, gone_on) = oneshot::channel();
    let (end, ended) = oneshot::channel();
    let work = async move {
        begin.send(()).unwrap();
        gone_on.await.unwrap();
        end.send(()).unwrap();
        Ok(())
    };
    tokio::select! {
        _ = run_detached(&server, work) => panic!("it cannot have ended"),
        begun = begun => begun.unwrap(),
    }
    go_on.send(()).unwrap();
    ended.await.unwrap();
}
