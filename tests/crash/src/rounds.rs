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
    client::{self, Client, RoundContext},
    expected_state::{Entry, Existence, ExpectedState, Marker, MessageState, Tally, lock},
    random::Random,
    webhooks::Webhooks,
};

/// Numbers of messages that a client may use in one round.
const MAX_NUMBERS: u64 = 1_000_000;
/// Longer conversations, in events, are deleted, and so are more of them: reading everything after each
/// kill has to stay possible.
const MAX_LOG_EVENTS: usize = 3_000;
const MAX_CONVERSATIONS: usize = 120;
/// Of 100 logs that nobody touched, how many are read again.
const SAMPLED_PERCENT: u64 = 10;
const SHOW_INTERVAL: Duration = Duration::from_secs(5);

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
    let mut rounds = Rounds {
        settings,
        folder,
        expected_state: Mutex::default(),
        webhooks: webhooks.transpose()?,
    };
    for round in 0..settings.rounds {
        rounds
            .round(round, &mut random)
            .map_err(|error| error.context(format!("round {round}")))?;
        if shown.elapsed() > SHOW_INTERVAL {
            shown = Instant::now();
            let acknowledged = lock(&rounds.expected_state).tally.messages;
            eprintln!(
                "crash: {} of {} rounds, {acknowledged} messages acknowledged",
                round + 1,
                settings.rounds
            );
        }
    }
    if let Some(webhooks) = &rounds.webhooks {
        webhooks.accept_all();
    }
    let server = rounds.start()?;
    let logs = rounds.check(&server, |_| true)?;
    if let Some(webhooks) = &rounds.webhooks {
        let mut expected_state = lock(&rounds.expected_state);
        webhooks.finish(
            &mut Api::new(&Rounds::target(&server)),
            &expected_state,
            &logs,
        )?;
        expected_state.tally.webhooks = Some(webhooks.tally());
    }
    server.stop()?;
    let expected_state = rounds.expected_state.into_inner();
    Ok(expected_state
        .map_err(|_| anyhow!("a client panicked"))?
        .tally)
}

struct Rounds<'a> {
    settings: &'a Settings,
    folder: &'a Path,
    expected_state: Mutex<ExpectedState>,
    webhooks: Option<Webhooks>,
}

impl Rounds<'_> {
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
            lock(&self.expected_state).tally.kills_while_starting += 1;
        }
        let server = self.start()?;
        let sampling = Mutex::new(Random::new(self.settings.seed, round + 1));
        let logs = self.check(&server, |_| {
            sampling
                .lock()
                .is_ok_and(|mut random| random.percent(SAMPLED_PERCENT))
        })?;
        if self.settings.keys {
            self.repeat(&server)?;
        }
        self.delete_large(&server, &logs)?;
        if random.percent(50) {
            server.stop()?;
        } else {
            server.kill()?;
            lock(&self.expected_state).tally.kills_at_rest += 1;
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
            expected_state: self
                .expected_state
                .get_mut()
                .unwrap_or_else(|poisoned| poisoned.into_inner()),
        }
    }

    fn unchanged(&mut self, server: &Server, logs: &Logs) -> Result<()> {
        let there = |id: &&String, expected_state: &ExpectedState| {
            let entry = expected_state.conversations.get(*id);
            // What was deleted is gone; what was repeated has grown.
            entry.is_some_and(|entry| entry.existence == Existence::There && !entry.touched)
        };
        let expected_state = lock(&self.expected_state);
        let ids: Vec<String> = logs
            .keys()
            .filter(|id| there(id, &expected_state))
            .cloned()
            .collect();
        drop(expected_state);
        let logs = logs.iter().filter(|(id, _)| ids.contains(id));
        let logs: Logs = logs.map(|(id, log)| (id.clone(), log.clone())).collect();
        self.checker(server).unchanged(&logs)
    }

    /// Sends again what was not answered, with its key: whether it was there or not, it has to be there
    /// once from now on.
    fn repeat(&mut self, server: &Server) -> Result<()> {
        let target = Self::target(server);
        let mut expected_state = lock(&self.expected_state);
        let unsure = |(_, entry): &(&String, &Entry)| entry.unsure_creation;
        let creations = expected_state.conversations.iter().filter(unsure);
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
            expected_state.tally.repeated += 1;
            expected_state.update(&id, |entry| {
                entry.created();
                entry.unsure.clear();
            });
        }
        self.repeat_messages(&target, &mut expected_state)?;
        let expected_state = &mut *expected_state;
        for (id, entry) in &mut expected_state.conversations {
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
                expected_state.tally.repeated += 1;
            }
        }
        Ok(())
    }

    fn repeat_messages(&self, target: &Target, expected_state: &mut ExpectedState) -> Result<()> {
        let mut again: Vec<(String, Marker)> = Vec::new();
        for (id, entry) in &mut expected_state.conversations {
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
            expected_state.tally.repeated += 1;
            expected_state.update(&id, |entry| {
                entry.messages.insert(marker, MessageState::Acknowledged);
            });
        }
        Ok(())
    }

    /// Deletes what became too long or too much.
    fn delete_large(&mut self, server: &Server, logs: &Logs) -> Result<()> {
        let mut api = Api::new(&Self::target(server));
        let mut expected_state = lock(&self.expected_state);
        let lines = |log: &[u8]| log.iter().filter(|byte| **byte == b'\n').count();
        let long = logs.iter().filter(|(_, log)| lines(log) > MAX_LOG_EVENTS);
        let mut deleted: Vec<String> = long.map(|(id, _)| id.clone()).collect();
        let existing = expected_state.existing();
        deleted.extend(existing.into_iter().skip(MAX_CONVERSATIONS));
        deleted.sort_unstable();
        deleted.dedup();
        for id in deleted {
            let answer = api.send("DELETE", &api.target.conversation(&id), b"")?;
            if answer.status != 200 {
                bail!("deleting {id} was answered {}", answer.status);
            }
            expected_state.tally.deletions += 1;
            expected_state.update(&id, |entry| entry.existence = Existence::Gone);
        }
        Ok(())
    }

    fn use_and_kill(&self, server: Server, round: u64, random: &mut Random) -> Result<()> {
        let context = RoundContext {
            expected_state: &self.expected_state,
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
                    let mut client = Client::new(&context, random, number, round * MAX_NUMBERS);
                    scope.spawn(move || client.work())
                })
                .collect();
            sleep(time);
            context.killing.store(true, Ordering::SeqCst);
            if let Some(webhooks) = &self.webhooks {
                webhooks.count_kill();
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
        let mut expected_state = lock(&self.expected_state);
        expected_state.tally.kills += 1;
        let entries = expected_state.conversations.values();
        let entries = entries.filter(|entry| entry.existence != Existence::Gone);
        let states = entries.flat_map(|entry| entry.messages.values());
        let unanswered = states
            .filter(|state| **state == MessageState::Unanswered)
            .count();
        expected_state.tally.unanswered += unanswered as u64;
        Ok(())
    }
}
