use std::{
    fs::Permissions,
    os::unix::fs::{PermissionsExt, symlink},
    process::Command,
};

use super::*;

#[test]
fn keeps_mode_and_link_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("script.sh");
    let link = folder.path().join("link.sh");
    fs::write(&file, "old").unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o4751)).unwrap();
    symlink(&file, &link).unwrap();

    replace(&link, b"new").unwrap();

    assert_eq!(fs::read_to_string(&file).unwrap(), "new");
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o4751);
    assert_eq!(fs::read_link(&link).unwrap(), file);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn makes_a_missing_file_but_no_missing_folder() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("new.txt");
    replace(&file, b"x").unwrap();
    assert_eq!(fs::read(&file).unwrap(), b"x");
    let nowhere = folder.path().join("no/new.txt");
    assert_eq!(
        replace(&nowhere, b"x").unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

#[test]
fn a_failed_swap_keeps_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("folder");
    fs::create_dir(&target).unwrap();
    replace(&target, b"x").unwrap_err();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    assert!(target.is_dir());
}

#[test]
fn a_file_that_others_changed_is_left_to_them() {
    for links in [1, 2] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "theirs").unwrap();
        if links == 2 {
            fs::hard_link(&file, folder.path().join("other")).unwrap();
        }
        for expected in ["ours", "theirs, longer", "their", ""] {
            let refused = replace_expected(&file, expected.as_bytes(), b"new").unwrap_err();
            assert!(matches!(refused, ReplaceError::Changed), "{refused}");
            assert_eq!(fs::read(&file).unwrap(), b"theirs");
        }
        replace_expected(&file, b"theirs", b"new").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), links);
        fs::remove_file(&file).unwrap();
        let refused = replace_expected(&file, b"new", b"newer").unwrap_err();
        assert!(matches!(refused, ReplaceError::Changed), "{refused}");
        assert!(!file.exists());
    }
}

#[test]
fn in_place_longer_and_shorter_content_fits() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    fs::hard_link(&file, folder.path().join("other")).unwrap();
    for content in [
        "long content",
        "short",
        "",
        "longer than before",
        "same len",
    ] {
        replace(&file, content.as_bytes()).unwrap();
        assert_eq!(
            fs::read_to_string(folder.path().join("other")).unwrap(),
            content
        );
    }
}

/// Names the file for the part of the test below that has little room.
const FILE: &str = "AGENT_TEST_FILE_WITHOUT_ROOM";

#[test]
fn a_write_in_place_that_finds_no_room_is_taken_back() {
    if let Some(file) = std::env::var_os(FILE) {
        let error = replace(Path::new(&file), &vec![b'x'; 5000]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FileTooLarge);
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "old\n".repeat(200)).unwrap();
    fs::hard_link(&file, folder.path().join("other")).unwrap();
    // The limit holds for a process, so this test runs once more in one of its own.
    let inner = Command::new("bash")
        .args(["-c", "trap '' XFSZ; ulimit -f 2; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "files::replace::tests::a_write_in_place_that_finds_no_room_is_taken_back",
        ])
        .env(FILE, &file)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&inner.stdout);
    assert!(
        inner.status.success() && said.contains("1 passed"),
        "{said}"
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), "old\n".repeat(200));
}
