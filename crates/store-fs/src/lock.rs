use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use core_model::UtcTime;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::{OpenError, layout};

/// The right to write in a conversations folder: an advisory lock on its `.lock` file, which the
/// kernel frees when the process ends, however it ends. The file's contents only inform.
#[derive(Debug)]
pub(crate) struct FolderLock {
    file: File,
}

/// What `.lock` says of its holder.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Holder {
    pid: Option<u32>,
    host: Option<String>,
    started_at: Option<UtcTime>,
}

impl FolderLock {
    pub(crate) fn take(root: &Path) -> Result<Self, OpenError> {
        let path = layout::lock_file(root);
        // The standard library opens with O_CLOEXEC: no command an agent runs inherits the lock.
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|source| OpenError::unusable(root, source))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(locked(root, &mut file)),
            Err(errno) => {
                let source = errno.into();
                return Err(OpenError::Io { path, source });
            }
        }
        let lock = Self { file };
        if let Err(error) = lock.sign() {
            tracing::warn!(path = %path.display(), %error, "could not write who holds the lock");
        }
        Ok(lock)
    }

    fn sign(&self) -> io::Result<()> {
        let holder = Holder {
            pid: Some(std::process::id()),
            host: nix::unistd::gethostname()
                .ok()
                .map(|name| name.to_string_lossy().into_owned()),
            started_at: Some(UtcTime::now()),
        };
        let mut file = &self.file;
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(&serde_json::to_vec(&holder)?)
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Closing would free it too, but not while a child between fork and exec shares the file.
        flock(&self.file, FlockOperation::Unlock).ok();
    }
}

fn locked(root: &Path, file: &mut File) -> OpenError {
    let mut text = Vec::new();
    let holder = match file.read_to_end(&mut text) {
        Ok(_) => parse(&text).unwrap_or_default(),
        Err(_) => Holder::default(),
    };
    OpenError::Locked {
        folder: root.to_owned(),
        pid: holder.pid,
        host: holder.host,
        started_at: holder.started_at,
    }
}

fn parse(text: &[u8]) -> serde_json::Result<Holder> {
    // By way of an object, for a derived struct would also take its fields from an array.
    let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(text)?;
    serde_json::from_value(fields.into())
}
