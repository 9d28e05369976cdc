//! `--reload`: the server is swapped behind a socket that refuses nobody.

use std::{
    fs, io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use crate::support::{Running, agent_server, command, converse, get, wait_until};

const LOCAL: [&str; 6] = ["--reload", "--host", "127.0.0.1", "--port", "0", "--config"];

/// Clients that ask on and on, each time on a new connection.
struct Clients {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    threads: Vec<thread::JoinHandle<io::Result<()>>>,
}

impl Clients {
    fn of(address: std::net::SocketAddr) -> Self {
        let (stop, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let threads = (0..4)
            .map(|_| {
                let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
                thread::spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        let answer = get(address, "/health")?;
                        if !answer.starts_with("HTTP/1.1 200") {
                            return Err(io::Error::other(answer));
                        }
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok(())
                })
            })
            .collect();
        Self {
            stop,
            answered,
            threads,
        }
    }

    /// How many answers there were; fails if one was refused.
    fn finish(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap().unwrap();
        }
        self.answered.load(Ordering::Relaxed)
    }
}

fn replace(path: &Path, content: &[u8]) {
    let new = path.with_extension("new");
    fs::write(&new, content).unwrap();
    fs::rename(new, path).unwrap();
}

#[test]
fn a_changed_configuration_swaps_the_server_and_refuses_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.json");
    fs::write(&config, "{}").unwrap();
    let mut supervisor = Running::start(agent_server(folder.path()).args(LOCAL).arg(&config));
    let protected = "/conversations/search";
    assert!(
        supervisor
            .get(protected)
            .unwrap()
            .starts_with("HTTP/1.1 200")
    );

    let clients = Clients::of(supervisor.address);
    replace(&config, br#"{"session_api_key": "new"}"#);
    supervisor.wait_for_nth("listening on http://", 2);
    assert!(
        supervisor
            .get(protected)
            .unwrap()
            .starts_with("HTTP/1.1 401")
    );

    // What cannot be used changes nothing.
    replace(&config, br#"{"max_concurrent_runs": "none"}"#);
    let refusal = supervisor.wait_for("the old server stays");
    assert!(refusal.contains("at `max_concurrent_runs`"), "{refusal}");
    assert!(
        supervisor
            .get(protected)
            .unwrap()
            .starts_with("HTTP/1.1 401")
    );

    replace(&config, b"{}");
    supervisor.wait_for_nth("listening on http://", 3);
    assert!(
        supervisor
            .get(protected)
            .unwrap()
            .starts_with("HTTP/1.1 200")
    );
    assert!(clients.finish() > 0);

    supervisor.signal("TERM");
    assert_eq!(supervisor.wait().code(), Some(0), "{}", supervisor.output());
    assert!(
        get(supervisor.address, "/health").is_err(),
        "the server outlived its supervisor"
    );
}

#[test]
fn a_changed_program_swaps_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("agent-server");
    fs::copy(env!("CARGO_BIN_EXE_agent-server"), &program).unwrap();
    let config = folder.path().join("config.json");
    fs::write(&config, "{}").unwrap();
    let mut supervisor = Running::start(command(&program, folder.path()).args(LOCAL).arg(&config));

    // Bytes after its end do not change what a program does.
    let mut bytes = fs::read(&program).unwrap();
    bytes.push(0);
    let new = folder.path().join("new");
    fs::write(&new, bytes).unwrap();
    fs::set_permissions(&new, fs::metadata(&program).unwrap().permissions()).unwrap();
    fs::rename(&new, &program).unwrap();
    supervisor.wait_for_nth("listening on http://", 2);
    assert!(
        supervisor
            .get("/health")
            .unwrap()
            .starts_with("HTTP/1.1 200")
    );
}

#[test]
fn a_turn_that_a_swap_paused_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.json");
    fs::write(&config, "{}").unwrap();
    let supervisor = Running::start(agent_server(folder.path()).args(LOCAL).arg(&config));
    let project = folder.path().join("project");
    let script = "$ touch begun; sleep 600\n$ touch resumed";
    converse(supervisor.address, &project, script);
    wait_until("the first step runs", || project.join("begun").exists());
    replace(&config, br#"{"max_concurrent_runs": 3}"#);
    wait_until("the second step ran", || project.join("resumed").exists());
}

#[test]
fn a_turn_goes_on_though_the_first_server_after_it_did_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.json");
    fs::write(&config, "{}").unwrap();
    let mut supervisor = Running::start(agent_server(folder.path()).args(LOCAL).arg(&config));
    let project = folder.path().join("project");
    let script = "$ touch begun; sleep 600\n$ touch resumed";
    converse(supervisor.address, &project, script);
    wait_until("the first step runs", || project.join("begun").exists());
    let key = folder.path().join("workspace/secret.key");
    fs::write(&key, "damaged").unwrap();
    replace(&config, br#"{"max_concurrent_runs": 3}"#);
    supervisor.wait_for("the server ended");
    fs::remove_file(&key).unwrap();
    replace(&config, br#"{"max_concurrent_runs": 4}"#);
    wait_until("the second step ran", || project.join("resumed").exists());
}

/// Stands in for cargo: it fails when `broken` is there, and makes another program otherwise.
const BUILDER: &str = "#!/bin/sh
if [ -e broken ]; then echo 'error: broken' >&2; exit 1; fi
cp target/debug/agent-server target/new && echo >> target/new && mv target/new target/debug/agent-server
";

#[test]
fn changed_sources_are_built_first_and_a_failed_build_keeps_the_old_server() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    for made in ["bins/agent-server", "crates/a", "target/debug"] {
        fs::create_dir_all(root.join(made)).unwrap();
    }
    let source = root.join("crates/a/lib.rs");
    for empty in [
        "bins/agent-server/Cargo.toml",
        "Cargo.toml",
        "broken",
        "crates/a/lib.rs",
    ] {
        fs::write(root.join(empty), "").unwrap();
    }
    let program = root.join("target/debug/agent-server");
    fs::copy(env!("CARGO_BIN_EXE_agent-server"), &program).unwrap();
    let builder = root.join("builder");
    fs::write(&builder, BUILDER).unwrap();
    fs::set_permissions(&builder, fs::metadata(&program).unwrap().permissions()).unwrap();
    let config = root.join("config.json");
    fs::write(&config, "{}").unwrap();
    let mut supervisor = Running::start(
        command(&program, &root)
            .args(LOCAL)
            .arg(&config)
            .env("CARGO", &builder),
    );
    supervisor.wait_for("watching the sources in");

    fs::write(&source, "mistake").unwrap();
    supervisor.wait_for("the build failed; the old server stays");
    assert!(
        supervisor
            .get("/health")
            .unwrap()
            .starts_with("HTTP/1.1 200")
    );
    assert_eq!(supervisor.count("listening on http://"), 1);

    fs::remove_file(root.join("broken")).unwrap();
    fs::write(&source, "mended").unwrap();
    supervisor.wait_for_nth("listening on http://", 2);
    assert!(
        supervisor
            .get("/health")
            .unwrap()
            .starts_with("HTTP/1.1 200")
    );
}
