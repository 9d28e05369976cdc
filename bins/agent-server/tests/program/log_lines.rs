//! Where the log goes may be slow, stuck or gone: the server answers and ends all the same.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, ChildStdout, Command, Stdio},
    thread,
};

use crate::support::{HANG, agent_server, ask, wait_until};

const LOCAL: [&str; 4] = ["--host", "127.0.0.1", "--port", "0"];

/// A server whose output is read until it says where it listens, and then no more.
struct Unread {
    child: Child,
    stdout: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl Unread {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let address = loop {
            let mut line = String::new();
            assert_ne!(stdout.read_line(&mut line).unwrap(), 0, "it ended");
            if let Some((_, address)) = line.split_once("listening on http://") {
                break address.trim().parse().unwrap();
            }
        };
        Self {
            child,
            stdout,
            address,
        }
    }

    /// Many requests on one connection; each is a line in the log, and answered.
    fn ask(&self, count: usize) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(HANG)).unwrap();
        let mut answers = BufReader::new(stream.try_clone().unwrap());
        let request = format!("GET /ready HTTP/1.1\r\nHost: {}\r\n\r\n", self.address);
        for _ in 0..count {
            stream.write_all(request.as_bytes()).unwrap();
            let (mut line, mut length) = (String::new(), 0);
            while line != "\r\n" {
                line.clear();
                answers.read_line(&mut line).unwrap();
                let header = line.to_ascii_lowercase();
                if let Some(bytes) = header.strip_prefix("content-length:") {
                    length = bytes.trim().parse().unwrap();
                }
            }
            let mut body = vec![0; length];
            answers.read_exact(&mut body).unwrap();
        }
    }

    fn terminate(&mut self) -> Option<i32> {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").arg(&id).status().unwrap().success());
        wait_until("it ends", || {
            let state = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
            state.rsplit_once(") ").unwrap().1.starts_with('Z')
        });
        self.child.wait().unwrap().code()
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn a_log_that_nobody_reads_stops_neither_answers_nor_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Unread::start(agent_server(folder.path()).args(LOCAL));
    server.ask(2_000);
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn what_was_dropped_meanwhile_is_told_to_the_reader_that_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    // The most talkative setting: what may wait is soon used up.
    let mut server = Unread::start(
        agent_server(folder.path())
            .args(LOCAL)
            .env("RUST_LOG", "trace"),
    );
    server.ask(8_000);
    let told = loop {
        let mut line = String::new();
        assert_ne!(server.stdout.read_line(&mut line).unwrap(), 0, "it ended");
        if line.contains("log lines were dropped") {
            break line;
        }
    };
    assert!(told.contains(" WARN ") && told.contains("lines="), "{told}");
    // From here on all is read, to the last line.
    let terminated = thread::scope(|scope| {
        let mut rest = String::new();
        let stdout = &mut server.stdout;
        let reading = scope.spawn(move || {
            stdout.read_to_string(&mut rest).unwrap();
            rest
        });
        let id = server.child.id().to_string();
        assert!(Command::new("kill").arg(&id).status().unwrap().success());
        reading.join().unwrap()
    });
    assert!(terminated.contains("INFO agent_server::serve: stopped\n"));
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_log_whose_reader_is_gone_ends_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = agent_server(folder.path());
    let mut server = Unread::start(command.args(LOCAL).stderr(Stdio::piped()));
    server.child.stderr.take();
    let gone = std::mem::replace(
        &mut server.stdout,
        BufReader::new(
            Command::new("true")
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
                .stdout
                .unwrap(),
        ),
    );
    drop(gone);
    server.ask(100);
    assert_eq!(server.terminate(), Some(0));
}

/// What cannot be said is no reason to stay, nor to end otherwise.
#[test]
fn an_error_that_nobody_reads_ends_the_program_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (read, write) = std::io::pipe().unwrap();
    let flags = nix::fcntl::OFlag::O_NONBLOCK;
    nix::fcntl::fcntl(&write, nix::fcntl::F_SETFL(flags)).unwrap();
    let mut full = write.try_clone().unwrap();
    while full.write(&[b'x'; 4096]).is_ok() {}
    nix::fcntl::fcntl(&write, nix::fcntl::F_SETFL(nix::fcntl::OFlag::empty())).unwrap();
    let run = |stderr: Stdio| {
        agent_server(folder.path())
            .args(["--host", "no.such.host.invalid"])
            .stdout(Stdio::null())
            .stderr(stderr)
            .status()
            .unwrap()
    };
    assert_eq!(run(write.into()).code(), Some(1));
    drop(read);
    let (read, write) = std::io::pipe().unwrap();
    drop(read);
    assert_eq!(run(write.into()).code(), Some(1));
}

/// All that a failed start has to say is there, and the reason last.
#[test]
fn a_failed_start_loses_no_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("both");
    let both = File::create(&path).unwrap();
    let status = agent_server(folder.path())
        .args(["--host", "no.such.host.invalid"])
        .stdout(both.try_clone().unwrap())
        .stderr(both)
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(1));
    let said = std::fs::read_to_string(path).unwrap();
    let lines: Vec<&str> = said.lines().collect();
    assert!(
        lines[0].contains("agent-server ") && lines[0].ends_with(" starts"),
        "{said}"
    );
    assert!(
        lines.iter().any(|line| line.contains("default model ")),
        "{said}"
    );
    assert!(
        lines
            .last()
            .unwrap()
            .starts_with("error: cannot listen on "),
        "{said}"
    );
}

#[test]
fn a_repair_goes_on_although_nobody_reads_what_it_does() {
    let folder = tempfile::tempdir().unwrap();
    let server = crate::support::Running::start(agent_server(folder.path()).args(LOCAL));
    for _ in 0..3 {
        assert!(
            ask(server.address, "POST", "/conversations", "{}")
                .unwrap()
                .contains(" 201 ")
        );
    }
    drop(server);
    let conversations = folder.path().join("workspace/conversations");
    let indexes: Vec<_> = std::fs::read_dir(conversations)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("metadata.json").exists())
        .map(|path| path.join("events.idx"))
        .collect();
    assert_eq!(indexes.len(), 3);
    for index in &indexes {
        std::fs::remove_file(index).ok();
    }
    let (read, write) = std::io::pipe().unwrap();
    drop(read);
    let status = agent_server(folder.path())
        .args(["repair", "--apply"])
        .stdout(write)
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(indexes.iter().all(|index| index.exists()));
}
