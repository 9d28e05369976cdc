use std::{
    fs,
    io::{self, Read},
    path::Path,
};

use super::file::{self, MAX_FILE_BYTES};

/// The plan of the task tracker, and outputs that were too long for their event: tools look for both
/// under the same names here.
const NAMES: [&str; 2] = ["TASKS.json", "observations"];

/// Copies what tools keep beside the log. The log does not depend on it: what cannot be copied is named
/// in words.
pub(super) fn copy_all(
    from: &Path,
    mut keep: impl FnMut(&Path, &mut dyn Read) -> io::Result<()>,
) -> Vec<String> {
    let mut notices = Vec::new();
    for name in NAMES {
        if let Err(error) = copy(from, name.as_ref(), &mut keep) {
            notices.push(format!("`{name}` cannot be copied: {error}"));
        }
    }
    notices
}

/// A file, or a folder's files; not what links lead to. What is not copied is an error, but the rest is
/// still copied.
fn copy(
    from: &Path,
    name: &Path,
    keep: &mut impl FnMut(&Path, &mut dyn Read) -> io::Result<()>,
) -> io::Result<()> {
    let path = from.join(name);
    let kind = match fs::symlink_metadata(&path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !kind.is_dir() {
        return copy_file(from, name, keep);
    }
    let mut outcome = Ok(());
    for entry in fs::read_dir(path)? {
        let file_name = entry?.file_name();
        if let Err(error) = copy_file(from, &name.join(&file_name), keep) {
            let reason = format!("{}: {error}", file_name.to_string_lossy());
            outcome = Err(io::Error::new(error.kind(), reason));
        }
    }
    outcome
}

fn copy_file(
    from: &Path,
    name: &Path,
    keep: &mut impl FnMut(&Path, &mut dyn Read) -> io::Result<()>,
) -> io::Result<()> {
    let file = file::open(&from.join(name))?;
    if file.metadata()?.len() > MAX_FILE_BYTES {
        return Err(file::too_long());
    }
    keep(name, &mut file.take(MAX_FILE_BYTES))
}
