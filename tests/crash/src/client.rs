use std::{
    io,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, bail};
use harness::{Answer, Connection, Target};
use serde_json::json;

use crate::{
    expected_state::{Existence, ExpectedState, Marker, MessageState, lock},
    random::Random,
};

/// Conversations that are talked to at a time, so that several clients meet in one.
const SHARED_CONVERSATIONS: usize = 12;

/// What the clients of a round share.
pub(crate) struct RoundContext<'a> {
    pub(crate) expected_state: &'a Mutex<ExpectedState>,
    pub(crate) target: Target,
    /// Set just before the server is killed: from then on requests may fail.
    pub(crate) killing: AtomicBool,
    pub(crate) keys: bool,
}

/// One client, which does one thing after the other until the server is gone.
pub(crate) struct Client<'a> {
    context: &'a RoundContext<'a>,
    connection: Connection,
    random: Random,
    client: u64,
    number: u64,
}

impl<'a> Client<'a> {
    /// `numbers` is where the numbers of its messages begin.
    pub(crate) fn new(
        context: &'a RoundContext<'a>,
        random: Random,
        client: u64,
        numbers: u64,
    ) -> Self {
        Self {
            context,
            connection: Connection::new(&context.target),
            random,
            client,
            number: numbers,
        }
    }

    /// # Errors
    /// When the server fails without having been killed, or refuses what it must not.
    pub(crate) fn work(&mut self) -> Result<()> {
        loop {
            let outcome = match self.random.below(100) {
                0..8 => self.create(),
                8..11 => self.delete(),
                11..14 => self.look(),
                14..18 => self.run(),
                18..21 => self.fork(),
                _ => self.say(),
            };
            match outcome? {
                Some(()) => {}
                None => return Ok(()),
            }
            if self.random.percent(5) {
                std::thread::sleep(Duration::from_millis(self.random.below(4)));
            }
        }
    }

    /// The outcome is nothing once the server was killed.
    fn create(&mut self) -> Result<Option<()>> {
        let id = self.random.uuid();
        let first = self.context.keys.then(|| self.next_marker());
        lock(self.context.expected_state).asked_for(&id, first);
        let headers = match self.context.keys {
            true => creation_key(&id),
            false => String::new(),
        };
        let path = self.context.target.conversations();
        let Some(answer) = self.send("POST", &path, &headers, &creation(&id, first))? else {
            return Ok(None);
        };
        let mut expected_state = lock(self.context.expected_state);
        match answer.status {
            201 => {
                expected_state.tally.conversations += 1;
                expected_state.update(&id, |entry| entry.created());
            }
            // Without a run slot for its first message nothing is made.
            429 if first.is_some() => expected_state.update(&id, |entry| {
                entry.existence = Existence::Gone;
                entry.unsure_creation = false;
            }),
            _ => bail!("creating {id} was answered {}", described(&answer)),
        }
        Ok(Some(()))
    }

    fn run(&mut self) -> Result<Option<()>> {
        let Some(id) = self.choose() else {
            return self.create();
        };
        let marker = self.next_marker();
        lock(self.context.expected_state).update(&id, |entry| {
            entry.runs_asked += 1;
            entry.unsure_runs.push(marker);
        });
        let headers = match self.context.keys {
            true => run_key(marker),
            false => String::new(),
        };
        let path = format!("{}/run", self.context.target.conversation(&id));
        let Some(answer) = self.send("POST", &path, &headers, "")? else {
            return Ok(None);
        };
        match answer.status {
            200 | 409 | 429 | 503 => {}
            404 if self.may_be_gone(&id) => {}
            _ => bail!("a run of {id} was answered {}", described(&answer)),
        }
        lock(self.context.expected_state).update(&id, |entry| {
            entry.unsure_runs.retain(|unsure| *unsure != marker);
        });
        Ok(Some(()))
    }

    fn fork(&mut self) -> Result<Option<()>> {
        let Some(original) = self.choose() else {
            return self.create();
        };
        let id = self.random.uuid();
        lock(self.context.expected_state).asked_for_copy(&id, &original);
        let path = format!("{}/fork", self.context.target.conversation(&original));
        let body = json!({"id": id}).to_string();
        let Some(answer) = self.send("POST", &path, "", &body)? else {
            return Ok(None);
        };
        let existence = match answer.status {
            201 => Existence::There,
            404 if self.may_be_gone(&original) => Existence::Gone,
            503 => Existence::Gone,
            _ => bail!("a copy of {original} was answered {}", described(&answer)),
        };
        let mut expected_state = lock(self.context.expected_state);
        expected_state.tally.copies += u64::from(existence == Existence::There);
        expected_state.update(&id, |entry| entry.existence = existence);
        Ok(Some(()))
    }

    fn next_marker(&mut self) -> Marker {
        self.number += 1;
        Marker {
            client: self.client,
            number: self.number,
        }
    }

    fn delete(&mut self) -> Result<Option<()>> {
        let Some(id) = self.choose() else {
            return Ok(Some(()));
        };
        let mut mine = false;
        lock(self.context.expected_state).update(&id, |entry| {
            mine = entry.existence == Existence::There;
            if mine {
                entry.existence = Existence::Leaving;
            }
        });
        if !mine {
            return Ok(Some(()));
        }
        let path = self.context.target.conversation(&id);
        let Some(answer) = self.send("DELETE", &path, "", "")? else {
            return Ok(None);
        };
        if answer.status != 200 {
            bail!("deleting {id} was answered {}", described(&answer));
        }
        let mut expected_state = lock(self.context.expected_state);
        expected_state.tally.deletions += 1;
        expected_state.update(&id, |entry| entry.existence = Existence::Gone);
        Ok(Some(()))
    }

    /// Reads, so that readers are about when the server dies.
    fn look(&mut self) -> Result<Option<()>> {
        let Some(id) = self.choose() else {
            return Ok(Some(()));
        };
        let events = self.context.target.events(&id);
        let path = match self.random.below(3) {
            0 => format!("{events}/search?sort_order=TIMESTAMP_DESC&limit=20"),
            1 => format!("{events}/count?kind=MessageEvent"),
            _ => format!("{}/search?limit=20", self.context.target.conversations()),
        };
        let Some(answer) = self.send("GET", &path, "", "")? else {
            return Ok(None);
        };
        if answer.status != 200 && !self.may_be_gone(&id) {
            bail!("GET {path} was answered {}", described(&answer));
        }
        Ok(Some(()))
    }

    fn say(&mut self) -> Result<Option<()>> {
        let Some(id) = self.choose() else {
            return self.create();
        };
        let marker = self.next_marker();
        let run = runs(marker);
        let body = message(marker);
        let path = self.context.target.events(&id);
        lock(self.context.expected_state).update(&id, |entry| {
            entry.messages.insert(marker, MessageState::Unanswered);
            entry.runs_asked += u64::from(run);
        });
        let headers = match self.context.keys {
            true => key(marker),
            false => String::new(),
        };
        let Some(answer) = self.send("POST", &path, &headers, &body)? else {
            return Ok(None);
        };
        match answer.status {
            // With 429 the message is kept, and only its run is refused.
            200 | 429 => {
                let mut expected_state = lock(self.context.expected_state);
                expected_state.tally.messages += 1;
                expected_state.tally.runs += u64::from(run && answer.status == 200);
                expected_state.update(&id, |entry| {
                    entry.messages.insert(marker, MessageState::Acknowledged);
                });
            }
            404 if self.may_be_gone(&id) => {}
            503 => {}
            _ => bail!("{marker} to {id} was answered {}", described(&answer)),
        }
        Ok(Some(()))
    }

    fn choose(&mut self) -> Option<String> {
        let existing = lock(self.context.expected_state).originals();
        // Ids are random, so the first ones are any; they stay the same while nothing is deleted.
        let shared = &existing[..existing.len().min(SHARED_CONVERSATIONS)];
        match self.random.percent(90) {
            true => self.random.pick(shared).cloned(),
            false => self.random.pick(&existing).cloned(),
        }
    }

    fn may_be_gone(&self, id: &str) -> bool {
        let expected_state = lock(self.context.expected_state);
        let entry = expected_state.conversations.get(id);
        entry.is_none_or(|entry| entry.existence != Existence::There)
    }

    /// The answer, or nothing once the server was killed.
    fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> Result<Option<Answer>> {
        let sent = self
            .connection
            .request_with(method, path, headers, body.as_bytes());
        match sent {
            Ok(answer) => Ok(Some(answer)),
            Err(_) if self.context.killing.load(Ordering::SeqCst) => Ok(None),
            Err(error) => bail!("{method} {path} failed while nobody killed the server: {error}"),
        }
    }
}

/// Sends a message again that was not answered before the server was killed, with its key.
///
/// # Errors
/// When there is no answer.
pub(crate) fn repeat(target: &Target, id: &str, marker: Marker) -> io::Result<Answer> {
    let body = message(marker);
    let path = target.events(id);
    Connection::new(target).request_with("POST", &path, &key(marker), body.as_bytes())
}

/// Sends a creation again that was not answered before the server was killed, with its key, until it
/// finds a run slot for its first message.
///
/// # Errors
/// When there is no answer.
pub(crate) fn repeat_creation(
    target: &Target,
    id: &str,
    first: Option<Marker>,
) -> io::Result<Answer> {
    let body = creation(id, first);
    let mut connection = Connection::new(target);
    loop {
        let path = target.conversations();
        let answer = connection.request_with("POST", &path, &creation_key(id), body.as_bytes())?;
        if answer.status != 429 {
            return Ok(answer);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Asks again for a run that was not answered before the server was killed, with its key.
///
/// # Errors
/// When there is no answer.
pub(crate) fn repeat_run(target: &Target, id: &str, marker: Marker) -> io::Result<Answer> {
    let path = format!("{}/run", target.conversation(id));
    Connection::new(target).request_with("POST", &path, &run_key(marker), b"")
}

fn creation_key(id: &str) -> String {
    format!("idempotency-key: {id}\r\n")
}

fn run_key(marker: Marker) -> String {
    format!(
        "idempotency-key: run {}-{}\r\n",
        marker.client, marker.number
    )
}

/// What makes a conversation, which its id and its first message alone decide.
fn creation(id: &str, first: Option<Marker>) -> String {
    let with_a_shell = id.bytes().next().is_some_and(|digit| digit % 2 == 0);
    let tools = match with_a_shell {
        true => json!([{"name": "terminal"}]),
        false => json!([]),
    };
    let agent = json!({"llm": {"model": "scripted"}, "tools": tools});
    let mut body = json!({"conversation_id": id, "agent": agent});
    if let Some(marker) = first {
        body["initial_message"] = marker.to_line().into();
    }
    body.to_string()
}

fn key(marker: Marker) -> String {
    format!("idempotency-key: {}-{}\r\n", marker.client, marker.number)
}

fn runs(marker: Marker) -> bool {
    marker.number.is_multiple_of(8)
}

/// What a message says, which its marker alone decides: the marker itself, and what the scripted
/// model is to do if it runs.
fn message(marker: Marker) -> String {
    let mut text = marker.to_line();
    let run = runs(marker);
    if run {
        let script = match marker.number / 8 % 3 {
            0 => format!("\n$ echo {}", marker.number),
            1 => "\n$ sleep 0.05\n$ echo done".to_owned(),
            _ => "\n```json\n[{\"tool\": \"think\", \"args\": {\"thought\": \"hm\"}, \
                  \"delay_ms\": 30}, {\"say\": \"well\"}]\n```"
                .to_owned(),
        };
        text.push_str(&script);
    }
    json!({"role": "user", "content": [{"type": "text", "text": text}], "run": run}).to_string()
}

fn described(answer: &Answer) -> String {
    format!(
        "{}: {}",
        answer.status,
        String::from_utf8_lossy(&answer.body)
    )
}
