//! Between the rounds of a goal: a model call that says whether the goal is reached.

mod answer;
mod record;

use std::{
    convert::Infallible,
    ops::ControlFlow::{self, Break, Continue},
    sync::Arc,
};

use core_model::{
    Content, LlmSettings,
    goal::{Goal, GoalVerdict},
};
use llm_client::{ModelError, ModelMessage, ModelReply, ModelRequest, VERDICT_FORM};
use tokio::sync::mpsc;

use crate::{
    command::SpentCall,
    residency::live_conversation::LiveConversation,
    turn::{
        budget,
        drafts::fallback_notice,
        observe,
        outcome::{JudgedWork, Outcome},
        prepare,
        proposal::Proposal,
        state::{Turn, TurnSignals},
    },
};

const PROMPT: &str = include_str!("judge/judge.md");
/// How much of one message the judge is shown at first, in characters; and of all of them.
const LONGEST_MESSAGE: usize = 8_000;
const LONGEST_RECORD: usize = 200_000;
/// How often the record is halved because it is too long for the model.
const MAX_HALVINGS: u32 = 5;
/// How often the judge is asked until its answer can be read.
const MAX_ASKED: u32 = 3;
const ASKED_AGAIN: &str =
    "Your last answer had no such JSON object. Answer with the JSON object alone.";
const UNREADABLE: &str = "It is not known: the judge gave no verdict that could be read.";

/// Judges the work, unless the goal is given up meanwhile.
pub(super) async fn judge(
    live: Arc<LiveConversation>,
    proposer: mpsc::Sender<Proposal>,
    signals: TurnSignals,
    work: JudgedWork,
) -> ControlFlow<Outcome, Infallible> {
    let mut turn = prepare::prepare(live, proposer, signals).await?;
    let verdict = verdict(&mut turn).await?;
    Break(Outcome::Judged { verdict, work })
}

async fn verdict(turn: &mut Turn) -> ControlFlow<Outcome, Option<GoalVerdict>> {
    let state = observe::catch_up(turn).await?;
    let Some(goal) = state.goal.clone().filter(|goal| goal.active) else {
        return Continue(None);
    };
    // With the agent's model, and for its account.
    let llm = LlmSettings {
        stream: false,
        ..turn.agent.llm.clone()
    };
    let model = match (turn.live.runtime.config.connect)(&llm) {
        Ok(model) => model,
        Err(error) => return Break(Outcome::model(&error)),
    };
    let (mut halvings, mut asked) = (0, 0);
    loop {
        let state = turn.live.now().state;
        budget::allow_model_call(turn, &state).await?;
        let request = request(turn, &goal, halvings, asked > 0);
        let reply = tokio::select! {
            biased;
            () = turn.signals.cancel.cancelled() => return Break(Outcome::cancelled()),
            () = turn.live.until_goal_ends() => return Continue(None),
            reply = model.reply(&request, &|_| {}) => reply,
        };
        match reply {
            Ok(reply) => {
                pay(turn, &llm, &reply).await?;
                asked += 1;
                if let Some(verdict) = answer::verdict(&reply.text()) {
                    return Continue(Some(verdict));
                }
                tracing::warn!(conversation.id = %turn.live.id, asked, "the judge's verdict cannot be read");
                if asked == MAX_ASKED {
                    return Continue(Some(unreadable()));
                }
            }
            Err(ModelError::ContextWindow(_)) if halvings < MAX_HALVINGS => halvings += 1,
            Err(error) => return Break(Outcome::model(&error)),
        }
    }
}

fn request(turn: &Turn, goal: &Goal, halvings: u32, again: bool) -> ModelRequest {
    let shown = turn.context.messages().into_iter();
    let messages: Vec<ModelMessage> = shown.map(|shown| shown.message).collect();
    let record = record::record(
        &messages,
        LONGEST_MESSAGE >> halvings,
        LONGEST_RECORD >> halvings,
    );
    let mut question = format!(
        "<goal>\n{}\n</goal>\n\n<record>\n{record}\n</record>",
        goal.objective
    );
    if again {
        question.push_str(&format!("\n\n{ASKED_AGAIN}"));
    }
    let instructions = format!("{}\n\n{VERDICT_FORM}", PROMPT.trim());
    ModelRequest {
        messages: vec![
            ModelMessage::System(vec![Content::text(instructions)]),
            ModelMessage::User(vec![Content::text(question)]),
        ],
        ..ModelRequest::default()
    }
}

async fn pay(turn: &mut Turn, llm: &LlmSettings, reply: &ModelReply) -> ControlFlow<Outcome> {
    turn.spending.paid(reply.cost);
    let call = SpentCall {
        usage_id: llm.usage_id.clone(),
        model: llm.model.clone(),
        reply: reply.clone(),
    };
    let told = reply.fallback.as_ref().map(fallback_notice);
    turn.propose_after(Some(call), told.into_iter().collect())
        .await
}

/// What cannot be read does not end the work.
fn unreadable() -> GoalVerdict {
    GoalVerdict {
        score: 0.0,
        complete: false,
        missing: UNREADABLE.to_owned(),
    }
}
