use agent_runtime::{ConversationOrder, ConversationQuery};
use core_model::{ConversationId, ExecutionStatus};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::request::{Limit, Required, query, word};

/// In which order conversations are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum ConversationSortOrder {
    CreatedAt,
    UpdatedAt,
    #[default]
    CreatedAtDesc,
    UpdatedAtDesc,
}

word!(ConversationSortOrder, default);

query! {
    /// One page of conversations.
    pub(super) struct ConversationSearchParams {
        /// `next_page_id` of the page before: the id of this page's first conversation. An unknown one means
        /// the start.
        page_id: Option<String>,
        /// Conversations on a page.
        #[schemars(extend("default" = 100))]
        limit: Limit<100>,
        /// Only those with this status.
        status: Option<ExecutionStatus>,
        /// By what they are ordered, and whether the newest come first.
        #[schemars(extend("default" = "CREATED_AT_DESC"))]
        sort_order: ConversationSortOrder,
        /// With the texts of the agent's skills.
        #[schemars(extend("default" = false))]
        include_skills: bool,
    }
}

impl From<ConversationSearchParams> for ConversationQuery {
    fn from(params: ConversationSearchParams) -> Self {
        Self {
            status: params.status,
            page_id: params.page_id,
            limit: params.limit.0,
            order: match params.sort_order {
                ConversationSortOrder::CreatedAt => ConversationOrder::Created,
                ConversationSortOrder::UpdatedAt => ConversationOrder::Updated,
                ConversationSortOrder::CreatedAtDesc => ConversationOrder::CreatedDescending,
                ConversationSortOrder::UpdatedAtDesc => ConversationOrder::UpdatedDescending,
            },
            include_skills: params.include_skills,
        }
    }
}

query! {
    /// Which conversations are counted.
    pub(super) struct ConversationCountParams {
        /// Only those with this status.
        status: Option<ExecutionStatus>,
    }
}

query! {
    /// Which conversations are returned.
    pub(super) struct ConversationBatchParams {
        /// Ids, repeated or separated by commas.
        ids: Required<Vec<ConversationId>>,
        /// With the texts of the agent's skills.
        #[schemars(extend("default" = false))]
        include_skills: bool,
    }
}

query! {
    /// How a conversation is shown.
    pub(super) struct ShowParams {
        /// With the texts of the agent's skills.
        #[schemars(extend("default" = false))]
        include_skills: bool,
    }
}

#[cfg(test)]
mod tests;
