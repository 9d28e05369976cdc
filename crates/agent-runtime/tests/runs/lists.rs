//! What lists show, from what the store has ready.

use agent_runtime::{Listed, NewConversation};
use core_model::{Agent, Catalog, Claims, ConversationSettings, ExecutionStatus, port::Claimed};
use serde_json::json;
use store_fs::FsStore;

use crate::harness::*;

#[tokio::test(flavor = "multi_thread")]
async fn what_the_store_has_ready_for_lists_is_what_they_would_show_without() {
    let skills = json!([{"name": "long", "content": "the text"}]);
    let mut agent = json!({
        "kind": "Agent", "llm": {"model": "scripted", "api_key": "llm-secret"}, "tools": [],
        "agent_context": {"skills": skills},
    });
    let known: Agent = serde_json::from_value(agent.clone()).unwrap();
    let world = World::new(vec![Line::Say("done")]).await;
    let full = NewConversation {
        agent: Some(known),
        settings: ConversationSettings {
            tags: [("team".to_owned(), "blue".to_owned())].into(),
            secrets: [("TOKEN".to_owned(), json!({"value": "token-secret"}))]
                .into_iter()
                .collect(),
            ..ConversationSettings::default()
        },
        ..NewConversation::default()
    };
    let mut ids = Vec::new();
    for new in [NewConversation::default(), full] {
        ids.push(world.conversation(new).await.id());
    }
    let ran = world.conversation(NewConversation::default()).await;
    say(&ran, "run").await;
    until(&ran, ExecutionStatus::Finished).await;
    ids.push(ran.id());
    let odd = world.conversation(NewConversation::default()).await.id();
    ids.push(odd);
    drop(ran);
    let World {
        runtime,
        puppet,
        folder,
        ..
    } = world;
    runtime.shut_down(GIVE_UP).await;
    drop(runtime);
    let root = folder.path().join("conversations");
    {
        // Settings of a kind that this build does not know, and a title.
        let store = FsStore::open(&root, Default::default()).unwrap();
        let mut metadata = store.metadata(odd).await.unwrap();
        agent["kind"] = json!("AgentOfTomorrow");
        (metadata.agent, metadata.title) = (agent, Some("\"Odd\" – ü".to_owned()));
        let Claimed::Mine(mut claim) = store.claim(odd).await.unwrap() else {
            panic!("the folder is ours");
        };
        claim.log.set_metadata(&metadata).await.unwrap();
    }
    std::fs::remove_file(root.join(".infos")).unwrap();
    let runtime = start(&folder, &puppet, 1).await;

    for round in ["made anew", "kept"] {
        let ready = runtime.listed(&ids, false).await.unwrap();
        let read = runtime.infos(&ids).await.unwrap();
        for (ready, read) in ready.into_iter().zip(read) {
            assert!(matches!(ready, Some(Listed::Json(_))), "{round}: {ready:?}");
            let ready = ready.unwrap().json().unwrap();
            let read = serde_json::to_string(&read.unwrap().listed()).unwrap();
            assert_eq!(String::from_utf8_lossy(&ready), read, "{round}");
            assert!(
                !read.contains("-secret") && !read.contains("the text"),
                "{read}"
            );
        }
        let infos = runtime.listed(&ids, true).await.unwrap();
        assert!(
            infos
                .iter()
                .all(|info| matches!(info, Some(Listed::Info(_))))
        );
    }
}
