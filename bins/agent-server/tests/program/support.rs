//! The real program, run as a user would.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// Nothing here takes that long; it only keeps a broken server from hanging the tests.
pub(crate) const HANG: Duration = Duration::from_secs(60);

use serde_json::{Value, json};

/// The program, in `folder`, with nothing of ours in its environment.
pub(crate) fn agent_server(folder: &Path) -> Command {
    command(env!("CARGO_BIN_EXE_agent-server").as_ref(), folder)
}

pub(crate) fn command(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    let ours = |name: &str| {
        [
            "OH_",
            "LLM_",
            "SESSION_API_KEY",
            "OPENHANDS_",
            "RUST_LOG",
            "CARGO",
        ]
        .iter()
        .any(|prefix| name.starts_with(prefix))
    };
    for (name, _) in std::env::vars() {
        if ours(&name) {
            command.env_remove(name);
        }
    }
    command.current_dir(folder).stdin(Stdio::null());
    command
}

/// Runs to the end; for what must end by itself.
pub(crate) fn output(command: &mut Command) -> (bool, String, String) {
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let guard = Killer::after(HANG * 2, child.id());
    let Output {
        status,
        stdout,
        stderr,
    } = child.wait_with_output().unwrap();
    drop(guard);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.success(), text(stdout), text(stderr))
}

/// A failed start's reason.
pub(crate) fn start_error(command: &mut Command) -> String {
    let (success, stdout, stderr) = output(command);
    assert!(!success, "it started: {stdout}");
    stderr
}

/// A server, or a supervisor, that runs; killed when dropped.
pub(crate) struct Running {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    pub(crate) address: SocketAddr,
}

impl Running {
    /// Waits until it says where it listens.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        read_into(&lines, child.stdout.take().unwrap());
        read_into(&lines, child.stderr.take().unwrap());
        let mut running = Self {
            child,
            lines,
            address: ([127, 0, 0, 1], 0).into(),
        };
        let line = running.wait_for("listening on http://");
        let (_, address) = line.split_once("http://").unwrap();
        // A JSON log line goes on behind it.
        let address = address.split(['"', ' ']).next().unwrap();
        running.address = address.parse().unwrap();
        running
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn count(&self, text: &str) -> usize {
        let lines = self.lines.lock().unwrap();
        lines.iter().filter(|line| line.contains(text)).count()
    }

    pub(crate) fn output(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    /// The first line with `text`.
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        self.wait_for_nth(text, 1)
    }

    /// The line in which `text` comes for the `nth` time.
    pub(crate) fn wait_for_nth(&mut self, text: &str, nth: usize) -> String {
        let begin = Instant::now();
        loop {
            let lines = self.lines.lock().unwrap();
            if let Some(line) = lines.iter().filter(|line| line.contains(text)).nth(nth - 1) {
                return line.clone();
            }
            drop(lines);
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none(),
                "ended ({ended:?}) without `{text}`:\n{}",
                self.output()
            );
            assert!(begin.elapsed() < HANG, "no `{text}` in:\n{}", self.output());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.pid().to_string())
            .status();
        assert!(sent.unwrap().success());
    }

    /// Sets a limit of the process, as `prlimit` takes it.
    pub(crate) fn limit(&self, limit: &str) {
        let set = Command::new("prlimit")
            .args(["--pid", &self.pid().to_string(), limit])
            .status();
        assert!(set.unwrap().success());
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        let guard = Killer::after(HANG, self.child.id());
        let status = self.child.wait().unwrap();
        drop(guard);
        status
    }

    pub(crate) fn get(&self, path: &str) -> std::io::Result<String> {
        get(self.address, path)
    }

    pub(crate) fn post(&self, path: &str, body: &str) -> String {
        ask(self.address, "POST", path, body).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A new conversation that carries out `script`; its id.
pub(crate) fn converse(address: SocketAddr, workspace: &Path, script: &str) -> String {
    let body = json!({"workspace": {"working_dir": workspace}, "initial_message": script});
    let answer = ask(address, "POST", "/conversations", &body.to_string()).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let info: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer}"));
    info["id"]
        .as_str()
        .unwrap_or_else(|| panic!("{answer}"))
        .to_owned()
}

/// Waits until `condition` holds.
pub(crate) fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < HANG, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub(crate) fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    ask(address, "GET", path, "")
}

/// One request on a connection of its own: the whole answer.
pub(crate) fn ask(
    address: SocketAddr,
    method: &str,
    path: &str,
    body: &str,
) -> std::io::Result<String> {
    ask_with(address, method, path, "", body)
}

/// The same with more headers, each ended by its line end.
pub(crate) fn ask_with(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, HANG)?;
    stream.set_read_timeout(Some(HANG))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         {headers}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Status and body of an answer; none when it breaks off.
pub(crate) fn parts(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.get(9..12)?.parse().ok()?;
    let header = |line: &str| -> Option<usize> {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse().ok()).flatten()
    };
    let length = head.lines().find_map(header)?;
    (body.len() == length).then(|| (status, body.to_owned()))
}

fn read_into(lines: &Arc<Mutex<Vec<String>>>, from: impl Read + Send + 'static) {
    let lines = Arc::clone(lines);
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            lines.lock().unwrap().push(line);
        }
    });
}

/// Ends a process that hangs, unless dropped before.
struct Killer(Option<std::sync::mpsc::Sender<()>>);

impl Killer {
    fn after(time: Duration, pid: u32) -> Self {
        let (done, wait) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            if wait.recv_timeout(time) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                Command::new("kill")
                    .args(["-9", &pid.to_string()])
                    .status()
                    .unwrap();
            }
        });
        Self(Some(done))
    }
}

impl Drop for Killer {
    fn drop(&mut self) {
        self.0.take();
    }
}
