use std::{
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, bail, ensure};
use harness::{Api, Dialect, Server, Target};

use crate::{
    check::{Check, Logs},
    client::{self, Client, Scene},
    ledger::{Entry, Existence, Fate, Ledger, Marker, Tally, lock},
    random::Random,
    webhooks::Webhooks,
};

/// Numbers of messages that a client may use in one round.
const NUMBERS: u64 = 1_000_000;
/// Conversations that grew so long, in events, or are so many, are deleted: reading everything after
/// each kill has to stay possible.
const LONG: usize = 3_000;
const MANY: usize = 120;
/// Of 100 logs that nobody touched, how many are read again.
const SAMPLED: u64 = 10;
const EVERY: Duration = Duration::from_secs(5);

pub(crate) struct Settings {
    pub(crate) rounds: u64,
    pub(crate) seed: u64,
    pub(crate) clients: u64,
    pub(crate) keys: bool,
    pub(crate) webhooks: bool,
    pub(crate) binary: PathBuf,
}

/// All rounds over one folder.
///
/// # Errors
/// The first violation.
pub(crate) fn run(settings: &Settings, folder: &Path) -> Result<Tally> {
    let mut random = Random::new(settings.seed, 0);
    let mut shown = Instant::now();
    let webhooks = settings
        .webhooks
        .then(|| Webhooks::start(folder, settings.seed));
    let mut story = Story {
        settings,
        folder,
        ledger: Mutex::default(),
        webhooks: webhooks.transpose()?,
    };
    for round in 0..settings.rounds {
        story
            .round(round, &mut random)
            .map_err(|error| error.context(format!("round {round}")))?;
        if shown.elapsed() > EVERY {
            shown = Instant::now();
            let acknowledged = lock(&story.ledger).tally.messages;
            eprintln!(
                "crash: {} of {} rounds, {acknowledged} messages acknowledged",
                round + 1,
                settings.rounds
            );
        }
    }
    if let Some(webhooks) = &story.webhooks {
        webhooks.calm();
    }
    let server = story.start()?;
    let logs = story.check(&server, |_| true)?;
    if let Some(webhooks) = &story.webhooks {
        let mut ledger = lock(&story.ledger);
        webhooks.finish(&mut Api::new(&Story::target(&server)), &ledger, &logs)?;
        ledger.tally.webhooks = Some(webhooks.tally());
    }
    server.stop()?;
    let ledger = story.ledger.into_inner();
    Ok(ledger.map_err(|_| anyhow!("a client panicked"))?.tally)
}

struct Story<'a> {
    settings: &'a Settings,
    folder: &'a Path,
    ledger: Mutex<Ledger>,
    webhooks: Option<Webhooks>,
}

impl Story<'_> {
    /// Starts the server, checks all, starts it once more, checks that nothing changed, and kills it
    /// while clients are at work.
    fn round(&mut self, round: u64, random: &mut Random) -> Result<()> {
        if let Some(webhooks) = &self.webhooks {
            webhooks.next_round(random);
        }
        if random.percent(20) {
            let server = Server::spawn(&self.settings.binary, self.folder)?;
            sleep(random.millis(0, 40));
            server.kill()?;
            lock(&self.ledger).tally.kills_while_starting += 1;
        }
        let server = self.start()?;
        let sampling = Mutex::new(Random::new(self.settings.seed, round + 1));
        let logs = self.check(&server, |_| {
            sampling
                .lock()
                .is_ok_and(|mut random| random.percent(SAMPLED))
        })?;
        if self.settings.keys {
            self.repeat(&server)?;
        }
        self.retire(&server, &logs)?;
        if random.percent(50) {
            server.stop()?;
        } else {
            server.kill()?;
            lock(&self.ledger).tally.kills_at_rest += 1;
        }

        let server = self.start()?;
        self.unchanged(&server, &logs)?;
        self.use_and_kill(server, round, random)
    }

    fn start(&self) -> Result<Server> {
        Server::start(&self.settings.binary, self.folder)
    }

    fn target(server: &Server) -> Target {
        server.target(Dialect::Readme)
    }

    fn check(&mut self, server: &Server, pick: impl Fn(&str) -> bool) -> Result<Logs> {
        let logs = self.checker(server).all(|id, _| pick(id))?;
        if let Some(webhooks) = &self.webhooks {
            webhooks.check(&logs)?;
        }
        Ok(logs)
    }

    fn checker(&mut self, server: &Server) -> Check<'_> {
        Check {
            api: Api::new(&Self::target(server)),
            conversations: self.folder.join("workspace/conversations"),
            ledger: self
                .ledger
                .get_mut()
                .unwrap_or_else(|poisoned| poisoned.into_inner()),
        }
    }

    fn unchanged(&mut self, server: &Server, logs: &Logs) -> Result<()> {
        let there = |id: &&String, ledger: &Ledger| {
            let entry = ledger.conversations.get(*id);
            // What was retired is gone; what was repeated has grown.
            entry.is_some_and(|entry| entry.existence == Existence::There && !entry.touched)
        };
        let ledger = lock(&self.ledger);
        let ids: Vec<String> = logs
            .keys()
            .filter(|id| there(id, &ledger))
            .cloned()
            .collect();
        drop(ledger);
        let logs = logs.iter().filter(|(id, _)| ids.contains(id));
        let logs: Logs = logs.map(|(id, log)| (id.clone(), log.clone())).collect();
        self.checker(server).unchanged(&logs)
    }

    /// Sends again what was not answered, with its key: whether it was there or not, it has to be there
    /// once from now on.
    fn repeat(&mut self, server: &Server) -> Result<()> {
        let target = Self::target(server);
        let mut ledger = lock(&self.ledger);
        let unsure = |(_, entry): &(&String, &Entry)| entry.unsure_creation;
        let creations = ledger.conversations.iter().filter(unsure);
        let creations: Vec<(String, Option<Marker>)> = creations
            .map(|(id, entry)| (id.clone(), entry.first))
            .collect();
        for (id, first) in creations {
            let answer = client::repeat_creation(&target, &id, first)?;
            ensure!(
                matches!(answer.status, 200 | 201),
                "creating {id}, sent again with its key, was answered {}",
                answer.status
            );
            ledger.tally.repeated += 1;
            ledger.update(&id, |entry| {
                entry.created();
                entry.unsure.clear();
            });
        }
        self.repeat_messages(&target, &mut ledger)?;
        let ledger = &mut *ledger;
        for (id, entry) in &mut ledger.conversations {
            for marker in std::mem::take(&mut entry.unsure_runs) {
                if entry.existence != Existence::There {
                    continue;
                }
                entry.touched = true;
                let answer = client::repeat_run(&target, id, marker)?;
                ensure!(
                    matches!(answer.status, 200 | 409 | 429),
                    "a run of {id}, asked for again with its key, was answered {}",
                    answer.status
                );
                ledger.tally.repeated += 1;
            }
        }
        Ok(())
    }

    fn repeat_messages(&self, target: &Target, ledger: &mut Ledger) -> Result<()> {
        let mut again: Vec<(String, Marker)> = Vec::new();
        for (id, entry) in &mut ledger.conversations {
            if entry.existence == Existence::There {
                again.extend(entry.unsure.drain(..).map(|marker| (id.clone(), marker)));
            }
        }
        for (id, marker) in again {
            let answer = client::repeat(target, &id, marker)?;
            ensure!(
                matches!(answer.status, 200 | 429),
                "{marker} to {id}, sent again with its key, was answered {}",
                answer.status
            );
            ledger.tally.repeated += 1;
            ledger.update(&id, |entry| {
                entry.messages.insert(marker, Fate::Acknowledged);
            });
        }
        Ok(())
    }

    /// Deletes what became too long or too much.
    fn retire(&mut self, server: &Server, logs: &Logs) -> Result<()> {
        let mut api = Api::new(&Self::target(server));
        let mut ledger = lock(&self.ledger);
        let lines = |log: &[u8]| log.iter().filter(|byte| **byte == b'\n').count();
        let long = logs.iter().filter(|(_, log)| lines(log) > LONG);
        let mut retired: Vec<String> = long.map(|(id, _)| id.clone()).collect();
        let existing = ledger.existing();
        retired.extend(existing.into_iter().skip(MANY));
        retired.sort_unstable();
        retired.dedup();
        for id in retired {
            let answer = api.send("DELETE", &api.target.conversation(&id), b"")?;
            if answer.status != 200 {
                bail!("deleting {id} was answered {}", answer.status);
            }
            ledger.tally.deletions += 1;
            ledger.update(&id, |entry| entry.existence = Existence::Gone);
        }
        Ok(())
    }

    fn use_and_kill(&self, server: Server, round: u64, random: &mut Random) -> Result<()> {
        let scene = Scene {
            ledger: &self.ledger,
            target: Self::target(&server),
            killing: AtomicBool::new(false),
            keys: self.settings.keys,
        };
        let clients = self.settings.clients;
        let time = random.millis(10, 400);
        std::thread::scope(|scope| {
            let working: Vec<_> = (0..clients)
                .map(|number| {
                    let stream = (1 << 32) + round * clients + number;
                    let random = Random::new(self.settings.seed, stream);
                    let mut client = Client::new(&scene, random, number, round * NUMBERS);
                    scope.spawn(move || client.work())
                })
                .collect();
            sleep(time);
            scene.killing.store(true, Ordering::SeqCst);
            if let Some(webhooks) = &self.webhooks {
                webhooks.note_kill();
            }
            let killed = server.kill();
            for client in working {
                match client.join() {
                    Ok(outcome) => outcome?,
                    Err(_) => bail!("a client panicked"),
                }
            }
            killed
        })?;
        if let Some(webhooks) = &self.webhooks {
            webhooks.check_cursors()?;
        }
        let mut ledger = lock(&self.ledger);
        ledger.tally.kills += 1;
        let entries = ledger.conversations.values();
        let entries = entries.filter(|entry| entry.existence != Existence::Gone);
        let fates = entries.flat_map(|entry| entry.messages.values());
        let unanswered = fates.filter(|fate| **fate == Fate::Unanswered).count();
        ledger.tally.unanswered += unanswered as u64;
        Ok(())
    }
}
