//! Workspaces become git repositories, but for places where one would do harm.

use std::{fs, path::Path};

use serde_json::json;

use crate::support::{Running, agent_server, parts};

fn begin(server: &Running, working_dir: &Path) {
    let body = json!({"workspace": {"working_dir": working_dir}}).to_string();
    let answer = server.post("/conversations", &body);
    let (status, body) = parts(&answer).unwrap();
    assert_eq!(status, 201, "{body}");
}

#[test]
fn a_home_folder_becomes_no_repository_and_a_project_in_it_does() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    fs::create_dir(&home).unwrap();
    std::os::unix::fs::symlink(&home, folder.path().join("link")).unwrap();
    let server = Running::start(
        agent_server(folder.path())
            .args(["--host", "127.0.0.1", "--port", "0"])
            .env("HOME", &home),
    );
    let begin = |working_dir: &Path| begin(&server, working_dir);
    for same in ["home", "link", "home/../home", "home/."] {
        begin(&folder.path().join(same));
    }
    assert_eq!(fs::read_dir(&home).unwrap().count(), 0);

    begin(&home.join("project"));
    assert!(home.join("project/.git").is_dir());
    // What is there already is left as it is.
    fs::write(home.join("project/.git/description"), "mine").unwrap();
    begin(&home.join("project/below"));
    begin(&home.join("project/.git"));
    assert!(!home.join("project/below/.git").exists());
    assert!(!home.join("project/.git/.git").exists());
    let description = fs::read_to_string(home.join("project/.git/description")).unwrap();
    assert_eq!(description, "mine");
}

#[test]
fn a_server_that_a_hook_of_git_started_makes_repositories_in_workspaces() {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = folder.path().join("elsewhere");
    let server = Running::start(
        agent_server(folder.path())
            .args(["--host", "127.0.0.1", "--port", "0"])
            .env("GIT_DIR", &elsewhere),
    );
    begin(&server, &folder.path().join("project"));
    assert!(folder.path().join("project/.git").is_dir());
    assert!(!elsewhere.exists());
}
