//! What is not ours: changes by others, and what a file has beside its content.

use std::os::unix::fs::{MetadataExt, chown};

use xattr::FileExt;

use super::*;

fn one_line_edit(old: &str, new: &str) -> Value {
    json!({"old_str": old, "new_str": new})
}

#[tokio::test]
async fn undo_keeps_what_others_wrote_since() {
    let bench = Bench::with("a", "one\ntwo\nthree\n");
    bench
        .call("str_replace", "a", one_line_edit("two", "TWO"))
        .await;
    fs::write(bench.path("a"), "one\nTWO\nthree\ntheirs\n").unwrap();

    let reason = bench.refused("undo_edit", "a", json!({})).await;
    assert!(reason.contains("changed since your last edit"), "{reason}");
    assert!(reason.contains("+theirs"), "{reason}");
    assert!(reason.contains("`str_replace`"), "{reason}");
    assert_eq!(bench.content("a"), "one\nTWO\nthree\ntheirs\n");

    // Once that is gone again, there is nothing to be lost.
    fs::write(bench.path("a"), "one\nTWO\nthree\n").unwrap();
    bench.call("undo_edit", "a", json!({})).await;
    assert_eq!(bench.content("a"), "one\ntwo\nthree\n");
}

#[tokio::test]
async fn undo_stops_at_a_change_by_others_between_two_edits() {
    let bench = Bench::with("a", "one\n");
    bench
        .call("str_replace", "a", one_line_edit("one", "two"))
        .await;
    fs::write(bench.path("a"), "two\ntheirs\n").unwrap();
    bench
        .call("str_replace", "a", one_line_edit("two", "three"))
        .await;
    bench.call("undo_edit", "a", json!({})).await;
    assert_eq!(bench.content("a"), "two\ntheirs\n");
    bench.refused("undo_edit", "a", json!({})).await;
    assert_eq!(bench.content("a"), "two\ntheirs\n");
}

#[tokio::test]
async fn undo_leaves_a_file_that_others_put_there_or_took_away() {
    let bench = Bench::with("a", "one\n");
    bench
        .call("str_replace", "a", one_line_edit("one", "two"))
        .await;
    fs::write(bench.path("theirs"), "new\n").unwrap();
    fs::rename(bench.path("theirs"), bench.path("a")).unwrap();
    bench.refused("undo_edit", "a", json!({})).await;
    assert_eq!(bench.content("a"), "new\n");
    fs::write(bench.path("a"), b"\0\xff").unwrap();
    bench.refused("undo_edit", "a", json!({})).await;
    assert_eq!(fs::read(bench.path("a")).unwrap(), b"\0\xff");
    fs::remove_file(bench.path("a")).unwrap();
    bench.refused("undo_edit", "a", json!({})).await;
    assert!(!bench.path("a").exists());
}

#[tokio::test]
async fn a_change_by_others_is_shown_in_short() {
    let bench = Bench::with("a", "one\n".repeat(5_000));
    bench
        .call("insert", "a", json!({"insert_line": 0, "new_str": "mine"}))
        .await;
    fs::write(bench.path("a"), "theirs\n".repeat(5_000)).unwrap();
    let reason = bench.refused("undo_edit", "a", json!({})).await;
    assert!(reason.chars().count() < 5_000, "{}", reason.len());
    assert!(reason.contains("more lines of the comparison"), "{reason}");
}

#[tokio::test]
async fn an_edit_reaches_every_name_of_a_file() {
    let bench = Bench::with("a", "one\n");
    fs::hard_link(bench.path("a"), bench.path("b")).unwrap();
    fs::set_permissions(bench.path("a"), fs::Permissions::from_mode(0o4750)).unwrap();
    let before = fs::metadata(bench.path("a")).unwrap();

    bench
        .call("str_replace", "a", one_line_edit("one", "one\ntwo"))
        .await;
    assert_eq!(bench.content("b"), "one\ntwo\n");
    bench
        .call("str_replace", "b", one_line_edit("one\ntwo", "1"))
        .await;
    assert_eq!(bench.content("a"), "1\n");

    let after = fs::metadata(bench.path("a")).unwrap();
    assert_eq!(after.ino(), before.ino());
    assert_eq!(after.nlink(), 2);
    assert_eq!(after.mode(), before.mode());
    assert_eq!(fs::read_dir(bench.folder.path()).unwrap().count(), 2);
}

/// Read and write for the owner and for user 1000, as the kernel keeps it.
const ACCESS_LIST: [u8; 44] = [
    2, 0, 0, 0, //
    1, 0, 6, 0, 0xff, 0xff, 0xff, 0xff, //
    2, 0, 6, 0, 0xe8, 3, 0, 0, //
    4, 0, 4, 0, 0xff, 0xff, 0xff, 0xff, //
    16, 0, 6, 0, 0xff, 0xff, 0xff, 0xff, //
    32, 0, 0, 0, 0xff, 0xff, 0xff, 0xff,
];

#[tokio::test]
async fn an_edit_keeps_extended_attributes_access_list_and_owner() {
    let bench = Bench::with("a", "one\n");
    let file = fs::File::open(bench.path("a")).unwrap();
    if file.set_xattr("user.origin", b"elsewhere").is_err() {
        eprintln!("this file system has no extended attributes");
        return;
    }
    file.set_xattr("system.posix_acl_access", &ACCESS_LIST)
        .unwrap();
    // Only root may give a file away.
    let given = chown(bench.path("a"), Some(4321), Some(8765)).is_ok();

    bench
        .call("str_replace", "a", one_line_edit("one", "two"))
        .await;

    assert_eq!(bench.content("a"), "two\n");
    let file = fs::File::open(bench.path("a")).unwrap();
    let kept = |name| file.get_xattr(name).unwrap();
    assert_eq!(kept("user.origin").unwrap(), b"elsewhere");
    assert_eq!(kept("system.posix_acl_access").unwrap(), ACCESS_LIST);
    let metadata = file.metadata().unwrap();
    assert_eq!(metadata.mode() & 0o7777, 0o660);
    if given {
        assert_eq!((metadata.uid(), metadata.gid()), (4321, 8765));
    }
}

#[tokio::test]
async fn an_edit_takes_over_no_access_list_of_the_folder() {
    let bench = Bench::with("a", "one\n");
    let folder = fs::File::open(bench.folder.path()).unwrap();
    if folder
        .set_xattr("system.posix_acl_default", &ACCESS_LIST)
        .is_err()
    {
        eprintln!("this file system has no access lists");
        return;
    }
    bench
        .call("str_replace", "a", one_line_edit("one", "two"))
        .await;
    let file = fs::File::open(bench.path("a")).unwrap();
    assert_eq!(file.get_xattr("system.posix_acl_access").unwrap(), None);
}

#[tokio::test]
async fn the_byte_order_mark_stays_first() {
    let bench = Bench::with("a", "\u{feff}one\r\ntwo\r\n");
    let viewed = text(&bench.call("view", "a", json!({})).await);
    assert!(viewed.ends_with("     1\tone\n     2\ttwo\n"), "{viewed:?}");
    bench
        .call("insert", "a", json!({"insert_line": 0, "new_str": "zero"}))
        .await;
    assert_eq!(bench.content("a"), "\u{feff}zero\r\none\r\ntwo\r\n");
    bench
        .call("str_replace", "a", one_line_edit("\u{feff}zero\n", ""))
        .await;
    assert_eq!(bench.content("a"), "\u{feff}one\r\ntwo\r\n");
    bench
        .call(
            "str_replace",
            "a",
            one_line_edit("\u{feff}one", "\u{feff}1"),
        )
        .await;
    assert_eq!(bench.content("a"), "\u{feff}1\r\ntwo\r\n");
    for _ in 0..3 {
        bench.call("undo_edit", "a", json!({})).await;
    }
    assert_eq!(bench.content("a"), "\u{feff}one\r\ntwo\r\n");
}

#[tokio::test]
async fn utf_16_is_named_as_such() {
    for mark in [[0xff, 0xfe], [0xfe, 0xff]] {
        let bench = Bench::with("a", [&mark[..], b"a\0b\0"].concat());
        let reason = bench.refused("view", "a", json!({})).await;
        assert!(reason.contains("UTF-16"), "{reason}");
        let edit = json!({"insert_line": 0, "new_str": "x"});
        bench.refused("insert", "a", edit).await;
        assert_eq!(fs::read(bench.path("a")).unwrap().len(), 6);
    }
}

/// What happens to a file.
#[derive(Clone, Debug)]
enum Step {
    /// One of our own edits; the path is yet to be added.
    Edit(Value),
    Undo,
    /// Others write it anew, in place or by a file of their own.
    Rewritten {
        swapped: bool,
        content: String,
    },
    Appended,
    Removed,
    Made(String),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..4_u64, "[a-c\n]{0,4}").prop_map(|(line, new)| Step::Edit(
            json!({"command": "insert", "insert_line": line, "new_str": new})
        )),
        3 => ("[a-c]{1,2}", "[a-c\n]{0,3}").prop_map(|(old, new)| Step::Edit(
            json!({"command": "str_replace", "old_str": old, "new_str": new})
        )),
        4 => Just(Step::Undo),
        1 => (any::<bool>(), "[a-c\n]{0,6}")
            .prop_map(|(swapped, content)| Step::Rewritten { swapped, content }),
        2 => Just(Step::Appended),
        1 => Just(Step::Removed),
        1 => "[a-c\n]{0,6}".prop_map(Step::Made),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever happens to a file: our own edits and their undoing take away nothing that others
    /// wrote, and an undo restores what was there before the edit.
    #[test]
    fn nothing_of_others_is_lost(
        content in "[a-c\n]{0,12}",
        steps in prop::collection::vec(step(), 1..24),
    ) {
        let bench = Bench::with("f", &content);
        let path = bench.path("f");
        let mut editor = bench.editor.tool.editor.lock().unwrap();
        let mut run = |arguments: Value| editor.run(&bench.workspace, serde_json::from_value(arguments).unwrap());
        let now = || fs::read_to_string(&path).ok();
        // What an undo has to bring back: the contents before the edits since others wrote.
        let mut earlier: Vec<String> = Vec::new();
        // What the file holds if only we wrote since the last edit.
        let mut left: Option<String> = None;
        for (number, step) in steps.into_iter().enumerate() {
            let before = now();
            // Each time others write, the file has a text that no edit of ours can touch.
            let mark = format!("<{number}>\n");
            match step {
                Step::Edit(mut edit) => {
                    edit["path"] = json!(path);
                    match run(edit) {
                        Ok(_) => {
                            if left.is_some() && left != before {
                                earlier.clear();
                            }
                            earlier.push(before.unwrap());
                            left = now();
                        }
                        Err(_) => prop_assert_eq!(now(), before),
                    }
                }
                Step::Undo => {
                    let done = run(json!({"command": "undo_edit", "path": path})).is_ok();
                    let ours = left.is_some() && before == left;
                    prop_assert_eq!(done, ours && !earlier.is_empty());
                    if done {
                        prop_assert_eq!(now(), earlier.pop());
                        left = now();
                    } else {
                        prop_assert_eq!(now(), before);
                    }
                }
                Step::Rewritten { swapped, content } => {
                    let place = if swapped { bench.path("theirs") } else { path.clone() };
                    fs::write(&place, mark + &content).unwrap();
                    fs::rename(&place, &path).unwrap();
                }
                Step::Appended => {
                    let content = before.unwrap_or_default() + &mark;
                    fs::write(&path, content).unwrap();
                }
                Step::Removed => {
                    fs::remove_file(&path).ok();
                }
                Step::Made(content) => {
                    let create = json!({"command": "create", "path": path, "file_text": content});
                    let done = run(create).is_ok();
                    prop_assert_eq!(done, before.is_none());
                    if done {
                        earlier.clear();
                        left = None;
                    } else {
                        prop_assert_eq!(now(), before);
                    }
                }
            }
            // Only ten edits are kept.
            if earlier.len() > 10 {
                earlier.remove(0);
            }
        }
    }
}
