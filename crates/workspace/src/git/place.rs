//! Where a workspace may become a git repository. One at `/` or in a home folder would include all that
//! lies below: every program there would find itself in it, and the agent would see all of the user's
//! files as changes of its own.

use std::{
    env,
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use nix::unistd::{Uid, User};

/// Folders of the system. None of them is a project; what lies below them may be.
const SYSTEM: [&str; 28] = [
    "/",
    "/Applications",
    "/Library",
    "/System",
    "/Users",
    "/Volumes",
    "/bin",
    "/boot",
    "/etc",
    "/home",
    "/lib",
    "/lib64",
    "/media",
    "/mnt",
    "/opt",
    "/root",
    "/run",
    "/sbin",
    "/srv",
    "/tmp",
    "/usr",
    "/usr/bin",
    "/usr/lib",
    "/usr/local",
    "/usr/share",
    "/var",
    "/var/lib",
    "/var/tmp",
];
/// All that lies below these belongs to the kernel.
const KERNEL: [&str; 3] = ["/dev", "/proc", "/sys"];
/// Each folder in one of these is a home.
const WITH_HOMES: [&str; 3] = ["/home", "/var/home", "/Users"];
/// The mode of a folder where all users make files, and remove only their own: `/tmp`, or one like it.
const SHARED_BY_ALL: u32 = 0o1002;

/// The real path of `folder`, if a repository may be made there.
///
/// # Errors
/// Why none may be made, for the log.
pub(super) fn repository_place(folder: &Path) -> Result<PathBuf, &'static str> {
    place(folder, homes, Uid::effective())
}

fn place(
    folder: &Path,
    homes: impl Fn() -> Vec<PathBuf>,
    user: Uid,
) -> Result<PathBuf, &'static str> {
    let unreadable = |_: io::Error| "it cannot be looked at";
    let real = fs::canonicalize(folder).map_err(unreadable)?;
    let metadata = fs::metadata(&real).map_err(unreadable)?;
    let below = |parents: &[&str]| parents.iter().any(|parent| real.starts_with(parent));
    let parent = real.parent().unwrap_or(&real);
    let refusal = if SYSTEM.iter().any(|system| real == Path::new(system)) {
        "it is a folder of the system"
    } else if below(&KERNEL) {
        "it belongs to the kernel"
    } else if WITH_HOMES.iter().any(|homes| parent == Path::new(homes)) {
        "it is a home folder"
    } else if metadata.mode() & SHARED_BY_ALL == SHARED_BY_ALL {
        "all users share it"
    } else if metadata.uid() != user.as_raw() {
        // Git trusts no repository in a folder of another user.
        "it belongs to another user"
    } else if real.ancestors().any(is_git_folder) {
        "it is a git folder itself, or lies in one"
    } else if real.join(".git").is_symlink() {
        "its repository is kept elsewhere"
    } else if real.ancestors().any(is_repository) {
        "it lies in a repository already"
    } else if homes().iter().any(|home| is_same_folder(home, &metadata)) {
        // Last, because it costs most.
        "it is a home folder"
    } else {
        return Ok(real);
    };
    Err(refusal)
}

/// The known home folders.
fn homes() -> Vec<PathBuf> {
    let own = User::from_uid(Uid::effective()).ok().flatten();
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    // name:password:uid:gid:comment:home:shell
    let of_users = users.lines().filter_map(|user| user.split(':').nth(5));
    env::var_os("HOME")
        .map(PathBuf::from)
        .into_iter()
        .chain(own.map(|user| user.dir))
        .chain(of_users.map(PathBuf::from))
        .filter(|home| home.is_absolute())
        .collect()
}

/// Whether the path leads to the folder, by whichever links. Real paths would take a call for each part.
fn is_same_folder(path: &Path, folder: &Metadata) -> bool {
    fs::metadata(path).is_ok_and(|at| (at.dev(), at.ino()) == (folder.dev(), folder.ino()))
}

/// Whether the folder has a complete repository, or a link to one. What a killed `git init` left is not
/// complete; the next one completes it.
pub(super) fn is_repository(folder: &Path) -> bool {
    let git = folder.join(".git");
    let parts = ["HEAD", "objects", "refs"];
    git.is_file() || parts.iter().all(|part| git.join(part).exists())
}

/// Whether `folder` is a bare repository, or the `.git` of another.
fn is_git_folder(folder: &Path) -> bool {
    folder.join("HEAD").is_file() && folder.join("objects").is_dir() && folder.join("refs").is_dir()
}

#[cfg(test)]
mod tests {
    use std::{
        fs::Permissions,
        os::unix::fs::{PermissionsExt, chown, symlink},
        process::Command,
    };

    use super::*;

    fn refused(folder: impl AsRef<Path>) -> &'static str {
        repository_place(folder.as_ref()).expect_err("no repository may be made there")
    }

    #[test]
    fn folders_of_the_system_and_links_to_them() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        symlink("/", &link).unwrap();
        for system in [
            Path::new("/"),
            Path::new("/usr/../"),
            &link,
            &link.join("usr"),
        ] {
            assert_eq!(
                refused(system),
                "it is a folder of the system",
                "{system:?}"
            );
        }
        for system in ["/tmp", "/etc", "/var", "/usr/local", "/home"] {
            if Path::new(system).is_dir() {
                refused(system);
            }
        }
        if Path::new("/proc/self/fd").is_dir() {
            assert_eq!(refused("/proc/self/fd"), "it belongs to the kernel");
        }
        refused(folder.path().join("missing"));
    }

    #[test]
    fn homes_and_not_what_lies_in_them() {
        let folder = tempfile::tempdir().unwrap();
        let home = fs::canonicalize(folder.path()).unwrap();
        let project = home.join("project");
        fs::create_dir(&project).unwrap();
        let link = home.join("link");
        symlink(&home, &link).unwrap();
        let place = |folder: &Path| place(folder, || vec![home.clone()], Uid::effective());
        for same in [home.clone(), link.clone(), project.join("..")] {
            assert_eq!(place(&same), Err("it is a home folder"), "{same:?}");
        }
        assert_eq!(place(&project), Ok(project.clone()));
        assert_eq!(place(&link.join("project")), Ok(project));

        let own = env::var_os("HOME").map(PathBuf::from);
        for home in own.into_iter().filter(|home| home.is_dir()) {
            refused(home);
        }
    }

    #[test]
    fn folders_of_others() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o1777)).unwrap();
        assert_eq!(refused(folder.path()), "all users share it");
        assert!(repository_place(&inner).is_ok());
        // Only root may give a folder away.
        if chown(&inner, Some(4321), None).is_ok() {
            assert_eq!(refused(&inner), "it belongs to another user");
        }
    }

    #[test]
    fn git_folders() {
        let folder = tempfile::tempdir().unwrap();
        let made = Command::new("git")
            .args(["init", "--quiet", "--bare", "bare.git"])
            .current_dir(folder.path())
            .status();
        if !made.is_ok_and(|status| status.success()) {
            eprintln!("there is no git here");
            return;
        }
        for inside in ["bare.git", "bare.git/refs/heads"] {
            assert_eq!(
                refused(folder.path().join(inside)),
                "it is a git folder itself, or lies in one"
            );
        }
        symlink("/nowhere/at/all", folder.path().join(".git")).unwrap();
        assert_eq!(refused(folder.path()), "its repository is kept elsewhere");
    }
}
