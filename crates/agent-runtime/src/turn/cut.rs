//! Replies that the model did not end itself: cut off, withheld, refused or paused.

use llm_client::{ModelError, ModelReply, StopReason};

use crate::turn::outcome::Outcome;

/// So many cut replies in a row end the turn.
const MOST_CUT_REPLIES: u32 = 3;

const SMALLER_PARTS: &str = "Do it in smaller parts: write a long file in several calls, the first with \
     its beginning and each further one with the next piece, and answer in several short steps.";

/// How the turn continues after a reply without calls.
pub(super) enum AfterCut {
    /// The model ended the reply itself.
    Whole,
    /// Ask again, after telling the model this.
    AskAgain(Option<String>),
    /// End the turn.
    End(Outcome),
}

/// `before`: how many replies before this one were cut.
pub(super) fn after(reply: &ModelReply, before: u32) -> AfterCut {
    let nudge = match &reply.stop {
        StopReason::Done => return AfterCut::Whole,
        StopReason::Pause => return AfterCut::AskAgain(None),
        StopReason::Refusal | StopReason::ContextWindow => return AfterCut::End(outcome(reply)),
        StopReason::Length if reply.is_empty() => format!(
            "Your last reply reached the limit on a reply's length before it said anything: all of it \
             was thinking. Think less and act. {SMALLER_PARTS}"
        ),
        StopReason::Length => format!(
            "Your last reply was cut off because it reached the limit on a reply's length. Continue \
             where it ends. {SMALLER_PARTS}"
        ),
        StopReason::ContentFilter => {
            "The provider's content filter withheld the rest of your last \
             reply. Go on with the task in other words, without what may have set it off."
                .to_owned()
        }
        StopReason::Other(reason) => format!(
            "Your last reply ended before its end; the provider gave {reason:?} as the reason. Go on \
             with the task: call a tool, or call `finish` with a message if it is done."
        ),
    };
    if before + 1 >= MOST_CUT_REPLIES {
        AfterCut::End(outcome(reply))
    } else {
        AfterCut::AskAgain(Some(nudge))
    }
}

/// What the model is answered when the last of its calls was cut off; None when no call can have been.
pub(super) fn cut_call(reply: &ModelReply) -> Option<String> {
    let limit = match &reply.stop {
        StopReason::Length => "reached the limit on a reply's length",
        StopReason::ContextWindow => "filled the context window",
        StopReason::ContentFilter | StopReason::Refusal => "was stopped by the provider",
        StopReason::Other(_) => "ended before its end",
        StopReason::Done | StopReason::Pause => return None,
    };
    Some(format!(
        "The arguments of this call were cut off, because your reply {limit}. Nothing was done. \
         {SMALLER_PARTS}"
    ))
}

/// How the turn ends when a call was cut off and nothing else is to be done; None when it continues.
pub(super) fn after_call(reply: &ModelReply, before: u32) -> Option<Outcome> {
    (before + 1 >= MOST_CUT_REPLIES).then(|| outcome(reply))
}

fn outcome(reply: &ModelReply) -> Outcome {
    match &reply.stop {
        StopReason::Length => Outcome::reply_too_long(MOST_CUT_REPLIES),
        StopReason::ContextWindow => Outcome::model(&ModelError::ContextWindow(
            "the reply was cut off where the window was full".to_owned(),
        )),
        StopReason::ContentFilter => Outcome::withheld(),
        StopReason::Refusal => Outcome::refused(),
        StopReason::Other(reason) => Outcome::ended_early(reason),
        StopReason::Done | StopReason::Pause => Outcome::ended_early("none"),
    }
}
