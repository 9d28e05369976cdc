//! Where log lines go: standard output, or a file. Nothing waits for them to be written.

mod line_queue;

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    fs::File,
    io::{self, IsTerminal},
    os::fd::AsFd,
    panic,
    sync::Arc,
    time::Duration,
};

use tracing_subscriber::{
    EnvFilter, Layer, filter::LevelFilter, layer::SubscriberExt, registry, util::SubscriberInitExt,
};

use telemetry::SPANS;

use crate::config::LogFormat;
use line_queue::{LineQueue, MAX_WAITING_BYTES};

/// Of these only warnings and errors, without those about clients that do not send HTTP.
const QUIET: &str =
    "actix_server=warn,actix_http=warn,actix_http::h1=off,actix_web=warn,hyper=warn,reqwest=warn";

/// How long the end of the program waits for the last lines.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Writes the lines that still wait when it is dropped, if they can be written within a second.
#[must_use = "dropping it writes the last lines"]
pub struct FlushOnDrop(Arc<LineQueue>);

impl Drop for FlushOnDrop {
    fn drop(&mut self) {
        self.0.flush(FLUSH_TIMEOUT);
    }
}

/// Sends log lines and panics to standard output. `RUST_LOG` overrides `level`, which is a level or a
/// filter. Does nothing when there is already a subscriber.
///
/// # Errors
/// When the filter cannot be read, or the system gives no thread.
pub fn to_stdout(format: LogFormat, level: &str) -> Result<FlushOnDrop, String> {
    let ansi = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let (flush, installed) = start(duplicate(io::stdout())?, level, ansi, format)?;
    if installed {
        log_panics();
    }
    Ok(flush)
}

/// Sends log lines to standard error.
///
/// # Errors
/// As [`to_stdout`].
pub fn to_stderr(level: &str) -> Result<FlushOnDrop, String> {
    to_file(duplicate(io::stderr())?, level)
}

/// Sends log lines to a file.
///
/// # Errors
/// As [`to_stdout`].
pub fn to_file(file: File, level: &str) -> Result<FlushOnDrop, String> {
    let (flush, _) = start(file, level, false, LogFormat::Text)?;
    Ok(flush)
}

/// # Errors
/// When `level` is not a valid filter.
pub fn check(level: &str) -> Result<(), String> {
    filter(level).map(drop)
}

fn duplicate(stream: impl AsFd) -> Result<File, String> {
    let own = stream.as_fd().try_clone_to_owned();
    own.map(File::from).map_err(|error| error.to_string())
}

/// Whether this is the process's log now: a second one in one process is a test's, and the first one stays.
fn start(
    out: File,
    level: &str,
    ansi: bool,
    format: LogFormat,
) -> Result<(FlushOnDrop, bool), String> {
    let filter = filter(level)?;
    let queue = LineQueue::start(out, MAX_WAITING_BYTES, |lines| {
        tracing::warn!(
            lines,
            "log lines were dropped: what reads them was too slow, or they could not be written"
        );
    })
    .map_err(|error| format!("no thread for the log: {error}"))?;
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(ansi)
        .with_writer(Arc::clone(&queue));
    let layer = match format {
        LogFormat::Text => lines.with_filter(filter).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_filter(filter).boxed(),
    };
    let installed = registry().with(layer).try_init().is_ok();
    Ok((FlushOnDrop(queue), installed))
}

/// Logs panics. Standard error may be a pipe that nobody reads, and a thread that panics must not wait for it.
fn log_panics() {
    panic::set_hook(Box::new(|panic| {
        let backtrace = Backtrace::capture();
        let backtrace = (backtrace.status() == BacktraceStatus::Captured)
            .then(|| tracing::field::display(backtrace));
        tracing::error!(
            reason = panic.payload_as_str().unwrap_or("unknown"),
            place = panic.location().map(tracing::field::display),
            backtrace,
            "a fault of the program: a panic"
        );
    }));
}

fn filter(level: &str) -> Result<EnvFilter, String> {
    let configured = checked("log_level", level).map(|()| format!("{QUIET},{level}"))?;
    let directives = match std::env::var("RUST_LOG") {
        Ok(directives) if !directives.trim().is_empty() => {
            checked("RUST_LOG", &directives)?;
            directives
        }
        Ok(_) | Err(_) => configured,
    };
    // Spans are not part of log lines.
    EnvFilter::try_new(format!("{SPANS}=off,{directives}")).map_err(|error| error.to_string())
}

/// Refuses a filter that cannot be read, and a word that is no level: it would be taken for the name of a
/// module, and silence all others.
fn checked(setting: &str, text: &str) -> Result<(), String> {
    let wrong = |why: String| format!("at `{setting}`: {why}");
    let is_level = |word: &str| word.parse::<LevelFilter>().is_ok();
    // Commas in a filter by span may be between its fields.
    let by_span = text.contains('[');
    let mut words = text
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty());
    let word = if text.trim().is_empty() {
        Some("")
    } else {
        words.find(|word| !by_span && !word.contains('=') && !is_level(word))
    };
    match word {
        Some(word) => Err(wrong(format!(
            "expected `error`, `warn`, `info`, `debug`, `trace`, `off`, or a filter such as \
             `info,store_fs=debug`, found \"{}\"",
            word.escape_debug()
        ))),
        None => EnvFilter::try_new(text)
            .map(drop)
            .map_err(|error| wrong(format!("\"{}\": {error}", text.escape_debug()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_no_level_is_refused() {
        for good in [
            "info",
            "WARN",
            "off",
            "info,store_fs=debug",
            "info, warn",
            "[turn]=debug",
        ] {
            assert_eq!(checked("log_level", good), Ok(()), "{good}");
        }
        for (wrong, found) in [
            ("inof", "\"inof\""),
            ("loud,store_fs=debug", "\"loud\""),
            ("", "\"\""),
            ("  ", "\"\""),
            ("a=b=c", "a=b=c"),
            ("info,store_fs=dbug", "store_fs=dbug"),
        ] {
            let why = checked("log_level", wrong).unwrap_err();
            assert!(
                why.starts_with("at `log_level`: ") && why.contains(found),
                "{why}"
            );
            assert!(!why.contains("actix"), "{why}");
        }
    }
}
