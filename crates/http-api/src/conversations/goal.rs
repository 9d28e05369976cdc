//! Goals: the agent works until a judge says that the goal is reached.

use core_model::ConversationId;
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::{
    failure::Failure,
    operation::{Operation, Tag, both, handler, refusals},
    reply::{Reply, Success},
    request::{Body, Path, RequestBody, Server},
    validation::Problem,
};

const MAX_ITERATIONS: u32 = 10;
const MAX_OBJECTIVE_CHARS: usize = 20_000;

/// What the agent is to reach.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(extend("examples" = [{"objective": "All tests pass.", "max_iterations": 5}]))]
struct StartGoalRequest {
    /// Said to the agent, and judged by; 1 to 20,000 characters.
    objective: String,
    /// How many rounds are judged before the goal is given up.
    #[serde(default = "default_max_iterations")]
    #[schemars(range(min = 1))]
    max_iterations: u32,
}

impl RequestBody for StartGoalRequest {}

fn default_max_iterations() -> u32 {
    MAX_ITERATIONS
}

pub(super) const START: Operation = Operation {
    paths: both!("/conversations/{conversation_id}/goal"),
    refusals: &[&refusals::GOAL_RUNNING, &refusals::RUN_LIMIT],
    example: Some(|_| json!(Success::new())),
    difference: Some(
        "The status stays `running` until the goal ends. An objective is not empty (422) and has at most \
         20,000 characters. While actions wait for confirmation, the goal waits too.",
    ),
    ..Operation::post("start_goal", Tag::Conversations, handler!(start))
};

/// Work towards a goal
///
/// The objective is said to the agent. After each round the agent's model judges whether it is reached; if
/// not, the agent is told what is missing. State updates with the key `goal` say how far it is. Answers
/// once the first round has started.
#[api_v2_operation]
async fn start(
    server: Server,
    path: Path<ConversationId>,
    body: Body<StartGoalRequest>,
) -> Result<Reply<Success>, Failure> {
    let StartGoalRequest {
        objective,
        max_iterations,
    } = body.0;
    if let Some(problem) = fault(&objective, max_iterations) {
        return Err(problem.into());
    }
    let conversation = server.runtime.open(path.0).await?;
    conversation.start_goal(objective, max_iterations).await?;
    Ok(Reply(Success::new()))
}

fn fault(objective: &str, max_iterations: u32) -> Option<Problem> {
    let field = &["body", "objective"];
    if objective.trim().is_empty() {
        return Some(Problem::value_error(
            field,
            "Goal objective must not be empty.",
        ));
    }
    if objective.chars().count() > MAX_OBJECTIVE_CHARS {
        return Some(Problem::value_error(
            field,
            "an objective has at most 20000 characters",
        ));
    }
    (max_iterations == 0).then(|| {
        let wrong = "Input should be greater than or equal to 1";
        Problem::new("greater_than_equal", &["body", "max_iterations"], wrong)
            .input(max_iterations)
            .ctx("ge", 1)
    })
}

pub(super) const STOP: Operation = Operation {
    paths: both!("/conversations/{conversation_id}/goal/stop"),
    example: Some(|_| json!(Success::new())),
    ..Operation::post("stop_goal", Tag::Conversations, handler!(stop))
};

/// Give up the goal
///
/// It becomes `interrupted`, and can be resumed. What the agent does now it does to its end. Without an
/// active goal, nothing happens.
#[api_v2_operation]
async fn stop(server: Server, path: Path<ConversationId>) -> Result<Reply<Success>, Failure> {
    server.runtime.open(path.0).await?.stop_goal().await?;
    Ok(Reply(Success::new()))
}

pub(super) const RESUME: Operation = Operation {
    paths: both!("/conversations/{conversation_id}/goal/resume"),
    refusals: &[
        &refusals::NO_GOAL,
        &refusals::GOAL_RUNNING,
        &refusals::RUN_LIMIT,
    ],
    example: Some(|_| json!(Success::new())),
    ..Operation::post("resume_goal", Tag::Conversations, handler!(resume))
};

/// Resume the goal
///
/// An `interrupted` goal is taken up again, also after a restart, with the rounds that are left and at
/// least one.
#[api_v2_operation]
async fn resume(server: Server, path: Path<ConversationId>) -> Result<Reply<Success>, Failure> {
    server.runtime.open(path.0).await?.resume_goal().await?;
    Ok(Reply(Success::new()))
}
