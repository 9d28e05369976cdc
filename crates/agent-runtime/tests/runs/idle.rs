//! What keeps a conversation's shell, and what takes it away.

use std::{path::Path, sync::Arc, time::Duration};

use agent_runtime::{Conversation, ConversationQuery, EventQuery, NewConversation, Runtime, Start};
use core_model::ExecutionStatus;
use serde_json::{Value, json};
use store_fs::FsStore;
use tokio::time::{sleep, timeout};

use crate::harness::*;

const IDLE_TTL: Duration = Duration::from_millis(150);
/// Long enough for a conversation that nothing keeps to be gone.
const MANY_TTLS: Duration = Duration::from_millis(1200);

struct Idle {
    runtime: Runtime,
    folder: tempfile::TempDir,
}

impl Idle {
    /// Conversations whose agents run these commands, one a run.
    async fn new(commands: &[&'static str], change: impl FnOnce(&mut Config)) -> Self {
        let calls = commands.iter().map(|command| terminal(command)).collect();
        Self::with(calls, change).await
    }

    /// The same with whole calls of the terminal.
    async fn with(calls: Vec<Value>, change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let turn = |call| [Line::Call("terminal", call), Line::Say("done")];
        let puppet = Puppet::new(calls.into_iter().flat_map(turn).collect());
        let store =
            FsStore::open(&folder.path().join("conversations"), Default::default()).unwrap();
        let mut config = config(&folder, &puppet);
        config.idle_ttl = IDLE_TTL;
        change(&mut config);
        let runtime = start_with(config, Arc::new(store)).await;
        Self { runtime, folder }
    }

    async fn conversation(&self) -> Conversation {
        let made = self
            .runtime
            .create(untitled(NewConversation::default()))
            .await;
        self.runtime.open(made.unwrap().info.id).await.unwrap()
    }

    /// The process whose id a command wrote to a file of the workspace.
    fn process(&self, name: &str) -> Process {
        let file = self.folder.path().join("project").join(name);
        Process(std::fs::read_to_string(file).unwrap().trim().to_owned())
    }
}

type Config = agent_runtime::RuntimeConfig;

struct Process(String);

impl Process {
    fn runs(&self) -> bool {
        // A killed one may wait to be reaped.
        let status = std::fs::read_to_string(Path::new("/proc").join(&self.0).join("status"));
        status.is_ok_and(|status| !status.contains("State:\tZ"))
    }

    async fn ended(&self) {
        let ended = async {
            while self.runs() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(GIVE_UP, ended)
            .await
            .expect("the process ends before the test gives up");
    }
}

/// Lets the agent run its next command, and says what that wrote, with what was said before it.
async fn command(conversation: &Conversation) -> String {
    say(conversation, "go").await;
    until(conversation, ExecutionStatus::Finished).await;
    let events = events(conversation).await;
    let mut observations = events.iter().rev();
    let last = observations
        .find(|event| event["kind"] == "ObservationEvent")
        .unwrap();
    let prefix = last["observation"]["metadata"]["prefix"].as_str().unwrap();
    let text = last["observation"]["content"][0]["text"].as_str().unwrap();
    prefix.to_owned() + text
}

const JOB: &str = "X=kept; sleep 1000 > /dev/null & echo $! > job";
const SHELL: &str = "X=kept; echo $$ > shell";
const ASK: &str = "echo [$X]";

#[tokio::test(flavor = "multi_thread")]
async fn a_living_background_job_keeps_the_shell() {
    let idle = Idle::new(&[JOB, ASK], |_| {}).await;
    let conversation = idle.conversation().await;
    command(&conversation).await;
    sleep(MANY_TTLS).await;
    assert!(idle.process("job").runs());
    assert_eq!(command(&conversation).await, "[kept]");
    // A stop of the server ends it all the same.
    idle.runtime.shut_down(GIVE_UP).await;
    idle.process("job").ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_was_left_running_keeps_the_shell() {
    let waiting = "echo $$ > shell; while [ ! -e go ]; do read -t 0.05 < <(:); done; echo over";
    let left_running = json!({"command": waiting, "timeout": 0.1});
    let idle = Idle::with(vec![left_running, terminal("")], |_| {}).await;
    let conversation = idle.conversation().await;
    command(&conversation).await;
    sleep(MANY_TTLS).await;
    assert!(idle.process("shell").runs());
    std::fs::write(idle.folder.path().join("project/go"), "").unwrap();
    let told = command(&conversation).await;
    assert!(told.contains("over"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_without_jobs_ends_and_says_so() {
    let idle = Idle::new(&[SHELL, ASK], |_| {}).await;
    let conversation = idle.conversation().await;
    command(&conversation).await;
    idle.process("shell").ended().await;
    let told = command(&conversation).await;
    assert!(told.contains("The shell had ended"), "{told}");
    assert!(!told.contains("still running"), "{told}");
    assert!(told.ends_with("[]"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_keeps_the_shell_as_long_as_it_is_there() {
    let idle = Idle::new(&[SHELL, ASK], |_| {}).await;
    let conversation = idle.conversation().await;
    let follower = conversation.follow(&Start::Live).await.unwrap();
    command(&conversation).await;
    sleep(MANY_TTLS).await;
    assert!(idle.process("shell").runs());
    assert_eq!(command(&conversation).await, "[kept]");
    drop(follower);
    idle.process("shell").ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_keeps_the_shell_and_listing_does_not() {
    let idle = Idle::new(&[SHELL, ASK], |_| {}).await;
    let conversation = idle.conversation().await;
    let id = conversation.id();
    command(&conversation).await;
    let (mut reads, step) = (0, IDLE_TTL / 5);
    while step * reads < MANY_TTLS {
        match reads % 3 {
            0 => drop(idle.runtime.info(id).await.unwrap()),
            1 => {
                conversation
                    .count_events(&Default::default())
                    .await
                    .unwrap();
            }
            _ => {
                let query = EventQuery::default();
                conversation.search_events(&query).await.unwrap();
            }
        }
        reads += 1;
        sleep(step).await;
    }
    assert!(idle.process("shell").runs());
    assert_eq!(command(&conversation).await, "[kept]");

    let shell = idle.process("shell");
    let listed = async {
        while shell.runs() {
            let page = idle.runtime.search(&ConversationQuery::default()).await;
            assert_eq!(page.unwrap().items.len(), 1);
            sleep(step).await;
        }
    };
    timeout(GIVE_UP, listed).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_keep_a_shell_only_so_long_and_the_agent_is_told() {
    let idle = Idle::new(&[JOB, ASK, ASK], |config| {
        config.idle_jobs_ttl = 2 * IDLE_TTL;
    })
    .await;
    let conversation = idle.conversation().await;
    command(&conversation).await;
    idle.process("job").ended().await;
    let told = command(&conversation).await;
    assert!(told.contains("The shell had ended"), "{told}");
    assert!(told.contains("`sleep 1000`"), "{told}");
    assert!(told.ends_with("[]"), "{told}");
    let told = command(&conversation).await;
    assert!(!told.contains("sleep"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_is_told_what_a_stop_of_the_server_ended() {
    let world = World::new(vec![
        Line::Call("terminal", terminal("sleep 1000 > /dev/null &")),
        Line::Say("done"),
        Line::Call("terminal", terminal("true")),
        Line::Say("done"),
    ])
    .await;
    let id = world.conversation(NewConversation::default()).await.id();
    let conversation = world.runtime.open(id).await.unwrap();
    command(&conversation).await;
    drop(conversation);
    let world = world.restart().await;
    let conversation = world.runtime.open(id).await.unwrap();
    let told = command(&conversation).await;
    assert!(told.contains("`sleep 1000`"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_too_many_shells_those_go_first_that_nobody_needs() {
    let many = |config: &mut Config| {
        config.idle_ttl = Duration::from_secs(3600);
        config.max_idle_shells = 3;
    };
    // With a job, followed, neither, neither: the third goes, though the others rest for longer.
    let job = "sleep 1000 > /dev/null & echo $$ > first";
    let commands = [
        job,
        "echo $$ > second",
        "echo $$ > third",
        "echo $$ > fourth",
    ];
    let more = [
        "echo $$ > fifth",
        "sleep 1000 > /dev/null & echo $$ > sixth",
    ];
    let idle = Idle::new(&[&commands[..], &more[..]].concat(), many).await;
    let first = idle.conversation().await;
    command(&first).await;
    let second = idle.conversation().await;
    let follower = second.follow(&Start::Live).await.unwrap();
    for conversation in [second, idle.conversation().await, idle.conversation().await] {
        command(&conversation).await;
    }
    idle.process("third").ended().await;
    command(&idle.conversation().await).await;
    idle.process("fourth").ended().await;
    // Then those that are followed, before those with jobs.
    let last = idle.conversation().await;
    let other = last.follow(&Start::Live).await.unwrap();
    command(&last).await;
    idle.process("fifth").ended().await;
    for kept in ["first", "second", "sixth"] {
        assert!(idle.process(kept).runs(), "{kept}");
    }
    drop((follower, other));
}
