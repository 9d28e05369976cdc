use std::io;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::{Answer, Connection, Target};

/// The requests that matter here, over one connection.
pub struct Api {
    pub target: Target,
    connection: Connection,
}

impl Api {
    #[must_use]
    pub fn new(target: &Target) -> Self {
        Self {
            target: target.clone(),
            connection: Connection::new(target),
        }
    }

    /// Starts a conversation: its id.
    ///
    /// # Errors
    /// When there is no answer, or it refuses.
    pub fn create(&mut self) -> Result<String> {
        let body = self.target.new_conversation().to_string();
        let path = self.target.conversations();
        let info = self.json("POST", &path, body.as_bytes())?;
        let id = info["id"].as_str().context("a conversation without id")?;
        Ok(id.to_owned())
    }

    /// Sends a message that starts no run.
    ///
    /// # Errors
    /// When there is no answer, or it refuses.
    pub fn say(&mut self, id: &str, text: &str) -> Result<()> {
        self.message(id, text, false)
    }

    /// Sends a message.
    ///
    /// # Errors
    /// When there is no answer, or it refuses.
    pub fn message(&mut self, id: &str, text: &str, run: bool) -> Result<()> {
        let body = message(text, run);
        let path = self.target.events(id);
        self.json("POST", &path, body.as_bytes()).map(drop)
    }

    /// How many events a conversation has that fit `filter`, a query string or nothing.
    ///
    /// # Errors
    /// When there is no answer, or it refuses.
    pub fn count(&mut self, id: &str, filter: &str) -> Result<u64> {
        let path = format!("{}/count?{filter}", self.target.events(id));
        let count = self.json("GET", &path, b"")?;
        count.as_u64().context("a count that is no number")
    }

    /// A page of a conversation's events.
    ///
    /// # Errors
    /// When there is no answer, or it refuses.
    pub fn page(&mut self, id: &str, query: &str) -> Result<Value> {
        let path = format!("{}/search?{query}", self.target.events(id));
        self.json("GET", &path, b"")
    }

    /// The JSON that a request is answered with.
    ///
    /// # Errors
    /// When there is no answer, or it is no success or no JSON.
    pub fn json(&mut self, method: &str, path: &str, body: &[u8]) -> Result<Value> {
        let answer = self
            .send(method, path, body)
            .with_context(|| format!("{method} {path}"))?;
        if !(200..300).contains(&answer.status) {
            let body = String::from_utf8_lossy(&answer.body);
            bail!("{method} {path} was answered {}: {body}", answer.status);
        }
        serde_json::from_slice(&answer.body).with_context(|| format!("{method} {path}: no JSON"))
    }

    /// # Errors
    /// When there is no answer.
    pub fn send(&mut self, method: &str, path: &str, body: &[u8]) -> io::Result<Answer> {
        self.connection.request(method, path, body)
    }
}

fn message(text: &str, run: bool) -> String {
    json!({"role": "user", "content": [{"type": "text", "text": text}], "run": run}).to_string()
}
