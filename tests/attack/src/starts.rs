//! Many first requests at once on a server that has nothing yet.

use std::{
    fs,
    sync::{Arc, Barrier},
    thread,
};

use anyhow::{Context, Result, bail};
use harness::Target;
use serde_json::json;

use crate::launcher::{Launcher, status};

const CLIENTS: usize = 64;

/// `starts` fresh servers, each with 64 creations with a secret at once; all are 201. Then each is
/// started again, and its secrets can be opened.
pub(crate) fn creations(launcher: &Launcher, starts: u64) -> Result<String> {
    for start in 0..starts {
        let server = launcher.start("")?;
        at_once(&server.target()).with_context(|| format!("fresh start {start}"))?;
        let crate::launcher::AttackedServer { server, folder } = server;
        server.stop()?;
        let mut again = launcher.start_in(folder, "")?;
        again.check_works()?;
        let log = fs::read_to_string(again.folder.path().join("server.log"))?;
        if log.contains("cannot be opened") || log.contains("panicked") {
            bail!("fresh start {start}: {log}");
        }
        again.check_no_process_left()?;
    }
    Ok(format!(
        "{starts} fresh starts, {CLIENTS} creations at once each: all 201"
    ))
}

fn at_once(target: &Target) -> Result<()> {
    let together = Arc::new(Barrier::new(CLIENTS));
    let threads: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (target, together) = (target.clone(), Arc::clone(&together));
            thread::spawn(move || {
                let body = json!({
                    "agent": {"kind": "Agent", "llm": {"model": "scripted", "api_key": format!("key-{client}")}, "tools": []},
                    "workspace": {"working_dir": "workspace/one-for-all"},
                    "secrets": {"TOKEN": format!("secret-{client}")},
                });
                together.wait();
                status(&target, "POST", "/conversations", &body.to_string())
            })
        })
        .collect();
    for thread in threads {
        let Ok(code) = thread.join() else {
            bail!("a client panicked");
        };
        let code = code?;
        if code != 201 {
            bail!("a creation was answered {code}");
        }
    }
    Ok(())
}
