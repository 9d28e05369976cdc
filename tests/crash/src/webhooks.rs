//! The webhooks of the server that is killed, and what has to be true of them.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use harness::{Api, Bodies, Receiver};
use serde_json::{Value, json};

use crate::{
    check::Logs,
    expected_state::{Existence, ExpectedState, MessageState, lock},
    faulty_receiver::{Behaviour, FaultyReceiver},
    kept::KeptTally,
    random::Random,
};

/// How long everything may take to be delivered after the last start, and the outbox to be cleared.
const TIMEOUT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);
/// Of 100 rounds, in how many a receiver takes nearly nothing.
const REFUSING_PERCENT: u64 = 25;

/// Two webhooks, one in each form.
pub(crate) struct Webhooks {
    endpoints: Vec<Endpoint>,
    /// The server's folder of their records.
    folder: PathBuf,
    kills: AtomicU64,
}

struct Endpoint {
    name: &'static str,
    faulty_receiver: Arc<FaultyReceiver>,
    receiver: Receiver,
}

/// What was done so far.
pub(crate) struct WebhookTally {
    /// Kills while requests were under way.
    kills: u64,
    endpoints: Vec<(&'static str, KeptTally)>,
}

impl Webhooks {
    /// Starts the receivers, and configures a server to be started in `folder`.
    ///
    /// # Errors
    /// When that cannot be done.
    pub(crate) fn start(folder: &Path, seed: u64) -> Result<Self> {
        let endpoint = |name: &'static str, gets_conversations: bool| -> Result<Endpoint> {
            let random = Random::new(seed, (1 << 48) + u64::from(gets_conversations));
            let faulty_receiver = Arc::new(FaultyReceiver::new(gets_conversations, random));
            let answering = Arc::clone(&faulty_receiver);
            let receiver = Receiver::start(Bodies::Read, move |it| answering.answer(it))?;
            Ok(Endpoint {
                name,
                faulty_receiver,
                receiver,
            })
        };
        let endpoints = vec![
            endpoint("one address", false)?,
            endpoint("below a base", true)?,
        ];
        let workspace = folder.join("workspace");
        fs::create_dir_all(&workspace)?;
        let common = json!({"flush_delay": 0.5, "retry_delay": 0.1, "timeout": 2});
        let configured: Vec<Value> = endpoints
            .iter()
            .map(|endpoint| {
                let (key, path) = if endpoint.faulty_receiver.gets_conversations {
                    ("base_url", "/base")
                } else {
                    ("webhook_url", "/hook")
                };
                let mut config = common.clone();
                config["name"] = endpoint.name.into();
                config[key] = endpoint.receiver.url(path).into();
                config
            })
            .collect();
        let config = json!({"webhooks": configured}).to_string();
        fs::write(workspace.join("openhands_agent_server_config.json"), config)?;
        Ok(Self {
            endpoints,
            folder: workspace.join("webhooks"),
            kills: AtomicU64::new(0),
        })
    }

    /// Another round begins, in which some receivers may refuse most requests.
    pub(crate) fn next_round(&self, random: &mut Random) {
        for endpoint in &self.endpoints {
            *lock(&endpoint.faulty_receiver.behaviour) = if random.percent(REFUSING_PERCENT) {
                Behaviour::Refusing
            } else {
                Behaviour::Willing
            };
        }
    }

    /// From now on everything is taken.
    pub(crate) fn accept_all(&self) {
        for endpoint in &self.endpoints {
            *lock(&endpoint.faulty_receiver.behaviour) = Behaviour::AcceptAll;
        }
    }

    /// The server is about to be killed.
    pub(crate) fn count_kill(&self) {
        let under_way =
            |endpoint: &Endpoint| endpoint.faulty_receiver.under_way.load(Ordering::SeqCst) > 0;
        if self.endpoints.iter().any(under_way) {
            self.kills.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Checks what was kept so far against these logs, to which nothing is added meanwhile.
    ///
    /// # Errors
    /// The first violation.
    pub(crate) fn check(&self, logs: &Logs) -> Result<()> {
        self.each(|endpoint| endpoint.compare(logs, false))
    }

    /// Checks that no cursor is ahead of what was kept. Call it while the server is dead, when nothing
    /// hides what it left.
    ///
    /// # Errors
    /// The first violation.
    pub(crate) fn check_cursors(&self) -> Result<()> {
        if !self.folder.exists() {
            return Ok(());
        }
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path().join("cursors.jsonl");
            if path.exists() {
                let text = fs::read(&path)?;
                self.cursors(&text)
                    .with_context(|| path.display().to_string())?;
            }
        }
        Ok(())
    }

    /// Waits until the server has delivered everything, and checks that it has. These are the logs of
    /// all conversations that there are.
    ///
    /// # Errors
    /// The first violation.
    pub(crate) fn finish(
        &self,
        api: &mut Api,
        expected_state: &ExpectedState,
        logs: &Logs,
    ) -> Result<()> {
        until(|| self.idle(api))?;
        self.each(|endpoint| endpoint.compare(logs, true))?;
        self.each(|endpoint| endpoint.whole(expected_state, logs))?;
        until(|| self.outbox_is_empty())?;
        self.check_cursors()
    }

    pub(crate) fn tally(&self) -> WebhookTally {
        let of = |endpoint: &Endpoint| (endpoint.name, lock(&endpoint.faulty_receiver.kept).tally);
        WebhookTally {
            kills: self.kills.load(Ordering::SeqCst),
            endpoints: self.endpoints.iter().map(of).collect(),
        }
    }

    fn each(&self, check: impl Fn(&Endpoint) -> Result<()>) -> Result<()> {
        for endpoint in &self.endpoints {
            let found = lock(&endpoint.faulty_receiver.violation).take();
            found
                .map_or_else(|| check(endpoint), Err)
                .with_context(|| format!("webhook `{}`", endpoint.name))?;
        }
        Ok(())
    }

    /// Goes through the records of one webhook; a kill may have cut the last line.
    fn cursors(&self, text: &[u8]) -> Result<()> {
        let notes = text.split(|byte| *byte == b'\n');
        let notes: Vec<Value> = notes
            .filter_map(|note| serde_json::from_slice(note).ok())
            .collect();
        let of_kind = |kind: &'static str| notes.iter().filter(move |note| note["note"] == kind);
        let name = of_kind("follower").find_map(|note| note["name"].as_str());
        let Some(name) = name else {
            ensure!(notes.is_empty(), "cursors of nobody");
            return Ok(());
        };
        let endpoint = self.endpoints.iter().find(|endpoint| endpoint.name == name);
        let endpoint = endpoint.with_context(|| format!("`{name}` is not a webhook"))?;
        let kept = lock(&endpoint.faulty_receiver.kept);
        for cursor in of_kind("cursor") {
            let id = cursor["conversation_id"].as_str();
            let next = cursor["next"].as_u64();
            let (id, next) = id
                .zip(next)
                .with_context(|| format!("no cursor: {cursor}"))?;
            kept.covers(id, usize::try_from(next)?)?;
        }
        if let Some(letter) = of_kind("dead").next() {
            bail!("given up, which nobody asked for: {letter}");
        }
        Ok(())
    }

    fn idle(&self, api: &mut Api) -> Result<()> {
        let list = api.json("GET", "/webhooks", b"")?;
        let endpoints = list.as_array().context("a list of webhooks")?;
        ensure!(endpoints.len() == self.endpoints.len(), "webhooks: {list}");
        let idle = |endpoint: &Value| endpoint["state"] == "idle";
        ensure!(
            endpoints.iter().all(idle),
            "not everything is delivered: {list}"
        );
        Ok(())
    }

    fn outbox_is_empty(&self) -> Result<()> {
        if let Some(waits) = fs::read_dir(self.folder.join("outbox"))?.next() {
            bail!("{} is still there", waits?.path().display());
        }
        Ok(())
    }
}

impl Endpoint {
    fn compare(&self, logs: &Logs, whole: bool) -> Result<()> {
        let mut kept = lock(&self.faulty_receiver.kept);
        logs.iter()
            .try_for_each(|(id, log)| kept.compare(id, log, whole))
    }

    /// Of deleted conversations at least everything that was acknowledged came, and of each conversation
    /// the requests about itself.
    fn whole(&self, expected_state: &ExpectedState, logs: &Logs) -> Result<()> {
        let kept = lock(&self.faulty_receiver.kept);
        for (id, entry) in &expected_state.conversations {
            let gone = entry.existence == Existence::Gone;
            if gone {
                let markers = kept.markers(id);
                let mut states = entry.messages.iter();
                let missing = states.find(|(marker, state)| {
                    **state == MessageState::Acknowledged && !markers.contains(marker)
                });
                if let Some((marker, _)) = missing {
                    bail!(
                        "{marker} to {id}, which was deleted, was acknowledged and never delivered"
                    );
                }
            }
            if self.faulty_receiver.gets_conversations && (kept.knows(id) || logs.contains_key(id))
            {
                let status = gone.then_some("deleting");
                ensure!(
                    kept.got_conversation(id, status),
                    "{id} was never announced{}",
                    if gone { " as deleted" } else { "" }
                );
            }
        }
        Ok(())
    }
}

impl fmt::Display for WebhookTally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "kills while webhooks were sending: {}", self.kills)?;
        for (name, tally) in &self.endpoints {
            let KeptTally {
                requests,
                refused,
                events,
                doubles,
                compared,
            } = tally;
            write!(
                f,
                "\nwebhook `{name}`: {requests} requests, of which {refused} were not acknowledged; \
                 {events} events kept, {doubles} doubles; {compared} times an event compared"
            )?;
        }
        Ok(())
    }
}

/// Waits until `check` succeeds; after too long, its last error.
fn until(mut check: impl FnMut() -> Result<()>) -> Result<()> {
    let begin = Instant::now();
    loop {
        // The last events arrive a moment later.
        std::thread::sleep(PAUSE * 2);
        match check() {
            Err(error) if begin.elapsed() > TIMEOUT => {
                return Err(error.context(format!("after {} s", TIMEOUT.as_secs())));
            }
            Err(_) => {}
            Ok(()) => return Ok(()),
        }
    }
}
