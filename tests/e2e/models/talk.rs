use std::time::Duration;

use serde_json::{Value, json};
use test_support::{TestServer, model_server::ModelServer};
use tokio::time::{sleep, timeout};

use super::scenarios::Scenario;

/// Only a hang takes that long.
const LONGEST_TURN: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(5);
const PIXEL: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";

/// What the model says when nothing else is asked of it.
pub(super) const NEXT_ANSWER: &str = "the next answer";

/// A conversation with its copies, the model it talks to, and what is said of it when something fails.
pub(super) struct Talk {
    name: String,
    pub(super) model: ModelServer,
    ids: Vec<String>,
    /// How many refusals are no failure: something has to be refused before it is known.
    pub(super) tolerated: usize,
}

impl Talk {
    /// The first turn of a conversation with a model of these settings.
    pub(super) async fn start(
        server: &TestServer,
        name: String,
        model: ModelServer,
        mut llm: Value,
        scenario: &Scenario,
    ) -> Self {
        llm["num_retries"] = json!(3);
        llm["retry_min_wait"] = json!(0);
        llm["retry_max_wait"] = json!(0);
        let mut content = vec![json!({"type": "text", "text": "go"})];
        if scenario.image {
            content.push(json!({"type": "image", "image_urls": [PIXEL]}));
        }
        for reply in (scenario.replies)() {
            model.push(reply);
        }
        let body = json!({
            "agent": {"llm": llm, "tools": [{"name": "terminal"}]},
            "initial_message": {"role": "user", "content": content},
        });
        let (status, made) = server.post("/conversations", &body).await;
        assert_eq!(status, 201, "{name}: {made}");
        let id = made["id"].as_str().unwrap().to_owned();
        let talk = Self {
            name,
            model,
            ids: vec![id],
            tolerated: 0,
        };
        talk.ended(server).await;
        // Not every format goes on after the same replies.
        talk.model.clear();
        talk
    }

    /// Talks to another model from now on.
    pub(super) async fn switch(&self, server: &TestServer, llm: &Value) {
        let path = format!("/conversations/{}/switch_llm", self.ids[0]);
        let (status, answer) = server.post(&path, &json!({"llm": llm})).await;
        assert_eq!(status, 200, "{}: {answer}", self.name);
    }

    /// Waits until no turn is running.
    pub(super) async fn ended(&self, server: &TestServer) {
        for id in &self.ids {
            while matches!(server.status(id).await.as_str(), "running" | "idle") {
                sleep(PAUSE).await;
            }
        }
    }

    /// A turn of which nothing is expected but that it ends.
    pub(super) async fn say(&self, server: &TestServer, text: &str) {
        say(server, &self.ids[0], text).await;
        while self.model.waits() {
            sleep(PAUSE).await;
        }
        self.ended(server).await;
    }

    /// Copies the conversation.
    pub(super) async fn fork(&mut self, server: &TestServer) {
        let path = format!("/api/conversations/{}/fork", self.ids[0]);
        let (status, made) = server.post(&path, &json!({})).await;
        assert_eq!(status, 201, "{}: {made}", self.name);
        self.ids.push(made["id"].as_str().unwrap().to_owned());
    }

    /// Says something in each of the conversations; the answer to it has to come.
    ///
    /// # Errors
    /// What went wrong instead.
    pub(super) async fn next_turn(&self, server: &TestServer) -> Result<(), String> {
        for id in &self.ids {
            let before = answers(&server.events(id).await);
            say(server, id, "and now?").await;
            let answered = timeout(LONGEST_TURN, async {
                while answers(&server.events(id).await) == before {
                    sleep(PAUSE).await;
                }
            });
            let answered = answered.await.is_ok();
            let violations = self.model.violations();
            if !answered || violations.len() > self.tolerated {
                let last = server.events(id).await.pop();
                return Err(format!("{}: {violations:?}; {last:?}", self.name));
            }
        }
        Ok(())
    }
}

async fn say(server: &TestServer, id: &str, text: &str) {
    let message = json!({"type": "message", "content": text});
    let path = format!("/conversations/{id}/events");
    let (status, answer) = server.post(&path, &message).await;
    assert!((200..300).contains(&status), "{answer}");
}

/// How often the model gave its usual answer.
fn answers(events: &[Value]) -> usize {
    let said = events
        .iter()
        .filter(|event| event["kind"] == "MessageEvent" && event["source"] == "agent");
    said.filter(|event| event["llm_message"]["content"][0]["text"] == NEXT_ANSWER)
        .count()
}
