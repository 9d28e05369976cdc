//! Conversations that the reference server wrote (`fixtures/reference`, recorded from its release
//! 1.58.0) become ours.

use std::{
    fs,
    io::{self, Read},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use core_model::{
    Catalog, ConfirmationPolicy, ConversationId, ExecutionStatus, Limit, LogReader, Record, Seq,
    StoreError, Workspace, secrets::visit_secrets,
};
use serde_json::{Value, json};
use store_fs::{FsStore, OpenError, Options};
use tempfile::TempDir;
use transcript::import::{
    ImportError, ImportOptions, MAX_FILE_BYTES, Outcome, ReferenceConversation, find,
};

const HEX: &str = "2f34c5cd31d64dcfacdfcf89c5641e99";
const EVENTS: usize = 32;

/// A copy of the recorded conversation that a test may spoil, and a store beside it.
struct Scene {
    root: TempDir,
}

impl Scene {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let to = root.path().join("theirs").join(HEX);
        fs::create_dir_all(to.join("events")).unwrap();
        let from = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/transcript/fixtures/reference")
            .join(HEX);
        for folder in ["", "events"] {
            for entry in fs::read_dir(from.join(folder)).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_file() {
                    fs::copy(entry.path(), to.join(folder).join(entry.file_name())).unwrap();
                }
            }
        }
        Self { root }
    }

    fn theirs(&self) -> PathBuf {
        self.root.path().join("theirs").join(HEX)
    }

    fn ours(&self) -> PathBuf {
        self.root.path().join("ours")
    }

    /// The files of events, by number.
    fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = fs::read_dir(self.theirs().join("events"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| {
                path.extension()
                    .is_some_and(|extension| extension == "json")
            })
            .collect();
        files.sort();
        files
    }

    fn change(&self, file: &str, change: impl FnOnce(&mut Value)) {
        let path = self.theirs().join(file);
        let mut value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        change(&mut value);
        fs::write(path, value.to_string()).unwrap();
    }

    fn store(&self) -> FsStore {
        FsStore::open(&self.ours(), Options::default()).unwrap()
    }

    /// Where the conversation's tools may keep files.
    fn tools(&self) -> PathBuf {
        self.root.path().join("tools")
    }

    async fn import(&self, store: &FsStore) -> Result<Outcome, ImportError> {
        reference(&self.theirs())?
            .import(store, keep(self.tools()), |_| {})
            .await
    }
}

fn keep(folder: PathBuf) -> impl FnMut(&Path, &mut dyn Read) -> io::Result<()> + Send + 'static {
    move |name, content| {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap())?;
        io::copy(content, &mut fs::File::create(path)?).map(drop)
    }
}

fn reference(folder: &Path) -> Result<ReferenceConversation, ImportError> {
    ReferenceConversation::open(folder, &options())
}

fn options() -> ImportOptions<'static> {
    ImportOptions {
        open: &|text| text.strip_prefix("gAAAAA").map(str::to_owned),
        seal: &|settings| {
            visit_secrets(settings, &mut |secret| {
                if let Value::String(text) = secret {
                    *secret = format!("sealed {text}").into();
                }
            });
            Ok(())
        },
        agent: json!({"kind": "Agent", "llm": {"model": "configured", "api_key": "k"}}),
        llm: None,
        workspace: Workspace {
            working_dir: "/configured".to_owned(),
            kind: core_model::WorkspaceKind::LocalWorkspace,
        },
    }
}

fn id() -> ConversationId {
    HEX.parse().unwrap()
}

async fn all(store: &FsStore) -> Vec<Record> {
    let log = store.open_log(id()).await.unwrap();
    log.read(Seq(0), Limit::records(10_000)).await.unwrap()
}

#[tokio::test]
async fn a_recorded_conversation_comes_over_whole() {
    let scene = Scene::new();
    assert_eq!(find(&scene.theirs()).unwrap(), [scene.theirs()]);
    let theirs = scene.theirs();
    assert_eq!(find(theirs.parent().unwrap()).unwrap(), [scene.theirs()]);

    let store = scene.store();
    let told = AtomicUsize::new(0);
    let reference = reference(&scene.theirs()).unwrap();
    assert_eq!(
        (reference.id(), reference.title()),
        (id(), Some("Say hello"))
    );
    assert_eq!(reference.len(), EVENTS);
    let outcome = reference
        .import(&store, keep(scene.tools()), |read| {
            told.store(read, Ordering::Relaxed)
        })
        .await
        .unwrap();
    assert_eq!(told.into_inner(), EVENTS);
    assert_eq!((outcome.id, outcome.events, outcome.added), (id(), 32, 0));
    assert_eq!(outcome.left_out, []);
    assert_eq!(
        outcome.notices,
        [
            "a secret of its agent, such as the model's key, cannot be read and is left out",
            "the value of its secret `TOKEN` cannot be read and is left out",
            "its workspace /srv/project is not there; it is created when the agent works",
        ]
    );

    let files = scene.files();
    for (record, file) in all(&store).await.iter().zip(&files) {
        assert_eq!(record.bytes, fs::read(file).unwrap(), "{}", file.display());
    }
    let metadata = store.metadata(id()).await.unwrap();
    assert_eq!(metadata.title.as_deref(), Some("Say hello"));
    assert_eq!(
        metadata.created_at.to_string(),
        "2026-11-23T02:54:21.003841Z"
    );
    assert_eq!(metadata.workspace.working_dir, "/srv/project");
    assert_eq!(metadata.settings.max_iterations, 77);
    assert_eq!(
        metadata.settings.tags,
        [("team".to_owned(), "blue".to_owned())].into()
    );
    assert_eq!(
        metadata.settings.confirmation_policy,
        ConfirmationPolicy::AlwaysConfirm {}
    );
    assert!(!metadata.settings.autotitle);
    assert_eq!(
        metadata.settings.tool_module_qualnames["terminal"],
        "openhands.tools.terminal.definition"
    );
    assert_eq!(metadata.agent["llm"]["model"], "openai/fake");
    assert_eq!(metadata.agent["llm"]["api_key"], Value::Null);
    assert_eq!(
        metadata.agent["llm"]["extra_headers"]["X-Auth"],
        "sealed header-secret"
    );
    assert_eq!(
        metadata.settings.secrets["TOKEN"],
        json!({"description": "a token", "value": null, "kind": "StaticSecret"})
    );
    let snapshot = metadata.snapshot.unwrap();
    assert_eq!(snapshot.extent.len, Seq(32));
    assert_eq!(snapshot.state.execution_status, ExecutionStatus::Idle);
    assert_eq!(snapshot.state.pending, []);
    assert_eq!(
        snapshot.state.stats.usage_to_metrics["agent"]
            .total
            .accumulated_cost,
        0.028794
    );
    assert_eq!(
        snapshot.state.stats.usage_to_metrics["agent"].costs.len(),
        6
    );
    let row = store.row(id()).await.unwrap().unwrap();
    assert_eq!(row.extent, snapshot.extent);
    assert_eq!(row.updated_at.to_string(), "2026-11-23T02:54:24.942663Z");
    // The agent's plan goes on where it was.
    let plan = fs::read_to_string(scene.tools().join("TASKS.json")).unwrap();
    assert!(plan.contains("in_progress"));
}

#[tokio::test]
async fn secrets_that_can_be_opened_are_sealed_anew_and_never_stay_plain() {
    let scene = Scene::new();
    scene.change("base_state.json", |state| {
        state["agent"]["llm"]["api_key"] = "gAAAAAsk-1".into();
        state["secret_registry"]["secret_sources"]["TOKEN"]["value"] = "gAAAAAtok".into();
        state["secret_registry"]["secret_sources"]["PLAIN"] = json!({"value": "visible"});
    });
    let store = scene.store();
    let outcome = scene.import(&store).await.unwrap();
    assert_eq!(outcome.notices.len(), 1, "{:?}", outcome.notices);
    let metadata = store.metadata(id()).await.unwrap();
    assert_eq!(metadata.agent["llm"]["api_key"], "sealed sk-1");
    assert_eq!(metadata.settings.secrets["TOKEN"]["value"], "sealed tok");
    assert_eq!(
        metadata.settings.secrets["PLAIN"]["value"],
        "sealed visible"
    );
}

#[tokio::test]
async fn without_a_way_to_seal_nothing_is_made() {
    let scene = Scene::new();
    let refusing = ImportOptions {
        seal: &|_| Err("no key".to_owned()),
        ..options()
    };
    let error = ReferenceConversation::open(&scene.theirs(), &refusing)
        .err()
        .unwrap();
    assert!(matches!(error, ImportError::Seal(_)), "{error}");
}

#[tokio::test]
async fn what_is_no_event_is_named_and_left_out_and_all_else_stays() {
    let scene = Scene::new();
    let files = scene.files();
    fs::write(&files[3], "").unwrap();
    fs::write(&files[4], "{\"id\": \"x\"").unwrap();
    fs::remove_file(&files[5]).unwrap();
    fs::copy(
        &files[6],
        scene
            .theirs()
            .join("events/event-00032-6d0e3a1c-0000-4000-8000-000000000000.json"),
    )
    .unwrap();
    let strange = r#"{ "id": "strange", "timestamp": "2026-11-23T03:00:00",
        "source": "agent", "kind": "HologramEvent", "n": 1.0e2, "u": "\u00fc" }"#;
    fs::write(
        scene.theirs().join("events/event-00033-strange.json"),
        strange,
    )
    .unwrap();
    fs::write(scene.theirs().join("events/notes.txt"), "mine").unwrap();
    fs::write(
        scene.theirs().join("events/event-00034-dirs.json.bak"),
        "{}",
    )
    .unwrap();

    let checked = reference(&scene.theirs())
        .unwrap()
        .check(|_| {})
        .await
        .unwrap();
    let store = scene.store();
    let outcome = scene.import(&store).await.unwrap();
    assert_eq!(checked.left_out, outcome.left_out);
    assert_eq!(checked.notices, outcome.notices);
    assert_eq!(
        (checked.events, checked.added),
        (outcome.events, outcome.added)
    );
    let reasons: Vec<(String, &str)> = outcome
        .left_out
        .iter()
        .map(|(path, reason)| {
            let name = path.file_name().unwrap().to_str().unwrap();
            (name[..11].to_owned(), reason.as_str())
        })
        .collect();
    assert_eq!(reasons[0], ("event-00003".to_owned(), "the file is empty"));
    assert!(reasons[1].1.contains("EOF"), "{reasons:?}");
    assert!(reasons[2].1.contains("came before"), "{reasons:?}");
    assert_eq!(reasons.len(), 3);
    for notice in [
        "event 5 is missing",
        "events/notes.txt",
        "event-00034-dirs.json.bak",
    ] {
        assert!(
            outcome.notices.iter().any(|told| told.contains(notice)),
            "{:?}",
            outcome.notices
        );
    }
    let records = all(&store).await;
    assert_eq!(records.len(), 31);
    assert_eq!(outcome.events, 30);
    // HEAD stays on the recorded event, although the strange one came after it.
    assert_eq!(outcome.added, 1);
    assert_eq!(
        records[29].bytes,
        r#"{"id":"strange","timestamp":"2026-11-23T03:00:00","source":"agent","kind":"HologramEvent","n":1.0e2,"u":"\u00fc"}"#
    );
}

#[tokio::test]
async fn what_only_the_settings_know_follows_as_state_updates() {
    let scene = Scene::new();
    scene.change("base_state.json", |state| {
        // Moved back to the first message, as the reference does without an event.
        state["leaf_event_id"] = "4979e750-bdc8-4801-8e14-94c5841e48af".into();
        state["execution_status"] = "paused".into();
        state["agent_state"] = json!({"k": 1});
    });
    let store = scene.store();
    let outcome = scene.import(&store).await.unwrap();
    assert_eq!((outcome.events, outcome.added), (32, 3));
    let records = all(&store).await;
    let added: Vec<Value> = records[32..]
        .iter()
        .map(|record| serde_json::from_slice(&record.bytes).unwrap())
        .collect();
    let changes: Vec<(&Value, &Value)> = added
        .iter()
        .map(|event| (&event["key"], &event["value"]))
        .collect();
    assert_eq!(
        changes,
        [
            (&json!("execution_status"), &json!("paused")),
            (&json!("agent_state"), &json!({"k": 1})),
            (
                &json!("leaf_event_id"),
                &json!("4979e750-bdc8-4801-8e14-94c5841e48af")
            ),
        ]
    );
    let times: Vec<_> = records.iter().map(|record| record.head.timestamp).collect();
    assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
    let state = store.metadata(id()).await.unwrap().snapshot.unwrap().state;
    assert_eq!(state.execution_status, ExecutionStatus::Paused);
    assert_eq!(
        state.leaf_event_id,
        Some("4979e750-bdc8-4801-8e14-94c5841e48af".into())
    );
}

#[tokio::test]
async fn an_id_that_exists_is_left_alone() {
    let scene = Scene::new();
    let store = scene.store();
    scene.import(&store).await.unwrap();
    let before = fs::read(scene.ours().join(id().to_string()).join("metadata.json")).unwrap();
    // Not even with more events than before.
    fs::write(
        scene.theirs().join("events/event-00032-x.json"),
        r#"{"id":"x","timestamp":"2026-11-23T03:00:00","source":"user","kind":"PauseEvent"}"#,
    )
    .unwrap();
    let error = scene.import(&store).await.unwrap_err();
    assert!(
        matches!(error, ImportError::Store(StoreError::Exists(found)) if found == id()),
        "{error}"
    );
    assert_eq!(all(&store).await.len(), EVENTS);
    assert_eq!(
        fs::read(scene.ours().join(id().to_string()).join("metadata.json")).unwrap(),
        before
    );
}

/// Killed after some lines: the metadata has no snapshot, the log only a part.
#[tokio::test]
async fn an_import_that_was_cut_short_goes_on() {
    let scene = Scene::new();
    scene.change("base_state.json", |state| {
        state["execution_status"] = "paused".into()
    });
    let store = scene.store();
    scene.import(&store).await.unwrap();
    let whole = all(&store).await;
    assert_eq!(whole.len(), EVENTS + 1);
    let metadata = store.metadata(id()).await.unwrap();
    for lines in [0, 1, 17, EVENTS, EVENTS + 1] {
        store.delete(id()).await.unwrap();
        let unfinished = core_model::Metadata {
            snapshot: None,
            ..metadata.clone()
        };
        store.create(&unfinished).await.unwrap();
        put(&store, &whole[..lines]).await;
        let outcome = scene.import(&store).await.unwrap();
        assert_eq!((outcome.events, outcome.added), (32, 1), "after {lines}");
        assert_eq!(all(&store).await, whole, "after {lines}");
        assert_eq!(store.metadata(id()).await.unwrap(), metadata);
    }

    // But not when someone wrote into it meanwhile.
    let other = &whole[20..21];
    for stored in [[&whole[..3], other].concat(), [&whole[..], other].concat()] {
        store.delete(id()).await.unwrap();
        let unfinished = core_model::Metadata {
            snapshot: None,
            ..metadata.clone()
        };
        store.create(&unfinished).await.unwrap();
        put(&store, &stored).await;
        let error = scene.import(&store).await.unwrap_err();
        assert!(
            matches!(error, ImportError::Store(StoreError::Exists(_))),
            "{error}"
        );
        assert_eq!(all(&store).await.len(), stored.len());
    }
}

async fn put(store: &FsStore, records: &[Record]) {
    let log = store.open_log(id()).await.unwrap();
    let records = records
        .iter()
        .map(|record| core_model::NewRecord {
            head: record.head.clone(),
            bytes: record.bytes.clone(),
        })
        .collect();
    log.append(records, None).await.unwrap();
}

#[tokio::test]
async fn lost_settings_do_not_lose_the_events() {
    for (lost, title, model) in [
        ("base_state.json", Some("Say hello"), "configured"),
        ("meta.json", None, "openai/fake"),
    ] {
        for content in [None, Some(""), Some("[1]")] {
            let scene = Scene::new();
            match content {
                None => fs::remove_file(scene.theirs().join(lost)).unwrap(),
                Some(content) => fs::write(scene.theirs().join(lost), content).unwrap(),
            }
            let store = scene.store();
            let outcome = scene.import(&store).await.unwrap();
            assert!(
                outcome.notices.iter().any(|told| told.contains(lost)),
                "{:?}",
                outcome.notices
            );
            assert_eq!((outcome.id, outcome.events), (id(), 32));
            let metadata = store.metadata(id()).await.unwrap();
            assert_eq!(metadata.title.as_deref(), title);
            assert_eq!(metadata.agent["llm"]["model"], model);
            assert_eq!(metadata.workspace.working_dir, "/srv/project");
        }
    }
}

#[tokio::test]
async fn a_given_model_takes_the_place_of_the_agents_own() {
    let scene = Scene::new();
    let with_model = ImportOptions {
        llm: Some(json!({"model": "mine", "api_key": "k"})),
        ..options()
    };
    let store = scene.store();
    let reference = ReferenceConversation::open(&scene.theirs(), &with_model).unwrap();
    reference
        .import(&store, keep(scene.tools()), |_| {})
        .await
        .unwrap();
    let agent = store.metadata(id()).await.unwrap().agent;
    assert_eq!(
        agent["llm"],
        json!({"model": "mine", "api_key": "sealed k"})
    );
    assert_eq!(agent["tools"][0]["name"], "terminal");
}

#[test]
fn a_folder_without_conversations_says_what_was_expected() {
    let folder = tempfile::tempdir().unwrap();
    let error = find(folder.path()).unwrap_err();
    assert!(error.to_string().contains("base_state.json"), "{error}");
    let error = find(&folder.path().join("nowhere")).unwrap_err();
    assert!(matches!(error, ImportError::Io { .. }), "{error}");
}

#[test]
fn a_running_reference_server_is_named() {
    let scene = Scene::new();
    let lease = json!({"expires_at": 4e9, "owner_host": "builder", "owner_pid": 4711});
    fs::write(scene.theirs().join("owner_lease.json"), lease.to_string()).unwrap();
    let reference = reference(&scene.theirs()).unwrap();
    assert!(
        reference
            .notices()
            .iter()
            .any(|told| told.contains("process 4711 on builder")),
        "{:?}",
        reference.notices()
    );
}

#[tokio::test]
async fn a_folder_in_use_names_its_holder() {
    let scene = Scene::new();
    let _held = scene.store();
    let error = FsStore::open(&scene.ours(), Options::default())
        .err()
        .unwrap();
    assert!(
        matches!(error, OpenError::Locked { pid: Some(_), .. }),
        "{error}"
    );
}

/// The folder may come from anybody. Each of these would never end, or never begin.
#[tokio::test]
async fn what_is_no_file_is_named_and_not_followed() {
    let scene = Scene::new();
    let theirs = scene.theirs();
    let fifo = |path: &Path| nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let files = scene.files();
    for (number, replace) in [
        &(|path: &Path| symlink("/dev/zero", path).unwrap()) as &dyn Fn(&Path),
        &fifo,
        &|path| symlink(path, path).unwrap(),
        &|path| fs::create_dir(path).unwrap(),
        // One byte more than is read of any file; it takes no room on the disk.
        &|path| {
            fs::File::create(path)
                .unwrap()
                .set_len(MAX_FILE_BYTES + 1)
                .unwrap()
        },
    ]
    .into_iter()
    .enumerate()
    {
        fs::remove_file(&files[number]).unwrap();
        replace(&files[number]);
    }
    for (name, replace) in [
        (
            "meta.json",
            &(|path: &Path| symlink("/dev/zero", path).unwrap()) as &dyn Fn(&Path),
        ),
        ("owner_lease.json", &fifo),
    ] {
        fs::remove_file(theirs.join(name)).ok();
        replace(&theirs.join(name));
    }
    let observations = theirs.join("observations");
    fs::create_dir(&observations).unwrap();
    fs::write(observations.join("a.txt"), "kept").unwrap();
    symlink("/dev/zero", observations.join("b.txt")).unwrap();
    fifo(&observations.join("c.txt"));
    fs::write(observations.join("d.txt"), "kept too").unwrap();
    fs::remove_file(theirs.join("TASKS.json")).unwrap();
    symlink("/dev/zero", theirs.join("TASKS.json")).unwrap();

    let store = scene.store();
    let outcome = scene.import(&store).await.unwrap();
    assert_eq!(outcome.events, EVENTS as u64 - 5);
    let left_out: Vec<(&Path, &str)> = outcome
        .left_out
        .iter()
        .map(|(path, reason)| (path.as_path(), reason.as_str()))
        .collect();
    let too_long = format!("it has more than {MAX_FILE_BYTES} bytes");
    let reasons = [
        "it is a link, not a file",
        "it is a pipe, not a file",
        "it is a link, not a file",
        "it is a folder, not a file",
        &too_long,
    ];
    let expected: Vec<(&Path, &str)> = files.iter().map(PathBuf::as_path).zip(reasons).collect();
    assert_eq!(left_out, expected);
    for notice in [
        "`meta.json` cannot be read (it is a link, not a file)",
        "`TASKS.json` cannot be copied: it is a link, not a file",
    ] {
        assert!(
            outcome.notices.iter().any(|said| said == notice),
            "{:?}",
            outcome.notices
        );
    }
    let copied = scene.tools().join("observations");
    let mut names: Vec<_> = fs::read_dir(copied)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["a.txt", "d.txt"]);
}
