//! The command `models`: what is known of models, and whether one of them works.

mod check;
mod table;

use std::process::ExitCode;

use crate::{cli::ModelsArgs, config, console, flags::Flags, start_error::StartError};

/// Prints the models whose names hold the filter, or asks the one to check.
///
/// # Errors
/// When the configuration is not valid.
pub(crate) fn run(args: &ModelsArgs, flags: &Flags) -> Result<ExitCode, StartError> {
    let Some(name) = &args.check else {
        return Ok(list(args.filter.as_deref().unwrap_or_default()));
    };
    let loaded = config::load_without_webhooks(&flags.overrides, &crate::environment())?;
    let settings = check::settings(loaded.settings.llm, name);
    let steps = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(check::steps(&settings));
    for step in &steps {
        console::line(step);
    }
    let works = steps.iter().all(check::Step::is_fine);
    Ok(if works {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn list(filter: &str) -> ExitCode {
    let rows = table::rows(filter);
    if rows.is_empty() {
        console::error_line(format_args!(
            "no known model has {filter:?} in its name; any model may be used all the same, see docs/MODELS.md"
        ));
        return ExitCode::FAILURE;
    }
    console::line(table::Table(&rows));
    ExitCode::SUCCESS
}
