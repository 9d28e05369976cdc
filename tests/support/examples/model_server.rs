//! The checking model server on a port of its own, for clients that others wrote: prints its address,
//! answers every request with thoughts, words and two calls, and ends when its input does.
use std::io::Read;

use serde_json::json;
use test_support::model_server::{ModelServer, Part, Reply};

fn main() -> std::io::Result<()> {
    let server = ModelServer::answering(|_| {
        Reply::Parts(vec![
            Part::HiddenReasoning,
            Part::Reasoning("Grüße zuerst.".to_owned()),
            Part::Text("Ich fange an: ü".to_owned()),
            Part::call("terminal", json!({"command": "echo ü"})),
            Part::call("terminal", json!({"command": "ls"})),
        ])
    });
    println!("{}", server.base_url);
    std::io::stdin().read_to_end(&mut Vec::new())?;
    for violation in server.violations() {
        eprintln!("{violation}");
    }
    Ok(())
}
