//! Conversations: start, find, control, delete.

mod change;
mod control;
mod create;
mod examples;
mod goal;
mod history;
mod query;
mod read;
mod start;
mod title;
mod trajectory;

use crate::operation::Operation;

pub(crate) const OPERATIONS: &[Operation] = &[
    create::CREATE,
    read::BATCH_GET,
    read::SEARCH,
    read::COUNT,
    read::GET,
    control::DELETE,
    control::RUN,
    control::PAUSE,
    control::INTERRUPT,
    control::CONDENSE,
    control::FINAL_RESPONSE,
    history::FORK,
    history::NAVIGATE,
    change::UPDATE,
    change::SWITCH_LLM,
    change::ASK,
    title::GENERATE_TITLE,
    trajectory::DOWNLOAD_TRAJECTORY,
    change::BUDGETS,
    change::SET_BUDGETS,
    goal::START,
    goal::STOP,
    goal::RESUME,
];
