use actix_web::HttpRequest;
use core_model::{ConfirmationPolicy, ConversationId, approval::ApprovedCommand};
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::start::{checked_analyzer, checked_policy};
use crate::{
    describe::PathPart,
    failure::Failure,
    operation::{Operation, Tag, both, handler},
    reply::{Reply, Success},
    request::{Body, Path, PathParameter, RequestBody, Server, decoded},
    validation::Problem,
};

/// Which actions wait for a person's confirmation. The policy may also stand alone, without `policy` around it.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(extend("examples" = [
    {"policy": {"kind": "ConfirmRisky", "threshold": "HIGH", "confirm_unknown": true}}
]))]
struct SetPolicy {
    #[schemars(with = "Option<ConfirmationPolicy>")]
    policy: Option<Value>,
    #[serde(flatten)]
    #[schemars(skip)]
    plain: Map<String, Value>,
}

impl RequestBody for SetPolicy {}

pub(super) const POLICY: Operation = Operation {
    paths: both!("/conversations/{conversation_id}/confirmation_policy"),
    example: Some(|_| json!(Success::new())),
    difference: Some("The policy may also be sent without `policy` around it."),
    ..Operation::post(
        "set_confirmation_policy",
        Tag::Conversations,
        handler!(set_policy),
    )
};

/// Set the confirmation policy
///
/// Holds from the next step of a running turn on. What waits already goes on waiting.
#[api_v2_operation]
async fn set_policy(
    server: Server,
    path: Path<ConversationId>,
    body: Body<SetPolicy>,
) -> Result<Reply<Success>, Failure> {
    let SetPolicy { policy, plain } = body.0;
    let policy = match policy {
        Some(policy) => checked_policy(&policy, &["body", "policy"])?,
        None if plain.contains_key("kind") => checked_policy(&Value::Object(plain), &["body"])?,
        None => return Err(Problem::missing(&["body", "policy"]).into()),
    };
    let conversation = server.runtime.open(path.0).await?;
    conversation.set_confirmation_policy(policy).await?;
    Ok(Reply(Success::new()))
}

/// What judges how risky an action is; null: nothing. The analyzer may also stand alone, without
/// `security_analyzer` around it.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(extend("examples" = [{"security_analyzer": {"kind": "PatternSecurityAnalyzer"}}]))]
struct SetAnalyzer {
    #[serde(flatten)]
    #[schemars(schema_with = "analyzer_schema")]
    fields: Map<String, Value>,
}

fn analyzer_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "properties": {"security_analyzer": {"type": ["object", "null"]}}
    })
}

impl RequestBody for SetAnalyzer {}

pub(super) const ANALYZER: Operation = Operation {
    paths: both!("/conversations/{conversation_id}/security_analyzer"),
    example: Some(|_| json!(Success::new())),
    difference: Some("An analyzer that is not built in is refused with its reason."),
    ..Operation::post(
        "set_security_analyzer",
        Tag::Conversations,
        handler!(set_analyzer),
    )
};

/// Set the security analyzer
///
/// Holds from the next step of a running turn on.
#[api_v2_operation]
async fn set_analyzer(
    server: Server,
    path: Path<ConversationId>,
    body: Body<SetAnalyzer>,
) -> Result<Reply<Success>, Failure> {
    let fields = body.0.fields;
    let analyzer = match fields.get("security_analyzer") {
        Some(Value::Null) => None,
        Some(settings) => Some(checked_analyzer(
            settings.clone(),
            &["body", "security_analyzer"],
        )?),
        None if fields.contains_key("kind") => {
            Some(checked_analyzer(Value::Object(fields), &["body"])?)
        }
        None => return Err(Problem::missing(&["body", "security_analyzer"]).into()),
    };
    let conversation = server.runtime.open(path.0).await?;
    conversation.set_security_analyzer(analyzer).await?;
    Ok(Reply(Success::new()))
}

/// The commands that need no confirmation any more.
#[derive(Serialize, JsonSchema)]
struct ApprovedCommands {
    items: Vec<ApprovedCommand>,
}

pub(super) const APPROVED: Operation = Operation {
    paths: both!("/conversations/{conversation_id}/approved_commands"),
    example: Some(|_| {
        json!({"items": [{
            "id": "0a1d7c5e-64c1-4a53-a2b4-4b3c0ff6c1ab", "command": "cargo test",
            "programs": [["cargo", "test"]], "shape": "C ",
            "approved_at": "2026-01-31T12:00:00.103836Z", "approved_by": "ci"
        }]})
    }),
    ..Operation::get(
        "list_approved_commands",
        Tag::Conversations,
        handler!(approved),
    )
};

/// List approved commands
///
/// Those that were accepted with `remember`: the same command is carried out without asking.
#[api_v2_operation]
async fn approved(
    server: Server,
    path: Path<ConversationId>,
) -> Result<Reply<ApprovedCommands>, Failure> {
    let items = server.runtime.open(path.0).await?.approved_commands();
    Ok(Reply(ApprovedCommands { items }))
}

/// The approved command that a path names.
struct ApprovedId(String);

impl PathParameter for ApprovedId {
    const PART: PathPart = PathPart {
        name: "command_id",
        about: "The approved command's id.",
        example: "0a1d7c5e-64c1-4a53-a2b4-4b3c0ff6c1ab",
        is_uuid: false,
    };

    fn read(request: &HttpRequest) -> Result<Self, Failure> {
        decoded(request, Self::PART.name).map(Self)
    }
}

pub(super) const FORGET: Operation = Operation {
    paths: both!("/conversations/{conversation_id}/approved_commands/{command_id}"),
    example: Some(|_| json!(Success::new())),
    ..Operation::delete(
        "forget_approved_command",
        Tag::Conversations,
        handler!(forget),
    )
};

/// Take back an approved command
///
/// The command is asked about again, as the policy says.
#[api_v2_operation]
async fn forget(
    server: Server,
    path: Path<ConversationId>,
    command: Path<ApprovedId>,
) -> Result<Reply<Success>, Failure> {
    let conversation = server.runtime.open(path.0).await?;
    if conversation.forget_approved_command(&command.0.0).await? {
        Ok(Reply(Success::new()))
    } else {
        Err(Failure::NotFound)
    }
}
