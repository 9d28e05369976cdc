//! What a file has beside its content: owner, mode, and extended attributes, among them access lists.

use std::{
    ffi::OsString,
    fs::{File, Metadata, Permissions},
    io::{self, ErrorKind},
    os::unix::fs::{MetadataExt, PermissionsExt, fchown},
};

use xattr::FileExt;

/// Checksums of the content, which the kernel maintains.
const CHECKSUMS: [&str; 2] = ["security.ima", "security.evm"];

/// The attributes of one file, to be given to another.
pub(super) struct Attributes {
    owner: (u32, u32),
    mode: u32,
    extended: Vec<(OsString, Vec<u8>)>,
}

impl Attributes {
    /// # Errors
    /// When they cannot be read in full.
    pub(super) fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self {
            owner: owner(&metadata),
            mode: metadata.mode() & 0o7777,
            extended: extended(file)?,
        })
    }

    /// Gives them to `file`, which has no others afterwards.
    ///
    /// # Errors
    /// When it does not accept all of them.
    pub(super) fn apply(&self, file: &File) -> io::Result<()> {
        if owner(&file.metadata()?) != self.owner {
            fchown(file, Some(self.owner.0), Some(self.owner.1))?;
        }
        // After the owner: changing it clears capabilities, and the set-user-id bits below.
        let present = extended(file)?;
        for (name, value) in &self.extended {
            if !present.iter().any(|it| (&it.0, &it.1) == (name, value)) {
                file.set_xattr(name, value)?;
            }
        }
        for (name, _) in &present {
            if !self.extended.iter().any(|(kept, _)| kept == name) {
                file.remove_xattr(name)?;
            }
        }
        file.set_permissions(Permissions::from_mode(self.mode))?;
        // The kernel silently drops a set-group-id bit that it does not grant.
        if file.metadata()?.mode() & 0o7777 == self.mode {
            Ok(())
        } else {
            Err(ErrorKind::PermissionDenied.into())
        }
    }
}

fn owner(metadata: &Metadata) -> (u32, u32) {
    (metadata.uid(), metadata.gid())
}

/// Empty where the file system has no extended attributes.
fn extended(file: &File) -> io::Result<Vec<(OsString, Vec<u8>)>> {
    let names = match file.list_xattr() {
        Ok(names) => names,
        Err(error) if error.kind() == ErrorKind::Unsupported => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for name in names.filter(|name| !CHECKSUMS.iter().any(|sum| name == *sum)) {
        // It may have been removed since.
        if let Some(value) = file.get_xattr(&name)? {
            found.push((name, value));
        }
    }
    Ok(found)
}
