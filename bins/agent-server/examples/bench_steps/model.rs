//! A model that answers at once and does not look into what it is asked.

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Instant,
};

use serde_json::{Value, json};

pub(crate) const FORMATS: [&str; 3] = ["chat", "responses", "messages"];

/// Of a step's thought.
const THOUGHT_CHARS: usize = 1_000;
const READ_SIZE: usize = 256 * 1024;

/// One answered request.
#[derive(Clone, Copy)]
pub(crate) struct Answered {
    /// When its last byte was read.
    pub(crate) asked: Instant,
    /// When the answer was written.
    pub(crate) answered: Instant,
    pub(crate) body_bytes: usize,
    /// How long the asking server's threads were running until then.
    pub(crate) processor_nanos: u64,
    pub(crate) resident_bytes: u64,
}

/// Calls `think` at each step and `finish` after the last one.
pub(crate) struct InstantModel {
    format: String,
    port: u16,
    answered: Arc<Mutex<Vec<Answered>>>,
    bare: Receiver<Instant>,
}

struct Asked {
    format: String,
    steps: usize,
    /// The process that asks.
    asking: u32,
    answered: Arc<Mutex<Vec<Answered>>>,
    bare: Sender<Instant>,
}

impl InstantModel {
    pub(crate) fn start(format: &str, steps: usize, asking: u32) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let answered = Arc::new(Mutex::new(Vec::new()));
        let (sender, bare) = channel();
        let asked = Asked {
            format: format.to_owned(),
            steps,
            asking,
            answered: Arc::clone(&answered),
            bare: sender,
        };
        let asked = Arc::new(asked);
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let asked = Arc::clone(&asked);
                // A client that hangs up has got its answer.
                thread::spawn(move || asked.serve(&connection).ok());
            }
        });
        Ok(Self {
            format: format.to_owned(),
            port,
            answered,
            bare,
        })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The model's settings in a conversation.
    pub(crate) fn settings(&self) -> Value {
        let model = match self.format.as_str() {
            "messages" => "anthropic/claude-opus-5-5",
            "responses" => "openai/gpt-5.6",
            _ => "openai/instant",
        };
        json!({
            "model": model, "api_key": "none", "api_mode": self.format, "stream": false,
            "base_url": format!("http://127.0.0.1:{}/v1", self.port),
        })
    }

    /// The conversation's requests, oldest first.
    pub(crate) fn answered(&self) -> Vec<Answered> {
        let answered = self.answered.lock();
        answered.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// When the next request outside the conversation was read.
    pub(crate) fn bare_request(&self) -> io::Result<Instant> {
        self.bare.recv().map_err(io::Error::other)
    }
}

impl Asked {
    fn serve(&self, mut stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::with_capacity(READ_SIZE, stream);
        let mut body = Vec::new();
        while let Some(head) = read_head(&mut reader)? {
            body.resize(head.length, 0);
            reader.read_exact(&mut body)?;
            let asked = Instant::now();
            if head.is_bare {
                self.bare.send(asked).map_err(io::Error::other)?;
                continue;
            }
            let number = self.lock().len();
            let processor_nanos = processor_nanos(self.asking)?;
            let resident_bytes = resident_bytes(self.asking)?;
            let answer = self.answer(number).to_string();
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{answer}",
                answer.len()
            )?;
            self.lock().push(Answered {
                asked,
                answered: Instant::now(),
                body_bytes: head.length,
                processor_nanos,
                resident_bytes,
            });
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Answered>> {
        self.answered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, number: usize) -> Value {
        let (tool, arguments) = if number < self.steps {
            let thought = format!("{number:>THOUGHT_CHARS$}");
            ("think", json!({"thought": thought}))
        } else {
            ("finish", json!({"message": "done"}))
        };
        let id = format!("call_{number}");
        match self.format.as_str() {
            "messages" => json!({
                "id": format!("msg_{number}"), "type": "message", "role": "assistant", "model": "instant",
                "content": [{"type": "tool_use", "id": id, "name": tool, "input": arguments}],
                "stop_reason": "tool_use", "usage": {"input_tokens": 1, "output_tokens": 1},
            }),
            "responses" => json!({
                "id": format!("resp_{number}"), "object": "response", "status": "completed",
                "output": [{"type": "function_call", "id": format!("fc_{number}"), "call_id": id,
                            "name": tool, "arguments": arguments.to_string()}],
                "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
            }),
            _ => {
                let call = json!({"id": id, "type": "function",
                                  "function": {"name": tool, "arguments": arguments.to_string()}});
                let message = json!({"role": "assistant", "content": null, "tool_calls": [call]});
                json!({
                    "id": format!("chat-{number}"), "object": "chat.completion",
                    "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
                    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
                })
            }
        }
    }
}

struct Head {
    length: usize,
    is_bare: bool,
}

/// None when the client has closed the connection.
fn read_head(reader: &mut impl BufRead) -> io::Result<Option<Head>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let is_bare = line.starts_with("POST /bare");
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
            Some(_) => {}
            None => return Ok(Some(Head { length, is_bare })),
        }
    }
}

/// What all threads of a process have run for, in nanoseconds.
fn processor_nanos(process: u32) -> io::Result<u64> {
    let mut nanos = 0;
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        // A thread may end meanwhile.
        let Ok(times) = fs::read_to_string(thread?.path().join("schedstat")) else {
            continue;
        };
        let ran = times.split_whitespace().next().unwrap_or("0");
        nanos += ran.parse::<u64>().map_err(io::Error::other)?;
    }
    Ok(nanos)
}

fn resident_bytes(process: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    let kilobytes = kilobytes.ok_or_else(|| io::Error::other("no VmRSS in /proc/…/status"))?;
    Ok(kilobytes * 1024)
}
