use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use agent_runtime::{Conversation, EventQuery, NewConversation, Runtime, RuntimeConfig, Start};
use async_trait::async_trait;
use core_model::{
    Content, ConversationSettings, ExecutionStatus, LlmSettings, MessageToolCall, Store, Workspace,
    WorkspaceKind,
};
use llm_client::{Block, Delta, Model, ModelError, ModelReply, ModelRequest};
use serde_json::{Value, json};
use store_fs::FsStore;
use tokio::{sync::Notify, time::timeout};

pub(crate) const GIVE_UP: Duration = Duration::from_secs(20);

/// What the puppet answers next.
pub(crate) enum Line {
    Say(&'static str),
    Call(&'static str, Value),
    Calls(Vec<(&'static str, Value)>),
    Raw(&'static str, &'static str),
    /// As it is, under an id of its own.
    Reply(Box<ModelReply>),
    Fail(ModelError),
    /// Tells a piece, before the next line.
    Piece(&'static str),
    /// Tells that the pieces are void, as a model does that asks again.
    Discard,
    /// Waits for the test before the next line.
    Gate,
}

#[derive(Default)]
pub(crate) struct Puppet {
    lines: Mutex<VecDeque<Line>>,
    /// Gives every reply this id, as some servers do.
    pub(crate) same_id: Mutex<Option<&'static str>>,
    pub(crate) requests: Mutex<Vec<ModelRequest>>,
    /// Fired when a gate is reached.
    pub(crate) reached: Notify,
    pub(crate) open: Notify,
}

impl Puppet {
    pub(crate) fn new(lines: Vec<Line>) -> Arc<Self> {
        Arc::new(Self {
            lines: Mutex::new(lines.into()),
            ..Default::default()
        })
    }

    /// What it answers after all that it was to answer before.
    pub(crate) fn say(&self, lines: impl Iterator<Item = Line>) {
        self.lines.lock().unwrap().extend(lines);
    }

    /// Forgets what it was to answer.
    pub(crate) fn clear(&self) {
        self.lines.lock().unwrap().clear();
    }
}

#[async_trait]
impl Model for Puppet {
    fn name(&self) -> &str {
        "puppet"
    }

    async fn reply(
        &self,
        request: &ModelRequest,
        on_delta: &(dyn Fn(Delta) + Send + Sync),
    ) -> Result<ModelReply, ModelError> {
        self.requests.lock().unwrap().push(request.clone());
        loop {
            let line = self.lines.lock().unwrap().pop_front();
            let same_id = self.same_id.lock().unwrap().map(str::to_owned);
            let mut reply = ModelReply {
                id: same_id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string()),
                ..Default::default()
            };
            reply.usage.prompt_tokens = 10;
            let calls = match line.unwrap_or(Line::Say("done")) {
                Line::Gate => {
                    self.reached.notify_one();
                    self.open.notified().await;
                    continue;
                }
                Line::Fail(error) => return Err(error),
                Line::Reply(told) => {
                    return Ok(ModelReply {
                        id: reply.id,
                        ..*told
                    });
                }
                Line::Piece(text) => {
                    on_delta(Delta::Text(text.to_owned()));
                    continue;
                }
                Line::Discard => {
                    on_delta(Delta::Discarded);
                    continue;
                }
                Line::Say(text) => {
                    on_delta(Delta::Text(text.to_owned()));
                    reply.blocks.push(Block::text(text));
                    vec![]
                }
                Line::Call(name, arguments) => vec![(name, arguments.to_string())],
                Line::Calls(calls) => calls
                    .into_iter()
                    .map(|(name, arguments)| (name, arguments.to_string()))
                    .collect(),
                Line::Raw(name, arguments) => vec![(name, arguments.to_owned())],
            };
            for (index, (name, arguments)) in calls.into_iter().enumerate() {
                let id = format!("{}-{index}", reply.id);
                let call = MessageToolCall::new(id, name, arguments);
                reply.blocks.push(Block::call(call));
            }
            return Ok(reply);
        }
    }
}

pub(crate) struct World {
    pub(crate) runtime: Runtime,
    pub(crate) puppet: Arc<Puppet>,
    pub(crate) folder: tempfile::TempDir,
    runs: usize,
}

impl World {
    pub(crate) async fn new(lines: Vec<Line>) -> Self {
        Self::with_runs(lines, 10).await
    }

    pub(crate) async fn with_runs(lines: Vec<Line>, runs: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let puppet = Puppet::new(lines);
        let runtime = start(&folder, &puppet, runs).await;
        Self {
            runtime,
            puppet,
            folder,
            runs,
        }
    }

    /// Stops cleanly and starts again on the same folder.
    pub(crate) async fn restart(self) -> Self {
        let Self {
            runtime,
            puppet,
            folder,
            runs,
        } = self;
        runtime.shut_down(GIVE_UP).await;
        // The folder lock goes with the store, and the store with the runtime.
        drop(runtime);
        let runtime = start(&folder, &puppet, runs).await;
        Self {
            runtime,
            puppet,
            folder,
            runs,
        }
    }

    pub(crate) async fn conversation(&self, new: NewConversation) -> Conversation {
        let workspace = Workspace {
            working_dir: self.folder.path().join("work").display().to_string(),
            kind: WorkspaceKind::LocalWorkspace,
        };
        let new = NewConversation {
            workspace: Some(workspace),
            ..untitled(new)
        };
        self.conversation_as_asked(new).await
    }

    /// The same, and it may get a title.
    pub(crate) async fn conversation_as_asked(&self, new: NewConversation) -> Conversation {
        let id = self.runtime.create(new).await.unwrap().info.id;
        self.runtime.open(id).await.unwrap()
    }
}

/// Without a title: the puppet's lines are for the agent.
pub(crate) fn untitled(new: NewConversation) -> NewConversation {
    NewConversation {
        settings: ConversationSettings {
            autotitle: false,
            ..new.settings
        },
        ..new
    }
}

pub(crate) async fn start(
    folder: &tempfile::TempDir,
    puppet: &Arc<Puppet>,
    runs: usize,
) -> Runtime {
    let store = FsStore::open(&folder.path().join("conversations"), Default::default()).unwrap();
    let mut config = config(folder, puppet);
    config.max_concurrent_runs = runs;
    start_with(config, Arc::new(store)).await
}

pub(crate) async fn start_with(config: RuntimeConfig, store: Arc<dyn Store>) -> Runtime {
    let runtime = Runtime::start(config, store);
    runtime.until_recovered().await;
    runtime
}

pub(crate) fn config(folder: &tempfile::TempDir, puppet: &Arc<Puppet>) -> RuntimeConfig {
    let model = Arc::clone(puppet);
    let mut config = RuntimeConfig::new(
        [7; 32],
        LlmSettings::default(),
        folder.path().join("project"),
        folder.path().join("conversations"),
    );
    config.connect = Arc::new(move |_| Ok(Arc::clone(&model) as Arc<dyn Model>));
    config
}

pub(crate) async fn say(conversation: &Conversation, text: &str) {
    conversation
        .send_message(vec![Content::text(text)], true)
        .await
        .unwrap();
}

pub(crate) async fn until(conversation: &Conversation, status: ExecutionStatus) {
    let reached = async {
        let mut follower = conversation.follow(&Start::Live).await.unwrap();
        while conversation.info().execution_status != status {
            follower.next().await.unwrap();
        }
    };
    timeout(GIVE_UP, reached)
        .await
        .expect("the status is reached before the test gives up");
}

pub(crate) async fn events(conversation: &Conversation) -> Vec<Value> {
    let page = conversation
        .search_events(&EventQuery::default())
        .await
        .unwrap();
    page.items
        .iter()
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

/// Kinds, with the value for status updates; `stats` and `waiting` left out.
pub(crate) async fn outline(conversation: &Conversation) -> Vec<String> {
    let told = |event: &Value| match event["key"].as_str() {
        Some("execution_status") => event["value"].as_str().unwrap().to_owned(),
        Some(key) => key.to_owned(),
        None => event["kind"]
            .as_str()
            .unwrap()
            .trim_end_matches("Event")
            .to_owned(),
    };
    events(conversation)
        .await
        .iter()
        .map(told)
        .filter(|line| line != "stats" && line != "waiting")
        .collect()
}

pub(crate) fn terminal(command: &str) -> Value {
    json!({"command": command})
}
