//! The command `demo`: starts the real server on a free loopback port, uses it as any client would, over
//! REST and WebSocket, and prints what happens.

mod client;
mod error;
mod printer;
mod screen;
mod task;
mod verdict;

use std::{
    fs::{self, File},
    path::Path,
    process::ExitCode,
    time::Duration,
};

use core_model::ExecutionStatus;
use tokio::time::{Instant, interval, timeout_at};
use uuid::Uuid;

use crate::{
    cli::DemoArgs,
    config::{self, Secret, Settings},
    listener, log_output, own_environment,
    serve::{adopting_processes, agent_threads, warn_of_keys_in_sight},
    server::Server,
    start_error::StartError,
};

use client::Client;
use error::DemoError;
use screen::Screen;
use task::Task;
use verdict::Seen;

/// How long the demonstration waits for the next event.
const EVENT_TIMEOUT: Duration = Duration::from_secs(600);
const SPINNER_STEP: Duration = Duration::from_millis(100);

/// Runs the demonstration. Exits with 0 when the agent finished and everything it did is there.
#[must_use]
pub fn run(args: &DemoArgs) -> ExitCode {
    let mut screen = Screen::on_stdout();
    match demonstrate(args, &mut screen) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            screen.failure(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn demonstrate(args: &DemoArgs, screen: &mut Screen) -> Result<(), DemoError> {
    let forbidden = own_environment::forbid_reading();
    let variables = crate::environment();
    let loaded = config::load_without_webhooks(&config::Overrides::default(), &variables)
        .map_err(DemoError::start)?;
    // before anything starts a thread
    let hidden = forbidden.and_then(|()| own_environment::hide(&loaded));
    let folder = match &args.keep {
        Some(folder) => std::path::absolute(folder)?,
        None => std::env::temp_dir().join(format!("agent-server-demo-{}", Uuid::new_v4().simple())),
    };
    let settings = settings_in(&folder, loaded.settings);
    let task = Task::choose(args.task.as_deref(), &settings)?;
    let log_file = folder.join("server.log");
    let log = fs::create_dir_all(&settings.workspace_path)
        .and_then(|()| File::create(&log_file))
        .map_err(|error| DemoError::start(StartError::not_writable(&folder, error)))?;
    let _log = log_output::to_file(log, &settings.log_level).map_err(DemoError::Log)?;

    warn_of_keys_in_sight(hidden);
    let processes = adopting_processes(&settings);

    let threads = agent_threads()?;
    let outcome = threads.block_on(async {
        let listener = listener::bind(&settings.host, settings.port).map_err(DemoError::start)?;
        let server = Server::start(&settings, listener, false, processes.clone())
            .await
            .map_err(DemoError::start)?;
        screen.title(&format!(
            "agent-server on http://{}; every step below goes through its REST and WebSocket API",
            server.address()
        ));
        let outcome = tokio::select! {
            outcome = converse(&server, &settings, &task, screen) => outcome,
            _ = tokio::signal::ctrl_c() => Err(DemoError::Interrupted),
        };
        server.stop().await;
        outcome
    });
    threads.shutdown_timeout(Duration::from_millis(300));
    processes.end_all();
    let shown = outcome.and_then(|seen| {
        let log = seen.log(&settings);
        verdict::show_files(&settings.workspace_path, screen)?;
        screen.note(&format!("log of events   {}", log.display()));
        screen.note(&format!("server's log    {}", log_file.display()));
        seen.judge(&settings, &task)
    });
    if shown.is_ok() {
        screen.success("the agent finished its task");
    }
    show_folder(args, &folder, screen);
    shown
}

/// The user's configuration, on a free port of this machine and in a workspace of its own. A key
/// keeps other users of the machine out.
fn settings_in(folder: &Path, base: Settings) -> Settings {
    Settings {
        host: "127.0.0.1".to_owned(),
        port: 0,
        session_api_key: Some(Secret::from(Uuid::new_v4().to_string())),
        session_api_keys: Vec::new(),
        conversations_path: folder.join("conversations"),
        workspace_path: folder.join("project"),
        bash_events_dir: folder.join("bash_events"),
        webhooks: Vec::new(),
        ..base
    }
}

/// Creates a conversation, listens, sends the task, and prints until the run is over.
async fn converse(
    server: &Server,
    settings: &Settings,
    task: &Task,
    screen: &mut Screen,
) -> Result<Seen, DemoError> {
    let key = settings.keys().next().unwrap_or_default();
    let client = Client::new(server.address(), key)?;
    let id = client.create(&settings.workspace_path).await?;
    screen.note(&format!("POST /conversations                → {id}"));
    let mut socket = client.listen(&id).await?;
    screen.note("WebSocket …/events/socket          → open");
    client.send(&id, task.text()).await?;
    screen.note("POST /conversations/{id}/events    → sent the task");

    let mut seen = Seen::new(id);
    let mut spinner = interval(SPINNER_STEP);
    let mut deadline = Instant::now() + EVENT_TIMEOUT;
    loop {
        let event = tokio::select! {
            event = timeout_at(deadline, socket.next()) => event.map_err(|_| DemoError::NoEvents)??,
            _ = spinner.tick() => {
                screen.spin();
                continue;
            }
        };
        deadline = Instant::now() + EVENT_TIMEOUT;
        screen.event(&event);
        match seen.take(&event) {
            None | Some(ExecutionStatus::Idle | ExecutionStatus::Running) => {}
            Some(
                ExecutionStatus::Paused
                | ExecutionStatus::WaitingForConfirmation
                | ExecutionStatus::Finished
                | ExecutionStatus::Error
                | ExecutionStatus::Stuck
                | ExecutionStatus::Deleting,
            ) => break,
        }
    }
    socket.close().await;
    seen.missed = client.missing(&seen).await?;
    Ok(seen)
}

fn show_folder(args: &DemoArgs, folder: &Path, screen: &mut Screen) {
    if folder.exists() {
        let hint = match args.keep {
            Some(_) => "",
            None => " (stays there; --keep DIR chooses the folder)",
        };
        screen.note(&format!("all of it       {}{hint}", folder.display()));
    }
}
