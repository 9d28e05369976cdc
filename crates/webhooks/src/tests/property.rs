use std::{collections::HashMap, sync::Arc};

use core_model::{
    EventId,
    ExecutionStatus::{Finished, Running},
    port::{Deliveries as _, Incarnation},
};
use proptest::prelude::*;

use super::{World, beginning, openhands, readme, wait};
use crate::{
    WebhookConfig,
    testing::{Memory, Reaction, Receiver},
};

#[derive(Clone, Debug)]
enum Happening {
    Make(u8),
    Grow(u8, usize, bool),
    Remove(u8),
    Answers(Vec<Reaction>),
    Wait(u64),
    /// With a power cut, what was not synced is gone.
    Crash {
        power: bool,
    },
    LoseFeed,
}

fn reaction() -> impl Strategy<Value = Reaction> {
    prop_oneof![
        4 => Just(Reaction::Answers(200)),
        2 => Just(Reaction::Answers(500)),
        1 => Just(Reaction::Answers(302)),
        1 => Just(Reaction::Answers(401)),
        1 => Just(Reaction::Answers(400)),
        1 => (1_u64..20).prop_map(Reaction::Busy),
        1 => Just(Reaction::Hangs),
        2 => Just(Reaction::TakesAndHangs),
        2 => (1_u64..3_000).prop_map(Reaction::Slow),
    ]
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        3 => (0_u8..4).prop_map(Happening::Make),
        8 => (0_u8..4, 0_usize..25, any::<bool>()).prop_map(|(of, n, run)| Happening::Grow(of, n, run)),
        1 => (0_u8..4).prop_map(Happening::Remove),
        4 => proptest::collection::vec(reaction(), 1..8).prop_map(Happening::Answers),
        5 => prop_oneof![0_u64..300, 300_u64..60_000].prop_map(Happening::Wait),
        2 => any::<bool>().prop_map(|power| Happening::Crash { power }),
        1 => Just(Happening::LoseFeed),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Whatever the receiver answers and whenever the server dies: without doubles, what the receiver
    /// has of a conversation, dead letters apart, is its log, in its order.
    #[test]
    fn nothing_is_lost_and_the_order_stays(
        base in any::<bool>(),
        happenings in proptest::collection::vec(happening(), 1..40),
    ) {
        let config = beginning(if base { openhands() } else { readme() });
        let tokio = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        tokio.block_on(check(config, happenings))?;
    }
}

async fn check(config: WebhookConfig, happenings: Vec<Happening>) -> Result<(), TestCaseError> {
    let mut world = World::on(Memory::new(), config.clone(), Receiver::new([])).await;
    // The last known events of every conversation there was.
    let mut known: HashMap<Incarnation, Vec<EventId>> = HashMap::new();
    let mut alive: HashMap<u8, Incarnation> = HashMap::new();
    for happening in happenings {
        match happening {
            Happening::Make(nth) => alive.extend(world.memory.make(nth).map(|of| (nth, of))),
            Happening::Grow(nth, events, running) => {
                let status = if running { Running } else { Finished };
                world.memory.grow(nth, events, status);
            }
            Happening::Remove(nth) => {
                if let Some(of) = alive.remove(&nth) {
                    known.insert(of, world.memory.events(&of).unwrap());
                    world.memory.remove(nth);
                }
            }
            Happening::Answers(script) => world.receiver.script(script),
            Happening::Wait(millis) => wait(millis).await,
            Happening::Crash { power } => {
                let Crashed { memory, receiver } = crash(world).await;
                if power {
                    memory.cut_power();
                }
                world = World::on(memory, config.clone(), receiver).await;
            }
            Happening::LoseFeed if known.is_empty() => {
                let Crashed { memory, receiver } = crash(world).await;
                memory.lose_feed();
                world = World::on(memory, config.clone(), receiver).await;
            }
            // A lost feed says nothing of what was deleted before.
            Happening::LoseFeed => {}
        }
    }
    world.receiver.always(None);
    // Long enough for every probe.
    wait(600_000).await;
    for of in alive.values() {
        known.insert(*of, world.memory.events(of).unwrap());
    }
    let info = world.info().await;
    prop_assert_eq!(info.lag.events, 0);
    let dead = world
        .webhooks
        .deliveries(&info.id)
        .await
        .unwrap()
        .dead_letters;
    for (of, events) in known {
        let letters = dead
            .iter()
            .filter(|letter| letter.conversation_id == Some(of.id));
        let spans: Vec<(u64, u64)> = letters
            .filter_map(|letter| Some((letter.first_seq?.0, letter.last_seq?.0)))
            .collect();
        let wanted: Vec<&EventId> = (0..)
            .zip(&events)
            .filter(|(seq, _)| {
                !spans
                    .iter()
                    .any(|(first, last)| (first..=last).contains(&seq))
            })
            .map(|(_, id)| id)
            .collect();
        let mut seen: Vec<EventId> = Vec::new();
        for got in world.receiver.got().iter().filter(|got| got.kept) {
            for event in got.body.as_array().into_iter().flatten() {
                let id = EventId(event["id"].as_str().unwrap().to_owned());
                if wanted.contains(&&id) && !seen.contains(&id) {
                    seen.push(id);
                }
            }
        }
        prop_assert_eq!(seen.iter().collect::<Vec<_>>(), wanted);
    }
    Ok(())
}

struct Crashed {
    memory: Arc<Memory>,
    receiver: Arc<Receiver>,
}

async fn crash(world: World) -> Crashed {
    drop(world.webhooks);
    wait(1).await;
    Crashed {
        memory: world.memory,
        receiver: world.receiver,
    }
}
