//! A conversation as an archive.

use reqwest::Method;
use test_support::TestServer;

fn count(bytes: &[u8], part: &[u8]) -> usize {
    bytes
        .windows(part.len())
        .filter(|window| *window == part)
        .count()
}

#[tokio::test]
async fn a_conversation_comes_as_an_archive_of_its_events() {
    let server = TestServer::start().await;
    let id = server.create_running("$ echo hello").await;
    server.wait_for(&id, "finished").await;
    let folder = id.replace('-', "");
    let events = server.events(&id).await;
    for prefix in ["", "/api"] {
        let path = format!("{prefix}/file/download-trajectory/{id}");
        let answer = server.request(Method::GET, &path).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("content-type"), "application/octet-stream");
        let named = format!("attachment; filename=\"{folder}.zip\"");
        assert_eq!(header("content-disposition"), named);
        let archive = answer.bytes().await.unwrap();
        assert!(archive.starts_with(b"PK\x03\x04"));
        let listed = count(&archive, b"PK\x01\x02");
        assert!(listed >= events.len() + 2, "{listed} of {}", events.len());
        for (at, event) in events.iter().enumerate() {
            let event = event["id"].as_str().unwrap();
            let name = format!("{folder}/events/event-{at:05}-{event}.json");
            assert_eq!(count(&archive, name.as_bytes()), 2, "{name}");
        }
        let head = server.request(Method::HEAD, &path).send().await.unwrap();
        assert_eq!(head.status(), 200);
        let unknown = format!(
            "{prefix}/file/download-trajectory/{}",
            folder.replace('4', "5")
        );
        let answer = server.request(Method::GET, &unknown).send().await.unwrap();
        assert_eq!(answer.status(), 404);
    }
}
