//! What a server writes beside the protocol: a bounded file of the conversation, and its last lines.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use core_model::masking::SecretMask;
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    task::spawn_blocking,
};
use workspace::ToolFiles;

/// Of the file; the one before it is kept as well.
const LARGEST_FILE: u64 = 512 * 1024;
const TAIL_BYTES: usize = 2_000;
const READ_BYTES: usize = 8 * 1024;

/// One server's log.
#[derive(Clone)]
pub(crate) struct ServerLog(Arc<Shared>);

struct Shared {
    files: ToolFiles,
    /// Of the file.
    name: String,
    secrets: SecretMask,
    tail: Mutex<VecDeque<u8>>,
}

impl ServerLog {
    pub(crate) fn new(files: ToolFiles, server: &str, secrets: SecretMask) -> Self {
        let fits = |c: char| {
            if c.is_ascii_alphanumeric() || c == '-' {
                c
            } else {
                '_'
            }
        };
        let plain: String = server.chars().take(64).map(fits).collect();
        Self(Arc::new(Shared {
            files,
            name: format!("mcp/{plain}.log"),
            secrets,
            tail: Mutex::default(),
        }))
    }

    /// Writes all that comes from `errors`, until its end.
    pub(crate) async fn copy(self, mut errors: impl AsyncRead + Unpin) {
        let mut buffer = vec![0; READ_BYTES];
        while let Ok(count @ 1..) = errors.read(&mut buffer).await {
            self.write(buffer[..count].to_vec()).await;
        }
    }

    /// Writes a line of our own.
    pub(crate) async fn note(&self, line: &str) {
        self.write(format!("[{line}]\n").into_bytes()).await;
    }

    async fn write(&self, bytes: Vec<u8>) {
        let text = self.masked(&String::from_utf8_lossy(&bytes));
        self.remember(&text);
        let shared = Arc::clone(&self.0);
        let written = spawn_blocking(move || {
            let (name, bytes) = (&shared.name, text.as_bytes());
            shared.files.append_bounded(name, bytes, LARGEST_FILE)
        });
        if let Ok(Err(error)) = written.await {
            tracing::debug!(%error, "the log of an MCP server cannot be written");
        }
    }

    fn remember(&self, text: &str) {
        let mut tail = self.tail_lines();
        tail.extend(text.bytes());
        let excess = tail.len().saturating_sub(TAIL_BYTES);
        tail.drain(..excess);
    }

    /// The last lines.
    pub(crate) fn tail(&self) -> String {
        let tail: Vec<u8> = self.tail_lines().iter().copied().collect();
        String::from_utf8_lossy(&tail).trim().to_owned()
    }

    /// Forgets the lines of an earlier start.
    pub(crate) fn begin(&self) {
        self.tail_lines().clear();
    }

    /// A text without the server's secrets.
    pub(crate) fn masked(&self, text: &str) -> String {
        self.0.secrets.mask(text)
    }

    pub(crate) fn file(&self) -> String {
        self.0.files.path(&self.0.name).display().to_string()
    }

    fn tail_lines(&self) -> MutexGuard<'_, VecDeque<u8>> {
        self.0.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
