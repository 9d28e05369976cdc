use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use core_model::UtcTime;
use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};
use serde::{Deserialize, Serialize};

use crate::{OpenError, layout, regular_file};

/// The right to write in a conversations folder: an advisory lock on the folder itself, which the
/// kernel frees when the process ends, however it ends, and which nobody can take by removing a file.
/// The file `.lock` only informs, but where the file system does not lock folders: there it is locked.
#[derive(Debug)]
pub(crate) struct FolderLock {
    /// What is locked.
    held: File,
}

/// How long a lock may outlive its holder: a command that was being started when the holder was
/// killed has its files until it runs.
const ORPHANS: Duration = Duration::from_secs(2);

/// More than `.lock` says of its holder.
const HOLDER_BYTES: u64 = 4096;

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
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(regular_file::WITHOUT_WAITING.bits() as i32)
            .open(&path);
        let mut file = regular_file::check(opened).map_err(|source| {
            if source.kind() == io::ErrorKind::InvalidInput {
                at(&path)(source)
            } else {
                OpenError::unusable(root, source)
            }
        })?;
        let mut held = File::open(root).map_err(|source| OpenError::unusable(root, source))?;
        let patience = Instant::now() + ORPHANS;
        let mut is_folder = true;
        loop {
            match flock(&held, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(Errno::WOULDBLOCK) => {
                    let holder = holder(&mut file);
                    if !holder.is_dead() || Instant::now() > patience {
                        return Err(holder.locked(root));
                    }
                    thread::sleep(Duration::from_millis(5));
                }
                // Network file systems may lock only what is open for writing.
                Err(Errno::BADF | Errno::INVAL | Errno::OPNOTSUPP) if is_folder => {
                    is_folder = false;
                    held = file.try_clone().map_err(at(&path))?;
                }
                Err(errno) => return Err(at(&path)(errno.into())),
            }
        }
        if let Err(error) = sign(&file) {
            tracing::warn!(path = %path.display(), %error, "could not write who holds the lock");
        }
        Ok(Self { held })
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Closing would free it too, but not while a child between fork and exec shares the file.
        flock(&self.held, FlockOperation::Unlock).ok();
    }
}

/// Writes who holds the lock.
fn sign(mut file: &File) -> io::Result<()> {
    let holder = Holder {
        pid: Some(std::process::id()),
        host: nix::unistd::gethostname()
            .ok()
            .map(|name| name.to_string_lossy().into_owned()),
        started_at: Some(UtcTime::now()),
    };
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(&serde_json::to_vec(&holder)?)
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    move |source| OpenError::Io {
        path: path.to_owned(),
        source,
    }
}

fn holder(file: &mut File) -> Holder {
    let mut text = Vec::new();
    let rewound = file.rewind();
    match rewound.and_then(|()| file.take(HOLDER_BYTES).read_to_end(&mut text)) {
        Ok(_) => parse(&text).unwrap_or_default(),
        Err(_) => Holder::default(),
    }
}

impl Holder {
    /// Whether it was a process of this machine that is no more.
    fn is_dead(&self) -> bool {
        let here = nix::unistd::gethostname()
            .is_ok_and(|host| self.host.as_deref() == Some(&*host.to_string_lossy()));
        let pid = self.pid.and_then(|pid| i32::try_from(pid).ok());
        let pid = pid.and_then(rustix::process::Pid::from_raw);
        let is_gone = |pid| rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH);
        here && pid.is_some_and(is_gone)
    }

    fn locked(self, root: &Path) -> OpenError {
        OpenError::Locked {
            folder: root.to_owned(),
            pid: self.pid,
            host: self.host,
            started_at: self.started_at,
        }
    }
}

fn parse(text: &[u8]) -> serde_json::Result<Holder> {
    // By way of an object, because a derived struct would also take its fields from an array.
    let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(text)?;
    serde_json::from_value(fields.into())
}
