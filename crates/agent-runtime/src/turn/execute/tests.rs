use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use agent_tools::{Tool, ToolTraits};
use async_trait::async_trait;
use core_model::{Agent, Event, LlmSettings, Observation, event::ToolDefinition};
use llm_client::{Delta, Model, ModelError, ModelReply, ModelRequest};
use serde_json::{Map, Value, json};
use tokio::{
    sync::{Barrier, Notify, mpsc, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use workspace::Workspace;

use super::*;
use crate::{
    live_fixture::LiveFixture,
    turn::{
        budget::TurnSpending, condense::CondenserState, context::ModelContext, proposal::Proposal,
        state::TurnSignals, stuck::StuckDetector,
    },
};

/// Long enough on any machine: a test that waits for so long has failed.
const GIVE_UP: Duration = Duration::from_secs(20);

/// Plays the script that each of its calls names. Its calls may run beside others.
#[derive(Default)]
struct Puppet {
    scripts: BTreeMap<&'static str, Script>,
    /// Calls that were started.
    started: Mutex<Vec<String>>,
}

enum Script {
    /// Ends at once, and says so.
    End(Arc<Notify>),
    /// Ends when all calls that wait here have come.
    Meet(Arc<Barrier>),
    /// Ends when it may.
    Wait(Arc<Notify>),
    /// Ends when it is cancelled.
    UntilCancelled,
    /// Ends when it is to wait no longer.
    UntilHandedBack,
}

#[async_trait]
impl Tool for Puppet {
    fn name(&self) -> &str {
        "think"
    }

    fn definition(&self) -> ToolDefinition {
        unreachable!("nobody asks")
    }

    fn parameters(&self) -> Value {
        unreachable!("nobody asks")
    }

    fn action(&self, arguments: Map<String, Value>) -> Result<Map<String, Value>, ToolError> {
        Ok(arguments)
    }

    fn traits(&self) -> ToolTraits {
        ToolTraits {
            parallel: true,
            ..ToolTraits::default()
        }
    }

    async fn run(&self, call: ToolCall<'_>) -> Result<Observation, ToolError> {
        let ToolCall {
            action, signals, ..
        } = call;
        let name = action["script"].as_str().unwrap();
        self.started.lock().unwrap().push(name.to_owned());
        match &self.scripts[name] {
            Script::End(ended) => ended.notify_one(),
            Script::Meet(barrier) => {
                barrier.wait().await;
            }
            Script::Wait(go) => go.notified().await,
            Script::UntilCancelled => {
                signals.cancel.cancelled().await;
                return Err(ToolError::Cancelled);
            }
            Script::UntilHandedBack => signals.stop_waiting.cancelled().await,
        }
        let seen = json!({"content": [{"type": "text", "text": name}], "kind": "ThinkObservation"});
        Ok(serde_json::from_value(seen).unwrap())
    }
}

#[async_trait]
impl Model for Puppet {
    fn name(&self) -> &str {
        "puppet"
    }

    async fn reply(
        &self,
        _request: &ModelRequest,
        _on_delta: &(dyn Fn(Delta) + Send + Sync),
    ) -> Result<ModelReply, ModelError> {
        unreachable!("no step is taken")
    }
}

/// A turn with pending actions, one a script, and its actor's end.
struct Stage {
    turn: Turn,
    pending: Vec<PendingAction>,
    proposals: mpsc::Receiver<Proposal>,
    pause: watch::Sender<bool>,
    cancel: CancellationToken,
    puppet: Arc<Puppet>,
    _fixture: LiveFixture,
}

impl Stage {
    async fn new(limit: u32, scripts: Vec<(&'static str, Script)>) -> Self {
        let actions: Vec<Event> = scripts.iter().map(|(script, _)| action(script)).collect();
        let mut context = ModelContext::default();
        for action in &actions {
            context.take(action);
        }
        let fixture = LiveFixture::new(&actions).await;
        let live = Arc::clone(&fixture.live);
        let pending = live.now().state.pending.clone();
        let puppet = Arc::new(Puppet {
            scripts: scripts.into_iter().collect(),
            started: Mutex::default(),
        });
        let mut agent = Agent::with_usual_tools(LlmSettings::default());
        agent.tool_concurrency_limit = limit;
        let (proposer, proposals) = mpsc::channel(1);
        let (pause, asked_to_pause) = watch::channel(false);
        let cancel = CancellationToken::new();
        let turn = Turn {
            opened: agent_tools::OpenedTools::default(),
            metadata: Arc::clone(&live.now().metadata),
            live,
            agent,
            model: Arc::clone(&puppet) as Arc<dyn Model>,
            tools: vec![Arc::clone(&puppet) as Arc<dyn Tool>],
            workspace: Workspace::default(),
            context,
            condenser: CondenserState::default(),
            spending: TurnSpending::default(),
            stuck: StuckDetector::default(),
            judge: crate::turn::approve::Judge::default(),
            seen: None,
            cut_replies: 0,
            signals: TurnSignals {
                cancel: cancel.clone(),
                pause: asked_to_pause,
            },
            proposer,
        };
        Self {
            turn,
            pending,
            proposals,
            pause,
            cancel,
            puppet,
            _fixture: fixture,
        }
    }

    /// Executes the actions while `meanwhile` happens. How that ended, and the texts that were proposed.
    async fn execute(
        mut self,
        meanwhile: impl Future<Output = ()>,
    ) -> (ControlFlow<Outcome>, Vec<String>, Arc<Puppet>) {
        let (turn, pending) = (&self.turn, &self.pending);
        let mut proposed = Vec::new();
        let take_proposals = async {
            while let Some(proposal) = self.proposals.recv().await {
                proposed.extend(proposal.drafts.iter().map(text));
                proposal.answer.send(Ok(())).unwrap();
            }
        };
        let executed = async {
            tokio::select! {
                ended = execute(turn, pending) => ended,
                () = take_proposals => unreachable!("the turn holds a proposer"),
            }
        };
        let (ended, ()) = timeout(GIVE_UP, async { tokio::join!(executed, meanwhile) })
            .await
            .expect("the calls end");
        (ended, proposed, self.puppet)
    }
}

fn action(script: &str) -> Event {
    let event = json!({
        "id": format!("action {script}"), "timestamp": "2026-11-22T19:31:36", "source": "agent",
        "kind": "ActionEvent", "thought": [], "action": {"script": script, "kind": "ThinkAction"},
        "tool_name": "think", "tool_call_id": script, "llm_response_id": "r",
        "tool_call": {"id": script, "name": "think", "arguments": "{}", "origin": "completion"},
    });
    Event::from_slice(event.to_string().as_bytes()).unwrap()
}

fn text(draft: &Draft) -> String {
    let EventBody::ObservationEvent(seen) = &draft.body else {
        panic!("an observation was expected: {draft:?}");
    };
    seen.observation.content[0].as_text().unwrap().to_owned()
}

async fn nothing() {}

#[tokio::test]
async fn calls_that_may_run_beside_others_overlap_and_are_logged_in_order() {
    // Neither passes before the other has come.
    let both = Arc::new(Barrier::new(2));
    let scripts = vec![
        ("a", Script::Meet(Arc::clone(&both))),
        ("b", Script::Meet(both)),
        ("c", Script::Meet(Arc::new(Barrier::new(1)))),
    ];
    let stage = Stage::new(2, scripts).await;
    let (ended, proposed, _) = stage.execute(nothing()).await;
    assert!(ended.is_continue());
    assert_eq!(proposed, ["a", "b", "c"]);
}

#[tokio::test]
async fn a_later_call_that_ends_first_is_logged_after_the_earlier_one() {
    let (go, ended) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let scripts = vec![
        ("a", Script::Wait(Arc::clone(&go))),
        ("b", Script::End(Arc::clone(&ended))),
    ];
    let stage = Stage::new(2, scripts).await;
    let meanwhile = async {
        ended.notified().await;
        go.notify_one();
    };
    let (ended, proposed, _) = stage.execute(meanwhile).await;
    assert!(ended.is_continue());
    assert_eq!(proposed, ["a", "b"]);
}

#[tokio::test]
async fn with_a_limit_of_one_a_call_starts_after_the_last_ones_answer() {
    let (go, ended) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let scripts = vec![
        ("a", Script::Wait(Arc::clone(&go))),
        ("b", Script::End(Arc::clone(&ended))),
    ];
    let stage = Stage::new(1, scripts).await;
    let puppet = Arc::clone(&stage.puppet);
    let meanwhile = async {
        while puppet.started.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        // However often it is polled, the second does not start.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(*puppet.started.lock().unwrap(), ["a"]);
        go.notify_one();
    };
    let (ended, proposed, _) = stage.execute(meanwhile).await;
    assert!(ended.is_continue());
    assert_eq!(proposed, ["a", "b"]);
}

#[tokio::test]
async fn an_interrupt_ends_all_that_run_and_keeps_what_had_come_back() {
    let ended = Arc::new(Notify::new());
    let scripts = vec![
        ("a", Script::UntilCancelled),
        ("b", Script::End(Arc::clone(&ended))),
        ("c", Script::UntilCancelled),
        ("d", Script::UntilCancelled),
    ];
    let stage = Stage::new(3, scripts).await;
    let cancel = stage.cancel.clone();
    let puppet = Arc::clone(&stage.puppet);
    let meanwhile = async {
        ended.notified().await;
        // The fourth takes the place of the second.
        while puppet.started.lock().unwrap().len() < 4 {
            tokio::task::yield_now().await;
        }
        cancel.cancel();
    };
    let (ended, proposed, _) = stage.execute(meanwhile).await;
    let Break(Outcome::Cancelled { unlogged }) = ended else {
        panic!("the turn was cancelled: {ended:?}");
    };
    assert_eq!(unlogged.iter().map(text).collect::<Vec<_>>(), ["b"]);
    assert_eq!(proposed, [""; 0]);
}

#[tokio::test]
async fn a_pause_lets_those_end_that_run_and_starts_no_other() {
    let scripts = vec![
        ("a", Script::UntilHandedBack),
        ("b", Script::UntilHandedBack),
        ("c", Script::UntilCancelled),
    ];
    let stage = Stage::new(2, scripts).await;
    let pause = stage.pause.clone();
    let puppet = Arc::clone(&stage.puppet);
    let meanwhile = async {
        while puppet.started.lock().unwrap().len() < 2 {
            tokio::task::yield_now().await;
        }
        pause.send_replace(true);
    };
    let (ended, proposed, puppet) = stage.execute(meanwhile).await;
    assert!(ended.is_continue());
    assert_eq!(proposed, ["a", "b"]);
    assert_eq!(*puppet.started.lock().unwrap(), ["a", "b"]);
}
