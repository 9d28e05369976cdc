//! Files of tools beside a conversation's log.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// Stores each file that an import finds in a conversation's folder, in place of what an import that was
/// cut short left there.
pub(super) fn keep_in(
    folder: PathBuf,
) -> impl FnMut(&Path, &mut dyn Read) -> io::Result<()> + Send + 'static {
    move |name, content| {
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        io::copy(content, &mut file).map(drop)
    }
}
