//! Facts of the machine.

use std::path::PathBuf;

use nix::unistd::{AccessFlags, User, access, geteuid, gethostname};

/// The user that processes run as.
#[must_use]
pub fn user_name() -> Option<String> {
    Some(User::from_uid(geteuid()).ok()??.name)
}

#[must_use]
pub fn host_name() -> Option<String> {
    gethostname().ok()?.into_string().ok()
}

/// The program that a shell with this `PATH` runs by the name `name`.
#[must_use]
pub fn find_program(name: &str, path: &str) -> Option<PathBuf> {
    std::env::split_paths(path)
        .map(|folder| folder.join(name))
        .find(|file| {
            file.is_absolute() && file.is_file() && access(file, AccessFlags::X_OK).is_ok()
        })
}
