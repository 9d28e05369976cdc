use std::path::Path;

use core_model::{
    ConversationId, ConversationSettings, EventId, ExecutionStatus, Metadata, UtcTime, Workspace,
    secrets::{MASK, visit_secrets},
    usage::ConversationStats,
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{
    error::ImportError,
    file,
    folder::{BASE_STATE, META},
    options::ImportOptions,
};

/// How a value that the reference encrypted begins: a Fernet token, version 0x80, of this century.
const ENCRYPTED: &str = "gAAAAA";

/// What the two settings files say.
pub(super) struct Settings {
    /// Without a snapshot, which is written when the import is complete.
    pub(super) metadata: Metadata,
    pub(super) now: StoredState,
}

/// The state at the end; the log may lack it, or say something else.
#[derive(Clone, Debug, Default)]
pub(super) struct StoredState {
    pub(super) status: Option<ExecutionStatus>,
    pub(super) head: Option<StoredHead>,
    pub(super) agent_state: Option<Map<String, Value>>,
    pub(super) stats: Option<ConversationStats>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StoredHead {
    /// Before the first event.
    Empty,
    At(EventId),
}

/// Reads both files. Either may be missing or unreadable: the events are worth more.
///
/// # Errors
/// When there is not even an id, or the secrets cannot be sealed.
pub(super) fn read(
    folder: &Path,
    options: &ImportOptions<'_>,
    notices: &mut Vec<String>,
) -> Result<Settings, ImportError> {
    let state = object(folder, BASE_STATE, notices);
    let created = object(folder, META, notices);
    let files = SettingsFiles {
        state: state.unwrap_or_default(),
        created: created.unwrap_or_default(),
    };
    let id = id(folder, &files)?;
    let agent = agent(&files, options, notices)?;
    let secrets = secrets(&files, options, notices)?;
    let confirmation_policy = files.either("confirmation_policy").unwrap_or_else(|| {
        if files.state.contains_key("confirmation_policy") {
            let notice = "the confirmation policy is unknown: nothing will wait for consent";
            notices.push(notice.to_owned());
        }
        core_model::ConfirmationPolicy::default()
    });
    let defaults = ConversationSettings::default();
    let stuck_detection = files.either("stuck_detection");
    let autotitle = files.created("autotitle");
    let settings = ConversationSettings {
        max_iterations: files
            .either("max_iterations")
            .unwrap_or(defaults.max_iterations),
        stuck_detection: stuck_detection.unwrap_or(defaults.stuck_detection),
        confirmation_policy,
        security_analyzer: files.either("security_analyzer"),
        hook_config: files.either("hook_config"),
        tags: files.either("tags").unwrap_or_default(),
        secrets,
        client_tools: files.created("client_tools").unwrap_or_default(),
        tool_module_qualnames: files.created("tool_module_qualnames").unwrap_or_default(),
        user_id: files.created("user_id"),
        autotitle: autotitle.unwrap_or(defaults.autotitle),
        title_llm_profile: files.created("title_llm_profile"),
        title_prompt: files.created("prompt"),
        parent_conversation_id: files.created("parent_conversation_id"),
        ..ConversationSettings::default()
    };
    let metadata = Metadata {
        id,
        created_at: files.created("created_at").unwrap_or_else(UtcTime::now),
        title: files.created("title"),
        settings,
        forked_from_conversation_id: files.created("forked_from_conversation_id"),
        forked_from_event_id: files.created("forked_from_event_id"),
        ..Metadata::new(agent, workspace(&files, options, notices))
    };
    let now = StoredState {
        status: files.state("execution_status"),
        head: files.head(),
        agent_state: files.state("agent_state"),
        stats: files.state("stats"),
    };
    Ok(Settings { metadata, now })
}

struct SettingsFiles {
    /// As it is now.
    state: Map<String, Value>,
    /// As it was created, and what the list shows.
    created: Map<String, Value>,
}

impl SettingsFiles {
    fn state<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        field(&self.state, name)
    }

    fn created<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        field(&self.created, name)
    }

    /// Nulls are left out of the state: what is missing in it is null.
    fn either<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        if self.state.is_empty() {
            return self.created(name);
        }
        self.state(name)
    }

    fn head(&self) -> Option<StoredHead> {
        if let Some(id) = self.state("leaf_event_id") {
            return Some(StoredHead::At(id));
        }
        let is_empty = self.state("head_is_empty") == Some(true);
        is_empty.then_some(StoredHead::Empty)
    }
}

fn field<T: DeserializeOwned>(fields: &Map<String, Value>, name: &str) -> Option<T> {
    let value = fields.get(name).filter(|value| !value.is_null())?;
    T::deserialize(value).ok()
}

fn object(folder: &Path, name: &str, notices: &mut Vec<String>) -> Option<Map<String, Value>> {
    let parsed = file::read(&folder.join(name))
        .map_err(|error| error.to_string())
        .and_then(|text| serde_json::from_slice(&text).map_err(|error| error.to_string()));
    match parsed {
        Ok(object) => Some(object),
        Err(reason) => {
            notices.push(format!("`{name}` cannot be read ({reason})"));
            None
        }
    }
}

fn id(folder: &Path, files: &SettingsFiles) -> Result<ConversationId, ImportError> {
    let name = folder.file_name().and_then(|name| name.to_str());
    let by_name = || name.and_then(|name| name.parse().ok());
    files
        .state("id")
        .or_else(|| files.created("id"))
        .or_else(by_name)
        .ok_or_else(|| ImportError::NotAConversation {
            path: folder.to_owned(),
            reason: "neither its files nor its name say which".to_owned(),
        })
}

fn agent(
    files: &SettingsFiles,
    options: &ImportOptions<'_>,
    notices: &mut Vec<String>,
) -> Result<Value, ImportError> {
    let Some(mut agent) = files
        .state
        .get("agent")
        .filter(|agent| agent.is_object())
        .cloned()
    else {
        notices.push("its agent cannot be read; it gets the configured one".to_owned());
        let mut agent = options.agent.clone();
        (options.seal)(&mut agent).map_err(ImportError::Seal)?;
        return Ok(agent);
    };
    if let Some(llm) = &options.llm {
        agent["llm"] = llm.clone();
    }
    let lost = open_secrets(&mut agent, options);
    (options.seal)(&mut agent).map_err(ImportError::Seal)?;
    if lost > 0 {
        notices.push(match lost {
            1 => "a secret of its agent, such as the model's key, cannot be read and is left out"
                .to_owned(),
            _ => format!(
                "{lost} secrets of its agent, such as the model's key, cannot be read and are left \
                 out"
            ),
        });
    }
    Ok(agent)
}

fn secrets(
    files: &SettingsFiles,
    options: &ImportOptions<'_>,
    notices: &mut Vec<String>,
) -> Result<Map<String, Value>, ImportError> {
    let mut secrets: Map<String, Value> = files.created("secrets").unwrap_or_default();
    let registry: Map<String, Value> = files.state("secret_registry").unwrap_or_default();
    if let Some(sources) = registry.get("secret_sources").and_then(Value::as_object) {
        secrets.extend(sources.clone());
    }
    for (name, secret) in &mut secrets {
        // By itself, so that the notice can name it.
        if open_secrets(secret, options) > 0 {
            notices.push(format!(
                "the value of its secret `{name}` cannot be read and is left out"
            ));
        }
    }
    let mut sealed = Value::Object(secrets);
    (options.seal)(&mut sealed).map_err(ImportError::Seal)?;
    Ok(sealed
        .as_object_mut()
        .map(std::mem::take)
        .unwrap_or_default())
}

/// Decrypts what the reference encrypted, and drops what is masked or cannot be decrypted; how many.
fn open_secrets(settings: &mut Value, options: &ImportOptions<'_>) -> usize {
    let mut lost = 0;
    visit_secrets(settings, &mut |secret| {
        let Value::String(text) = secret else { return };
        let opened = if text == MASK {
            None
        } else if text.starts_with(ENCRYPTED) {
            (options.open)(text)
        } else {
            return;
        };
        lost += usize::from(opened.is_none());
        *secret = opened.map_or(Value::Null, Value::String);
    });
    lost
}

fn workspace(
    files: &SettingsFiles,
    options: &ImportOptions<'_>,
    notices: &mut Vec<String>,
) -> Workspace {
    let stored = files
        .state
        .get("workspace")
        .or_else(|| files.created.get("workspace"));
    let own = stored.and_then(|workspace| serde_json::from_value(workspace.clone()).ok());
    let Some(own): Option<Workspace> = own else {
        notices.push(format!(
            "its workspace is not a folder on this machine; it gets {}",
            options.workspace.working_dir
        ));
        return options.workspace.clone();
    };
    if !Path::new(&own.working_dir).is_dir() {
        notices.push(format!(
            "its workspace {} is not there; it is created when the agent works",
            own.working_dir
        ));
    }
    own
}
