use std::{
    collections::BTreeSet,
    fs::File,
    io,
    path::{Path, PathBuf},
};

use serde_json::Value;
use store_fs::regular_file::{self, Links, read_at_most};
use webhooks::WebhookConfig;

use super::{
    ConfigError, LogFormat, Notice, Settings,
    decode::{decode, kind_of},
    env,
    layers::{Layer, Merged, merge},
    schema::known_keys,
    unknown,
};

/// Names the configuration file.
pub const CONFIG_PATH_VARIABLE: &str = "OPENHANDS_AGENT_SERVER_CONFIG_PATH";

/// Read when it exists and no other file is named.
pub const DEFAULT_CONFIG_PATH: &str = "workspace/openhands_agent_server_config.json";

/// The source of a value that nothing sets.
pub(super) const DEFAULT: &str = "default";

/// A larger file is refused: it is not a configuration, or never ends.
pub const MAX_FILE_BYTES: u64 = 4 << 20;

/// What the command line sets.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Overrides {
    /// Name or address to listen on [default: 0.0.0.0]
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,
    /// Port to listen on; 0 picks a free one [default: 8000]
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,
    /// JSON configuration file [default: workspace/openhands_agent_server_config.json, if it is
    /// there]
    #[arg(long, value_name = "PATH")]
    pub config: Option<PathBuf>,
    /// How log lines are written [default: text]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// Store conversations in memory: everything is gone at the end
    #[arg(long)]
    pub ephemeral: bool,
}

impl Overrides {
    /// These where they are given, `before` where they are not.
    #[must_use]
    pub fn over(self, before: Self) -> Self {
        Self {
            host: self.host.or(before.host),
            port: self.port.or(before.port),
            config: self.config.or(before.config),
            log_format: self.log_format.or(before.log_format),
            ephemeral: self.ephemeral || before.ephemeral,
        }
    }
}

/// A configuration that can be used, and how it came about.
pub struct Loaded {
    pub settings: Settings,
    /// The variables of the environment that webhooks name.
    pub secret_variables: BTreeSet<String>,
    /// Warnings to log once there is a log.
    pub notices: Vec<Notice>,
    /// The file that was named or that is looked for, whether it exists or not.
    pub file: PathBuf,
    pub(super) merged: Merged,
}

impl Loaded {
    /// Whether a key was set anywhere, and not left at its default.
    #[must_use]
    pub fn is_set(&self, key: &str) -> bool {
        self.merged.origin(key) != DEFAULT
    }
}

/// Reads all layers: defaults, then the file, then `variables` (the environment), then flags.
/// Relative paths start at the current folder. Variables that webhooks name are looked up.
///
/// # Errors
/// A [`ConfigError`] that names the place, the key, what was expected and what was found.
pub fn load(flags: &Overrides, variables: &[(String, String)]) -> Result<Loaded, ConfigError> {
    let mut loaded = load_without_webhooks(flags, variables)?;
    resolve_webhooks(&mut loaded, variables)?;
    Ok(loaded)
}

/// The same for what delivers nothing: variables that webhooks name may be unset.
///
/// # Errors
/// As [`load`].
pub fn load_without_webhooks(
    flags: &Overrides,
    variables: &[(String, String)],
) -> Result<Loaded, ConfigError> {
    let known = known_keys();
    let defaults = serde_json::to_value(Settings::default()).unwrap_or_default();
    let mut layers = vec![Layer::object(&defaults, &known, DEFAULT.to_owned())];

    let (file, named_by) = choose_file(flags, variables);
    let mut notices = Vec::new();
    if let Some(content) = read_file(&file, named_by)? {
        let origin = format!("file {}", file.display());
        notices.extend(unknown::find(&content, &known, &origin));
        layers.push(Layer::object(&content, &known, origin));
    }
    let (environment, remarks) = env::layers(variables, &known)?;
    layers.extend(environment);
    notices.extend(remarks);
    layers.extend(flag_layers(flags));

    let mut merged = merge(layers).map_err(|error| ConfigError::Unusable {
        origin: "configuration".to_owned(),
        key: String::new(),
        reason: error.to_string(),
    })?;
    let mut settings = decode(&mut merged)?;
    if settings.keys().next().is_none() {
        notices.extend(env::empty_keys(variables, &known));
        if settings.session_api_key.is_some() {
            let origin = merged.origin("session_api_key").to_owned();
            notices.push(Notice::EmptyKey { origin });
        }
    }
    for path in [
        &mut settings.conversations_path,
        &mut settings.workspace_path,
        &mut settings.bash_events_dir,
    ] {
        *path = std::path::absolute(&path).map_err(ConfigError::NoCurrentFolder)?;
    }
    let named = settings.webhooks.iter().flat_map(WebhookConfig::variables);
    Ok(Loaded {
        secret_variables: named.map(str::to_owned).collect(),
        settings,
        notices,
        file,
        merged,
    })
}

fn resolve_webhooks(
    loaded: &mut Loaded,
    variables: &[(String, String)],
) -> Result<(), ConfigError> {
    let variable = |wanted: &str| {
        let found = variables.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.clone())
    };
    for (index, webhook) in loaded.settings.webhooks.iter_mut().enumerate() {
        webhook.resolve(&variable).map_err(|error| {
            let below = error.key().map(|key| format!(".{key}"));
            let key = format!("webhooks[{index}]{}", below.unwrap_or_default());
            loaded.merged.unusable(key, error)
        })?;
    }
    Ok(())
}

/// The file, and who named it.
fn choose_file(flags: &Overrides, variables: &[(String, String)]) -> (PathBuf, Option<String>) {
    if let Some(path) = &flags.config {
        return (path.clone(), Some("--config".to_owned()));
    }
    let variable = variables
        .iter()
        .find(|(name, path)| name == CONFIG_PATH_VARIABLE && !path.trim().is_empty());
    match variable {
        Some((name, path)) => (path.into(), Some(name.clone())),
        None => (DEFAULT_CONFIG_PATH.into(), None),
    }
}

fn read_file(path: &Path, named_by: Option<String>) -> Result<Option<Value>, ConfigError> {
    let path = path.to_owned();
    let read = match named_by {
        // Opened as it is: the shell hands over a pipe for `--config <(...)`.
        Some(_) => File::open(&path).and_then(|file| read_at_most(file, MAX_FILE_BYTES)),
        None => regular_file::read(&path, Links::Follow, MAX_FILE_BYTES),
    };
    let bytes = match read {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return match named_by {
                Some(named_by) => Err(ConfigError::Missing { path, named_by }),
                None => Ok(None),
            };
        }
        Err(source) => return Err(ConfigError::Unreadable { path, source }),
    };
    let value: Value = serde_json::from_slice(&bytes).map_err(|error| ConfigError::Syntax {
        line: error.line(),
        column: error.column(),
        reason: without_position(&error.to_string()),
        path: path.clone(),
    })?;
    if !value.is_object() {
        let found = kind_of(&value).to_owned();
        return Err(ConfigError::NotAnObject { path, found });
    }
    Ok(Some(value))
}

fn without_position(message: &str) -> String {
    message
        .split_once(" at line ")
        .map_or(message, |(reason, _)| reason)
        .to_owned()
}

fn flag_layers(flags: &Overrides) -> Vec<Layer> {
    let set = [
        ("host", flags.host.clone().map(Value::from)),
        ("port", flags.port.map(Value::from)),
        (
            "log_format",
            flags.log_format.map(|format| format.as_str().into()),
        ),
        ("ephemeral", flags.ephemeral.then_some(Value::Bool(true))),
    ];
    set.into_iter()
        .filter_map(|(key, value)| {
            let origin = format!("flag --{}", key.replace('_', "-"));
            Some(Layer::one(key.to_owned(), value?, origin))
        })
        .collect()
}
