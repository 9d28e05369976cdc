//! The key that encrypts stored secrets: from the configuration, or from a file that is created when it is
//! first needed.

use std::{
    fs::{File, Permissions},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use agent_runtime::KeySource;
use core_model::StoreError;
use secrecy::SecretBox;
use sha2::{Digest, Sha256};
use store_fs::regular_file::{self, Links};
use thiserror::Error;

use crate::config::Settings;

const FILE_NAME: &str = "secret.key";
/// Longer than any key with white space around it.
const MAX_FILE_BYTES: u64 = 4096;

/// Where the key came from, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Configured,
    /// Made for this process alone.
    Memory,
    File(PathBuf),
    /// Not there yet: to be made in this file.
    None(PathBuf),
}

#[derive(Debug, Error)]
pub enum SecretKeyError {
    #[error("{path}: cannot read the secret key: {source}", path = .path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{path}: cannot keep a new secret key: {source}", path = .path.display())]
    Unwritable { path: PathBuf, source: io::Error },
    #[error(
        "{path}: expected 64 hexadecimal digits, found something else; put the right file back, or \
         set OH_SECRET_KEY, or remove the file and lose the secrets it seals",
        path = .path.display()
    )]
    NoKey { path: PathBuf },
    #[error("the system gives no random bytes: {0}")]
    NoRandomness(getrandom::Error),
}

/// Where the runtime gets its key from: the configuration, which may have any text, or else
/// `secret.key` in the workspace's root folder, which is created (mode 0600) with the first secret.
/// An ephemeral server has a random key in memory.
///
/// # Errors
/// When the file is there but cannot be read or holds no key.
pub fn source(settings: &Settings) -> Result<(KeySource, Origin), SecretKeyError> {
    if let Some(text) = settings.secret_key.as_ref().and_then(|key| key.text()) {
        let bytes: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        return Ok((Arc::new(move || Ok(sealed(bytes))), Origin::Configured));
    }
    if settings.ephemeral {
        let bytes = random()?;
        return Ok((Arc::new(move || Ok(sealed(bytes))), Origin::Memory));
    }
    let path = settings.workspace_root().join(FILE_NAME);
    if let Some(bytes) = read(&path)? {
        return Ok((Arc::new(move || Ok(sealed(bytes))), Origin::File(path)));
    }
    let origin = Origin::None(path.clone());
    let make = move || {
        let key = read_or_make(&path)?;
        Ok(sealed(key))
    };
    Ok((Arc::new(make), origin))
}

fn random() -> Result<[u8; 32], SecretKeyError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(SecretKeyError::NoRandomness)?;
    Ok(bytes)
}

fn read_or_make(path: &Path) -> Result<[u8; 32], SecretKeyError> {
    if let Some(bytes) = read(path)? {
        return Ok(bytes);
    }
    create(path)?;
    tracing::warn!(
        "made a key that seals secrets: {}; without it the secrets are lost (OH_SECRET_KEY sets one)",
        path.display()
    );
    // Read back, so that a key which another process made first is the one that counts.
    read(path)?.ok_or_else(|| SecretKeyError::NoKey {
        path: path.to_owned(),
    })
}

/// The error of a request that needs the key; a full disk stays a full disk.
impl From<SecretKeyError> for StoreError {
    fn from(error: SecretKeyError) -> Self {
        let at = |path: PathBuf| path.display().to_string();
        match error {
            SecretKeyError::Unwritable { path, source }
            | SecretKeyError::Unreadable { path, source } => Self::Io {
                path: at(path),
                source,
            },
            SecretKeyError::NoKey { ref path } => Self::Damaged {
                path: at(path.clone()),
                reason: error.to_string(),
            },
            SecretKeyError::NoRandomness(_) => Self::Io {
                path: FILE_NAME.to_owned(),
                source: io::Error::other(error.to_string()),
            },
        }
    }
}

fn sealed(bytes: [u8; 32]) -> SecretBox<[u8; 32]> {
    SecretBox::new(Box::new(bytes))
}

fn read(path: &Path) -> Result<Option<[u8; 32]>, SecretKeyError> {
    let path = path.to_owned();
    match regular_file::read(&path, Links::Follow, MAX_FILE_BYTES) {
        Ok(content) => match from_hex(content.trim_ascii()) {
            Some(bytes) => Ok(Some(bytes)),
            None => Err(SecretKeyError::NoKey { path }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(SecretKeyError::Unreadable { path, source }),
    }
}

/// Leaves a whole key at `path` or nothing. One that is there already stays: whatever else makes one at
/// the same time, in this process or another, the first to get the name is the one that counts, for
/// secrets may be sealed with it from then on.
fn create(path: &Path) -> Result<(), SecretKeyError> {
    let bytes = random()?;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    name_new(path, hex.as_bytes()).map_err(|source| SecretKeyError::Unwritable {
        path: path.to_owned(),
        source,
    })
}

/// Writes a file under a name of its own, which nobody else opens, and only then gives it `path`,
/// durably and unless that is taken.
fn name_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut unfinished = tempfile::Builder::new()
        .prefix(&format!(".{FILE_NAME}."))
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(folder)?;
    unfinished.write_all(content)?;
    unfinished.as_file().sync_all()?;
    match unfinished.persist_noclobber(path) {
        Ok(_) => {}
        Err(taken) if taken.error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(failed) => return Err(failed.error),
    }
    // Also when another process made it, which may have ended before this.
    File::open(folder)?.sync_all()
}

fn from_hex(text: &[u8]) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 2 * bytes.len() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16);
        *byte = u8::try_from(digit(0)? << 4 | digit(1)?).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::Barrier, thread};

    use super::*;
    use crate::config::Secret;
    use secrecy::ExposeSecret;

    fn settings_in(folder: &Path) -> Settings {
        Settings {
            conversations_path: folder.join("conversations"),
            ..Settings::default()
        }
    }

    #[test]
    fn a_key_is_made_once_and_kept_private() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings_in(folder.path());
        let path = folder.path().join("secret.key");
        let (source, origin) = source(&settings).unwrap();
        assert_eq!(origin, Origin::None(path.clone()));
        assert!(!path.exists(), "no secret, no key");
        let made = source().unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let (again, origin) = super::source(&settings).unwrap();
        assert_eq!(origin, Origin::File(path));
        assert_eq!(again().unwrap().expose_secret(), made.expose_secret());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_configured_key_makes_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = settings_in(folder.path());
        settings.secret_key = Some(Secret::from("any text".to_owned()));
        let (key, origin) = source(&settings).unwrap();
        assert_eq!(origin, Origin::Configured);
        key().unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_damaged_key_stops_the_start_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret.key");
        for content in ["", "abcd", &"z".repeat(64)] {
            fs::write(&path, content).unwrap();
            let error = source(&settings_in(folder.path())).err().unwrap();
            assert!(matches!(error, SecretKeyError::NoKey { .. }), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
    }

    /// Sources of their own, as two processes have them; what each gives may seal a secret at once.
    #[test]
    fn all_that_make_a_key_at_the_same_time_get_the_same_one() {
        const FOLDERS: usize = 100;
        const THREADS: usize = 16;
        for _ in 0..FOLDERS {
            let folder = tempfile::tempdir().unwrap();
            let settings = settings_in(folder.path());
            let start = Barrier::new(THREADS);
            let keys: Vec<[u8; 32]> = thread::scope(|scope| {
                let make = || {
                    let (source, _) = source(&settings).unwrap();
                    start.wait();
                    let made = source().unwrap();
                    *made.expose_secret()
                };
                let making: Vec<_> = (0..THREADS).map(|_| scope.spawn(make)).collect();
                making
                    .into_iter()
                    .map(|made| made.join().unwrap())
                    .collect()
            });
            let kept = source(&settings).unwrap().0().unwrap();
            assert_eq!(keys, [*kept.expose_secret(); THREADS]);
            // Nothing but the key is left, under any name.
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn a_key_that_is_there_is_never_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        // Others may hold a second link to it, which must not be a way to change it.
        name_new(&path, b"first").unwrap();
        let link = folder.path().join("link");
        fs::hard_link(&path, &link).unwrap();
        name_new(&path, b"second").unwrap();
        for name in [path, link] {
            assert_eq!(fs::read(name).unwrap(), b"first");
        }
    }

    #[test]
    fn a_pipe_or_device_is_refused_without_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        let refused = |why: &str| {
            let error = source(&settings_in(folder.path())).err().unwrap();
            assert!(error.to_string().contains(why), "{error}");
            fs::remove_file(&path).unwrap();
        };
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        refused("a pipe, not a file");
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        refused("a device, not a file");
        fs::write(&path, vec![b'a'; 5000]).unwrap();
        refused("more than 4096 bytes");
        // As a mounted secret is.
        let elsewhere = folder.path().join("mounted");
        fs::write(&elsewhere, "ab".repeat(32)).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        let key = source(&settings_in(folder.path())).unwrap().0().unwrap();
        assert_eq!(key.expose_secret(), &[0xab; 32]);
    }
}
