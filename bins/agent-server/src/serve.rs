//! The command `serve`.

use std::{io, net::IpAddr, process::ExitCode, time::Duration};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tracing::{debug, info, warn};
use workspace::Processes;

use crate::{
    config::{self, Loaded, Settings},
    ephemeral,
    flags::Flags,
    listener::{self, is_open_to_others},
    log_output::{self, FlushOnDrop},
    memory, own_environment,
    server::{Server, tool_processes},
    signals::Signals,
    start_error::StartError,
};

/// Threads that run agents; waiting needs no thread.
const AGENT_THREADS: usize = 2;
const MAX_BLOCKING_THREADS: usize = 64;
/// How long the end waits for file work that is still under way.
const BLOCKING_TASKS_TIMEOUT: Duration = Duration::from_millis(300);

/// The limit on open files is not raised above this: programs that agents start inherit the limit, and
/// some go through every number below it.
const MAX_OPEN_FILES: u64 = 65_536;

/// How long after the start the server looks for processes that an earlier one left.
const LEFTOVERS_DELAY: Duration = Duration::from_millis(250);

/// The exit code that shells use for a program that Ctrl-C killed.
const KILLED_BY_INTERRUPT: u8 = 130;

/// Serves until SIGTERM, SIGHUP or Ctrl-C, then stops cleanly. A second Ctrl-C ends it at once.
///
/// # Errors
/// A [`StartError`] that says what to do.
pub fn run(flags: &Flags) -> Result<ExitCode, StartError> {
    let (mut loaded, _log) = load_and_log(flags, &crate::environment())?;
    log_configuration(&loaded);
    let temporary = ephemeral::prepare(&mut loaded)?;
    allow_many_files();
    let processes = adopting_processes(&loaded.settings);
    let tokio = agent_threads()?;
    let outcome = tokio.block_on(serve(&loaded.settings, flags, &processes));
    tokio.shutdown_timeout(BLOCKING_TASKS_TIMEOUT);
    // whatever did not end in time, or was not waited for
    processes.end_all();
    if let Some(folder) = temporary {
        folder.remove();
    }
    outcome
}

/// Loads the configuration, hides its keys from other programs, and starts the log.
///
/// # Errors
/// When the configuration cannot be used, or the log cannot be written.
pub(crate) fn load_and_log(
    flags: &Flags,
    environment: &[(String, String)],
) -> Result<(Loaded, FlushOnDrop), StartError> {
    let forbidden = own_environment::forbid_reading();
    let loaded = config::load(&flags.overrides, environment)?;
    if loaded.settings.ephemeral && (flags.reload || flags.supervised) {
        return Err(StartError::EphemeralReload);
    }
    // before anything starts a thread
    let hidden = forbidden.and_then(|()| own_environment::hide(&loaded));
    let log = log_output::to_stdout(loaded.settings.log_format, &loaded.settings.log_level)
        .map_err(StartError::Log)?;
    warn_of_keys_in_sight(hidden);
    Ok((loaded, log))
}

pub(crate) fn warn_of_keys_in_sight(hidden: io::Result<()>) {
    if let Err(error) = hidden {
        warn!("what agents start can read this server's keys: {error}");
    }
}

/// How tools start processes here: this process becomes the parent of those that lose their shell, and ends
/// them.
pub(crate) fn adopting_processes(settings: &Settings) -> Processes {
    let processes = tool_processes(settings);
    if let Err(error) = processes.adopt_orphans() {
        warn!("daemons that agents start may outlive their conversation: {error}");
    }
    processes
}

/// Ends processes that an earlier server left, and from now on those that lose their shell.
fn end_leftovers_and_orphans(processes: &Processes) {
    let earlier = processes.clone();
    tokio::spawn(async move {
        // It looks through all processes, so the first requests come first.
        tokio::time::sleep(LEFTOVERS_DELAY).await;
        // one that panics has ended what it could
        tokio::task::spawn_blocking(move || earlier.end_leftovers())
            .await
            .ok();
    });
    let orphans = processes.clone().watch_orphans();
    tokio::spawn(async {
        if let Err(error) = orphans.await {
            warn!("daemons that agents start may outlive their conversation: {error}");
        }
    });
}

/// Sockets, logs and terminals each take a file descriptor, and many systems start a process with
/// no more than 1,024: raises the limit as far as is allowed, within reason.
fn allow_many_files() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        let wanted = hard.min(MAX_OPEN_FILES).max(soft);
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard)
    });
    if let Err(error) = raised {
        warn!(%error, "the limit on open files stays as it was");
    }
}

/// The tokio runtime that agents run on.
///
/// # Errors
/// When the system cannot start threads.
pub fn agent_threads() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(AGENT_THREADS)
        .max_blocking_threads(MAX_BLOCKING_THREADS)
        .thread_name("agents")
        .enable_all()
        .build()
}

async fn serve(
    settings: &Settings,
    flags: &Flags,
    processes: &Processes,
) -> Result<ExitCode, StartError> {
    let mut signals = Signals::listen()?;
    let listener = if flags.supervised {
        end_with_supervisor();
        listener::take_over()?
    } else {
        listener::bind(&settings.host, settings.port)?
    };
    let mut server = Server::start(settings, listener, flags.resume, processes.clone()).await?;
    announce(&server, settings);
    tokio::spawn(memory::give_back());
    end_leftovers_and_orphans(processes);

    tokio::select! {
        signal = signals.next() => info!("{signal}: stopping"),
        ended = server.ended() => {
            ended?;
            return Ok(ExitCode::FAILURE);
        }
    }
    tokio::select! {
        () = server.stop() => {
            log_counts();
            info!("stopped");
            Ok(ExitCode::SUCCESS)
        }
        () = signals.interrupted() => {
            warn!("second Ctrl-C: leaving at once");
            Ok(ExitCode::from(KILLED_BY_INTERRUPT))
        }
    }
}

fn log_counts() {
    let counts = &telemetry::COUNTS;
    debug!(
        requests = counts.requests.get(),
        failed_requests = counts.failed_requests.get(),
        turns = counts.turns.get(),
        failed_turns = counts.failed_turns.get(),
        model_calls = counts.model_calls.get(),
        failed_model_calls = counts.failed_model_calls.get(),
        input_tokens = counts.input_tokens.get(),
        output_tokens = counts.output_tokens.get(),
        tool_calls = counts.tool_calls.get(),
        failed_tool_calls = counts.failed_tool_calls.get(),
        "counts since the start"
    );
}

fn log_configuration(loaded: &Loaded) {
    info!("agent-server {} starts", env!("CARGO_PKG_VERSION"));
    if !loaded.file.exists() {
        info!("no configuration file at {}", loaded.file.display());
    }
    for (source, keys) in loaded.sources() {
        info!("configuration from {source}: {}", keys.join(", "));
    }
    for notice in &loaded.notices {
        warn!("{notice}");
    }
    let settings = &loaded.settings;
    if !settings.ephemeral {
        info!("conversations in {}", settings.conversations_path.display());
    }
    info!("default model {}", settings.llm.model);
}

fn announce(server: &Server, settings: &Settings) {
    let address = server.address();
    if is_open_to_others(address.ip()) && settings.keys().next().is_none() {
        warn!(
            "ANYONE WHO REACHES {address} CAN RUN COMMANDS ON THIS MACHINE: no session_api_key is \
             set. Set SESSION_API_KEY, or listen on this machine only with --host 127.0.0.1"
        );
    }
    info!("listening on http://{address}");
    let name = match address.ip() {
        ip if ip.is_unspecified() => "localhost".to_owned(),
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    info!("documentation at http://{name}:{}/docs", address.port());
}

/// Makes the system stop this process when its supervisor ends, in whatever way.
fn end_with_supervisor() {
    #[cfg(target_os = "linux")]
    if let Err(error) = nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGTERM) {
        warn!("a supervisor that is killed will leave this server behind: {error}");
    }
}
