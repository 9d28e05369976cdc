//! Where log lines go: standard output, or a file.

use std::{
    fs::File,
    io::{self, IsTerminal},
    sync::Mutex,
};

use tracing_subscriber::{
    EnvFilter, Layer, layer::SubscriberExt, registry, util::SubscriberInitExt,
};

use crate::config::LogFormat;

/// Of these, only what goes wrong, and of that not what clients do: those that speak no HTTP.
const QUIET: &str =
    "actix_server=warn,actix_http=warn,actix_http::h1=off,actix_web=warn,hyper=warn,reqwest=warn";

/// Sends log lines to standard output. `RUST_LOG` outranks `level`, which is a level or a filter.
/// Does nothing when a subscriber is already in place.
///
/// # Errors
/// When the filter cannot be read.
pub fn to_stdout(format: LogFormat, level: &str) -> Result<(), String> {
    let ansi = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let lines = tracing_subscriber::fmt::layer().with_ansi(ansi);
    install(match format {
        LogFormat::Text => lines.with_filter(filter(level)?).boxed(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_filter(filter(level)?)
            .boxed(),
    });
    Ok(())
}

/// Sends log lines to a file.
///
/// # Errors
/// When the filter cannot be read.
pub fn to_file(file: File, level: &str) -> Result<(), String> {
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(Mutex::new(file));
    install(lines.with_filter(filter(level)?).boxed());
    Ok(())
}

/// # Errors
/// When `level` is no filter.
pub fn check(level: &str) -> Result<(), String> {
    filter(level).map(drop)
}

fn install(layer: Box<dyn Layer<tracing_subscriber::Registry> + Send + Sync>) {
    // A second subscriber in one process is a test's; the first one stays.
    registry().with(layer).try_init().ok();
}

fn filter(level: &str) -> Result<EnvFilter, String> {
    let directives = match std::env::var("RUST_LOG") {
        Ok(directives) if !directives.trim().is_empty() => directives,
        Ok(_) | Err(_) => format!("{QUIET},{level}"),
    };
    EnvFilter::try_new(&directives).map_err(|error| format!("log filter `{directives}`: {error}"))
}
