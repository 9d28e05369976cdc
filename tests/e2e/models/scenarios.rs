use serde_json::json;
use test_support::model_server::{Part, Reply, Stop};

/// What happens in the first turn.
pub(super) struct Scenario {
    pub(super) name: &'static str,
    pub(super) replies: fn() -> Vec<Reply>,
    /// Whether the user shows an image.
    pub(super) image: bool,
}

fn scenario(name: &'static str, replies: fn() -> Vec<Reply>) -> Scenario {
    Scenario {
        name,
        replies,
        image: false,
    }
}

/// Thoughts and calls in one reply, and the answer.
pub(super) fn reasoning() -> Scenario {
    scenario("reasoning", || {
        vec![
            Reply::Parts(vec![
                thought("hm"),
                said("I look."),
                echo("one"),
                echo("two"),
            ]),
            Reply::Parts(vec![thought("aha"), Part::HiddenReasoning, echo("three")]),
            Reply::Parts(vec![thought("so"), said("done thinking")]),
        ]
    })
}

/// The turn ends with a tool's result.
pub(super) fn finish() -> Scenario {
    scenario("finish", || {
        vec![
            Reply::Parts(vec![echo("one")]),
            Reply::finish("that was it"),
        ]
    })
}

/// A user shows an image.
pub(super) fn images() -> Scenario {
    let replies = || {
        vec![
            Reply::Parts(vec![said("I see."), echo("seen")]),
            Reply::text("red"),
        ]
    };
    Scenario {
        image: true,
        ..scenario("images", replies)
    }
}

fn echo(word: &str) -> Part {
    Part::call("terminal", json!({"command": format!("echo {word}")}))
}

fn thought(text: &str) -> Part {
    Part::Reasoning(text.to_owned())
}

fn said(text: &str) -> Part {
    Part::Text(text.to_owned())
}

/// One of each kind of reply.
pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        scenario("text", || vec![Reply::text("hello")]),
        scenario("calls", || {
            vec![
                Reply::Parts(vec![echo("one")]),
                Reply::Parts(vec![said("And now:"), echo("two")]),
                Reply::text("both"),
            ]
        }),
        scenario("parallel calls", || {
            let unknown = Part::call("nope", json!({}));
            let broken = Part::call("terminal", json!("{not json"));
            vec![
                Reply::Parts(vec![
                    said("All:"),
                    echo("one"),
                    unknown,
                    echo("two"),
                    broken,
                ]),
                Reply::text("all"),
            ]
        }),
        scenario("a call without a name", || {
            let nameless = Part::call("", json!({"command": "echo lost"}));
            vec![
                Reply::Parts(vec![thought("hm"), nameless, echo("one")]),
                Reply::text("found"),
            ]
        }),
        images(),
        reasoning(),
        finish(),
        scenario("text cut", || {
            vec![Reply::Parts(vec![thought("hm"), said("as long as it is")]).cut_by_length()]
        }),
        scenario("call cut", || {
            vec![
                Reply::Parts(vec![thought("hm"), echo("one"), echo("two and more")])
                    .cut_by_length(),
                Reply::text("shorter"),
            ]
        }),
        scenario("thoughts cut", || {
            vec![Reply::Parts(vec![thought("hm, and so on")]).cut_by_length()]
        }),
        scenario("paused", || {
            vec![
                Reply::Parts(vec![thought("hm"), said("So far:")]).stopped(Stop::Paused),
                Reply::Parts(vec![thought("aha"), echo("one")]),
                Reply::Parts(vec![thought("so"), said("and on")]).stopped(Stop::Paused),
                Reply::text("done"),
            ]
        }),
        scenario("filtered", || {
            let filtered = Reply::Parts(vec![thought("hm"), said("I would")]);
            vec![filtered.stopped(Stop::Filtered), Reply::text("or not")]
        }),
        scenario("error in the middle, then retry", || {
            let lost = || Reply::Parts(vec![thought("lost"), said("lost"), echo("lost")]);
            vec![
                Reply::Parts(vec![thought("hm"), echo("one")]),
                lost().failing(529, "Overloaded"),
                lost().failing(429, "slow down"),
                Reply::text("at last"),
            ]
        }),
        scenario("error, then retry", || {
            let overloaded = Reply::Error(529, "Overloaded".to_owned());
            vec![
                Reply::Error(429, "slow down".to_owned()).with_header("retry-after-ms", "1"),
                Reply::Parts(vec![thought("hm"), echo("one")]),
                overloaded.with_header("retry-after-ms", "1"),
                Reply::StreamCut(Box::new(Reply::Parts(vec![thought("lost"), echo("lost")]))),
                Reply::text("at last"),
            ]
        }),
        scenario("error", || {
            vec![
                Reply::Parts(vec![thought("hm"), echo("one")]),
                Reply::Error(401, "wrong key".to_owned()),
            ]
        }),
        scenario("overflow", || {
            vec![
                Reply::Parts(vec![thought("hm"), echo("one")]),
                Reply::Parts(vec![thought("aha"), echo("two")]),
                Reply::Overflow,
            ]
        }),
    ]
}
