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
    desk::{Desk, Mood},
    kept::KeptTally,
    ledger::{Existence, Fate, Ledger, lock},
    random::Random,
};

/// How long everything may take to be delivered after the last start, and the outbox to be cleared.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);
/// Of 100 rounds, in how many a receiver takes nearly nothing.
const REFUSING: u64 = 25;

/// Two webhooks, one in each form.
pub(crate) struct Webhooks {
    hooks: Vec<Hook>,
    /// Where the server keeps what it knows of them.
    folder: PathBuf,
    kills: AtomicU64,
}

struct Hook {
    name: &'static str,
    desk: Arc<Desk>,
    receiver: Receiver,
}

/// What was done so far.
pub(crate) struct WebhookTally {
    /// Kills while requests were under way.
    kills: u64,
    hooks: Vec<(&'static str, KeptTally)>,
}

impl Webhooks {
    /// Starts the receivers, and configures a server to be started in `folder`.
    ///
    /// # Errors
    /// When that cannot be done.
    pub(crate) fn start(folder: &Path, seed: u64) -> Result<Self> {
        let hook = |name: &'static str, told: bool| -> Result<Hook> {
            let random = Random::new(seed, (1 << 48) + u64::from(told));
            let desk = Arc::new(Desk::new(told, random));
            let answering = Arc::clone(&desk);
            let receiver = Receiver::start(Bodies::Read, move |it| answering.answer(it))?;
            Ok(Hook {
                name,
                desk,
                receiver,
            })
        };
        let hooks = vec![hook("one address", false)?, hook("below a base", true)?];
        let workspace = folder.join("workspace");
        fs::create_dir_all(&workspace)?;
        let common = json!({"flush_delay": 0.5, "retry_delay": 0.1, "timeout": 2});
        let configured: Vec<Value> = hooks
            .iter()
            .map(|hook| {
                let (key, path) = match hook.desk.told {
                    true => ("base_url", "/base"),
                    false => ("webhook_url", "/hook"),
                };
                let mut config = common.clone();
                config["name"] = hook.name.into();
                config[key] = hook.receiver.url(path).into();
                config
            })
            .collect();
        let config = json!({"webhooks": configured}).to_string();
        fs::write(workspace.join("openhands_agent_server_config.json"), config)?;
        Ok(Self {
            hooks,
            folder: workspace.join("webhooks"),
            kills: AtomicU64::new(0),
        })
    }

    /// Another round begins, in which some receivers may be in a bad mood.
    pub(crate) fn next_round(&self, random: &mut Random) {
        for hook in &self.hooks {
            *lock(&hook.desk.mood) = match random.percent(REFUSING) {
                true => Mood::Refusing,
                false => Mood::Willing,
            };
        }
    }

    /// From now on everything is taken.
    pub(crate) fn calm(&self) {
        for hook in &self.hooks {
            *lock(&hook.desk.mood) = Mood::Calm;
        }
    }

    /// The server is about to be killed.
    pub(crate) fn note_kill(&self) {
        let under_way = |hook: &Hook| hook.desk.under_way.load(Ordering::SeqCst) > 0;
        if self.hooks.iter().any(under_way) {
            self.kills.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Checks what was kept so far against these logs, to which nothing is added meanwhile.
    ///
    /// # Errors
    /// The first violation.
    pub(crate) fn check(&self, logs: &Logs) -> Result<()> {
        self.each(|hook| hook.compare(logs, false))
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
    pub(crate) fn finish(&self, api: &mut Api, ledger: &Ledger, logs: &Logs) -> Result<()> {
        until(|| self.idle(api))?;
        self.each(|hook| hook.compare(logs, true))?;
        self.each(|hook| hook.whole(ledger, logs))?;
        until(|| self.outbox_is_empty())?;
        self.check_cursors()
    }

    pub(crate) fn tally(&self) -> WebhookTally {
        let of = |hook: &Hook| (hook.name, lock(&hook.desk.kept).tally);
        WebhookTally {
            kills: self.kills.load(Ordering::SeqCst),
            hooks: self.hooks.iter().map(of).collect(),
        }
    }

    fn each(&self, check: impl Fn(&Hook) -> Result<()>) -> Result<()> {
        for hook in &self.hooks {
            let found = lock(&hook.desk.violation).take();
            found
                .map_or_else(|| check(hook), Err)
                .with_context(|| format!("webhook `{}`", hook.name))?;
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
        let hook = self.hooks.iter().find(|hook| hook.name == name);
        let hook = hook.with_context(|| format!("`{name}` is not a webhook"))?;
        let kept = lock(&hook.desk.kept);
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
        let hooks = list.as_array().context("a list of webhooks")?;
        ensure!(hooks.len() == self.hooks.len(), "webhooks: {list}");
        let idle = |hook: &Value| hook["state"] == "idle";
        ensure!(
            hooks.iter().all(idle),
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

impl Hook {
    fn compare(&self, logs: &Logs, whole: bool) -> Result<()> {
        let mut kept = lock(&self.desk.kept);
        logs.iter()
            .try_for_each(|(id, log)| kept.compare(id, log, whole))
    }

    /// Of deleted conversations at least everything came that was acknowledged, and of the others all
    /// that was to be told of them themselves.
    fn whole(&self, ledger: &Ledger, logs: &Logs) -> Result<()> {
        let kept = lock(&self.desk.kept);
        for (id, entry) in &ledger.conversations {
            let gone = entry.existence == Existence::Gone;
            if gone {
                let markers = kept.markers(id);
                let mut fates = entry.messages.iter();
                let missing = fates.find(|(marker, fate)| {
                    **fate == Fate::Acknowledged && !markers.contains(marker)
                });
                if let Some((marker, _)) = missing {
                    bail!(
                        "{marker} to {id}, which was deleted, was acknowledged and never delivered"
                    );
                }
            }
            if self.desk.told && (kept.knows(id) || logs.contains_key(id)) {
                let status = gone.then_some("deleting");
                ensure!(
                    kept.was_told(id, status),
                    "{id} was never told of{}",
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
        for (name, tally) in &self.hooks {
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

/// Waits until it is so; else the last reason why it is not.
fn until(mut so: impl FnMut() -> Result<()>) -> Result<()> {
    let begin = Instant::now();
    loop {
        // What happened last is heard of a moment later.
        std::thread::sleep(PAUSE * 2);
        match so() {
            Err(error) if begin.elapsed() > PATIENCE => {
                return Err(error.context(format!("after {} s", PATIENCE.as_secs())));
            }
            Err(_) => {}
            Ok(()) => return Ok(()),
        }
    }
}
