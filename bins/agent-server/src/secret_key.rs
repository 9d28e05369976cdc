//! The key that seals secrets at rest: from the configuration, or from a file made at first need.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use agent_runtime::KeySource;
use secrecy::SecretBox;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::config::Settings;

const FILE_NAME: &str = "secret.key";

/// Where the key came from, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Configured,
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

/// Where the runtime gets its key from: the configuration, of which any text will do, or else
/// `secret.key` in the workspace's root folder, which is made (mode 0600) when a first secret needs
/// it.
///
/// # Errors
/// When the file is there but cannot be read or holds no key.
pub fn source(settings: &Settings) -> Result<(KeySource, Origin), SecretKeyError> {
    if let Some(text) = settings.secret_key.as_ref().and_then(|key| key.text()) {
        let bytes: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        return Ok((Arc::new(move || Ok(sealed(bytes))), Origin::Configured));
    }
    let path = settings.workspace_root().join(FILE_NAME);
    if let Some(bytes) = read(&path)? {
        return Ok((Arc::new(move || Ok(sealed(bytes))), Origin::File(path)));
    }
    let origin = Origin::None(path.clone());
    let make = move || {
        read_or_make(&path)
            .map(sealed)
            .map_err(|error| error.to_string())
    };
    Ok((Arc::new(make), origin))
}

fn read_or_make(path: &Path) -> Result<[u8; 32], SecretKeyError> {
    if let Some(bytes) = read(path)? {
        return Ok(bytes);
    }
    create(path)?;
    tracing::warn!(
        "made a key that seals secrets: {}; whoever loses it loses the secrets (OH_SECRET_KEY sets \
         one)",
        path.display()
    );
    // Read back, so that a key which another process made first is the one that counts.
    read(path)?.ok_or_else(|| SecretKeyError::NoKey {
        path: path.to_owned(),
    })
}

fn sealed(bytes: [u8; 32]) -> SecretBox<[u8; 32]> {
    SecretBox::new(Box::new(bytes))
}

fn read(path: &Path) -> Result<Option<[u8; 32]>, SecretKeyError> {
    let path = path.to_owned();
    match fs::read(&path) {
        Ok(content) => match from_hex(content.trim_ascii()) {
            Some(bytes) => Ok(Some(bytes)),
            None => Err(SecretKeyError::NoKey { path }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(SecretKeyError::Unreadable { path, source }),
    }
}

/// Leaves a whole key at `path` or nothing; one that is already there stays.
fn create(path: &Path) -> Result<(), SecretKeyError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(SecretKeyError::NoRandomness)?;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let unfinished = path.with_extension(format!("key.{}", std::process::id()));
    let outcome = write_private(&unfinished, hex.as_bytes())
        .and_then(|()| match fs::hard_link(&unfinished, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        })
        .and_then(|()| {
            path.parent()
                .map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
        });
    // Gone or not, it is nobody's key.
    fs::remove_file(&unfinished).ok();
    outcome.map_err(|source| SecretKeyError::Unwritable {
        path: path.to_owned(),
        source,
    })
}

fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    file.write_all(content)?;
    file.sync_all()
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
}
