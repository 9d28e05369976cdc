//! The server that is measured, as a process.

use std::{
    error::Error,
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

const BETWEEN_TRIES: Duration = Duration::from_millis(50);
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);
const LONGEST_START: Duration = Duration::from_secs(30);
const LONGEST_TURN: Duration = Duration::from_secs(300);
const MAX_ITERATIONS: u32 = 100_000;

/// Ends when dropped, together with its folder.
pub(crate) struct ServerProcess {
    child: Child,
    port: u16,
    _folder: TempDir,
}

impl ServerProcess {
    pub(crate) fn start(program: &Path) -> Result<Self, Box<dyn Error>> {
        // Beside the program, not in a folder that may be in memory.
        let folder = tempfile::tempdir_in(program.parent().unwrap_or(Path::new(".")))?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
            .local_addr()?
            .port();
        let child = Command::new(program.canonicalize()?)
            .args(["--host", "127.0.0.1", "--port", &port.to_string()])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let server = Self {
            child,
            port,
            _folder: folder,
        };
        let begin = Instant::now();
        while server.request("GET", "/ready", None).is_err() {
            if begin.elapsed() > LONGEST_START {
                return Err("the server is not ready after 30 s".into());
            }
            sleep(BETWEEN_TRIES);
        }
        Ok(server)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// A conversation of one turn, until it has ended.
    pub(crate) fn run_conversation(&self, llm: &Value) -> Result<(), Box<dyn Error>> {
        let made = self.request(
            "POST",
            "/conversations",
            Some(&json!({
                "agent": {"llm": llm}, "initial_message": "go", "max_iterations": MAX_ITERATIONS,
                "stuck_detection": false,
            })),
        )?;
        let id = made["id"].as_str().ok_or("no id")?;
        let path = format!("/conversations/{id}");
        let begin = Instant::now();
        loop {
            let status = self.request("GET", &path, None)?["execution_status"].clone();
            match status.as_str() {
                Some("running" | "idle") if begin.elapsed() < LONGEST_TURN => sleep(BETWEEN_LOOKS),
                Some("finished") => return Ok(()),
                other => return Err(format!("the turn ends as {other:?}").into()),
            }
        }
    }

    fn request(&self, method: &str, path: &str, body: Option<&Value>) -> io::Result<Value> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        let body = body.map(Value::to_string).unwrap_or_default();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        if !head.starts_with("HTTP/1.1 2") {
            return Err(io::Error::other(answer));
        }
        // `/ready` need not be JSON.
        Ok(serde_json::from_str(body).unwrap_or_default())
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
