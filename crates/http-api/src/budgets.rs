//! What the conversations of API keys, and all of the server, may spend together.

use std::collections::BTreeMap;

use actix_web::HttpRequest;
use agent_runtime::{BudgetUse, Resumed, SharedBudgetsUse};
use core_model::{
    budget::{Budget, Spent},
    shared_budget::{PeriodBudget, SharedBudgets},
};
use paperclip::actix::api_v2_operation;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    failure::Failure,
    operation::{Operation, Tag, both, handler, refusals},
    reply::Reply,
    request::{Body, RequestBody, Server},
    validation::Problem,
};

pub(crate) const OPERATIONS: &[Operation] = &[GET, SET, RESET];

/// What the conversations of API keys, and all of the server, may spend and have spent.
#[derive(Serialize, JsonSchema)]
struct SharedSpending {
    /// `configuration` or `request`: where the limits come from.
    source: &'static str,
    server: LimitsAndSpent,
    /// Those keys that have a budget, by their names.
    keys: BTreeMap<String, LimitsAndSpent>,
    /// How many conversations that such a budget had paused continue; with `run` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    resumed: Option<usize>,
    /// How many could not, because every run slot is taken; with `run` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_paused: Option<usize>,
}

#[derive(Serialize, JsonSchema)]
struct LimitsAndSpent {
    #[serde(flatten)]
    budget: PeriodBudget,
    /// In the current period.
    spent: Spent,
}

impl From<BudgetUse> for LimitsAndSpent {
    fn from(used: BudgetUse) -> Self {
        Self {
            budget: used.budget,
            spent: used.spent,
        }
    }
}

impl SharedSpending {
    fn new(used: SharedBudgetsUse, resumed: Option<Resumed>) -> Self {
        let keys = used.keys.into_iter();
        Self {
            source: if used.by_request {
                "request"
            } else {
                "configuration"
            },
            server: used.server.into(),
            keys: keys.map(|(name, used)| (name, used.into())).collect(),
            resumed: resumed.map(|resumed| resumed.resumed),
            left_paused: resumed.map(|resumed| resumed.left_paused),
        }
    }
}

fn example() -> Value {
    let spent = |cost_usd: f64| {
        json!({
            "cost_usd": cost_usd, "tokens": 948_210, "wall_seconds": 1895.2, "tool_calls": 214,
            "model_calls": 260, "unpriced_calls": 0
        })
    };
    json!({
        "source": "configuration",
        "server": {"period": "month", "max_cost_usd": 200.0, "spent": spent(31.2)},
        "keys": {"ci": {"period": "day", "max_cost_usd": 5.0, "spent": spent(4.4)}}
    })
}

const GET: Operation = Operation {
    paths: both!("/budgets"),
    example: Some(|_| example()),
    ..Operation::get("get_shared_budgets", Tag::Server, handler!(get))
};

/// Get the budgets of the server and of API keys
///
/// What all conversations together, and those of each API key that has a budget, may spend and have spent in
/// the current period.
#[api_v2_operation]
async fn get(server: Server) -> Result<Reply<SharedSpending>, Failure> {
    let used = server.runtime.shared_budgets().await;
    Ok(Reply(SharedSpending::new(used, None)))
}

/// New limits, in place of all there are.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(extend("examples" = [
    {"server": {"max_cost_usd": 300.0, "period": "month"}, "run": true}
]))]
#[serde(default, deny_unknown_fields)]
struct SetSharedBudgets {
    server: PeriodBudget,
    /// By the names of the keys.
    keys: BTreeMap<String, PeriodBudget>,
    /// Whether conversations that such a budget paused continue, if it does not pause them again at once.
    run: bool,
}

impl RequestBody for SetSharedBudgets {}

const SET: Operation = Operation {
    paths: both!("/budgets"),
    refusals: &[&refusals::KEY_NOT_ALLOWED],
    example: Some(|_| example()),
    ..Operation::put("set_shared_budgets", Tag::Server, handler!(set))
};

/// Set the budgets of the server and of API keys
///
/// They hold in place of those of the configuration until they are deleted. Running turns heed them before
/// their next call.
#[api_v2_operation]
async fn set(
    server: Server,
    request: HttpRequest,
    body: Body<SetSharedBudgets>,
) -> Result<Reply<SharedSpending>, Failure> {
    check_may_change(&server, &request)?;
    let SetSharedBudgets {
        server: all,
        keys,
        run,
    } = body.0;
    check_limits(&server, &all, &keys)?;
    let runtime = &server.runtime;
    let budgets = SharedBudgets { server: all, keys };
    runtime.set_shared_budgets(Some(budgets)).await?;
    let resumed = if run {
        Some(runtime.resume_paused_by_shared_budgets().await?)
    } else {
        None
    };
    let used = runtime.shared_budgets().await;
    Ok(Reply(SharedSpending::new(used, resumed)))
}

const RESET: Operation = Operation {
    paths: both!("/budgets"),
    refusals: &[&refusals::KEY_NOT_ALLOWED],
    example: Some(|_| example()),
    ..Operation::delete("reset_shared_budgets", Tag::Server, handler!(reset))
};

/// Return to the configured budgets
///
/// Takes back what requests set. What was spent stays as it is.
#[api_v2_operation]
async fn reset(server: Server, request: HttpRequest) -> Result<Reply<SharedSpending>, Failure> {
    check_may_change(&server, &request)?;
    server.runtime.set_shared_budgets(None).await?;
    let used = server.runtime.shared_budgets().await;
    Ok(Reply(SharedSpending::new(used, None)))
}

/// A key with a name may not raise its own limits.
fn check_may_change(server: &Server, request: &HttpRequest) -> Result<(), Failure> {
    match server.access.keys.name_of(request.headers()) {
        Some(_) => Err(Failure::KeyNotAllowed),
        None => Ok(()),
    }
}

fn check_limits(
    server: &Server,
    all: &PeriodBudget,
    keys: &BTreeMap<String, PeriodBudget>,
) -> Result<(), Failure> {
    let fault = |limits: &Budget, place: &[&str]| {
        let limit = limits.fault()?;
        let place = [&["body"], place, &[limit]].concat();
        Some(Problem::value_error(
            &place,
            "a limit is a number of at least 0",
        ))
    };
    if let Some(problem) = fault(&all.limits(), &["server"]) {
        return Err(problem.into());
    }
    for (name, budget) in keys {
        if !server.access.keys.has_name(name) {
            let place = ["body", "keys", name];
            let why = "no key has this name: `named_api_keys` has those that there are";
            return Err(Problem::value_error(&place, why).into());
        }
        if let Some(problem) = fault(&budget.limits(), &["keys", name]) {
            return Err(problem.into());
        }
    }
    Ok(())
}
