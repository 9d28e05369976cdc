use std::{collections::HashMap, sync::Arc, time::Duration};

use core_model::{
    ConversationKey, EventId,
    ExecutionStatus::{Finished, Running},
    port::{Deliveries as _, DeliveryList, Rewind},
};
use proptest::prelude::*;

use super::{beginning, openhands, readme, start_each, wait};
use crate::{
    WebhookConfig, Webhooks,
    testing::{Memory, Reaction, TestReceiver},
};

#[derive(Clone, Debug)]
enum Happening {
    Make(u16),
    Grow(u16, usize, bool),
    Remove(u16),
    /// Of one of the receivers.
    Answers(usize, Vec<Reaction>),
    Wait(u64),
    Rewind(Option<u16>),
    /// Cleanly, with so many milliseconds to deliver what waits.
    Restart(u64),
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
    let answers = proptest::collection::vec(reaction(), 1..8);
    prop_oneof![
        3 => (0_u16..4).prop_map(Happening::Make),
        8 => (0_u16..4, 0_usize..25, any::<bool>()).prop_map(|(of, n, run)| Happening::Grow(of, n, run)),
        1 => (0_u16..4).prop_map(Happening::Remove),
        4 => (0_usize..2, answers).prop_map(|(of, answers)| Happening::Answers(of, answers)),
        5 => prop_oneof![0_u64..300, 300_u64..60_000].prop_map(Happening::Wait),
        1 => proptest::option::of(0_u16..4).prop_map(Happening::Rewind),
        1 => (0_u64..5_000).prop_map(Happening::Restart),
        2 => any::<bool>().prop_map(|power| Happening::Crash { power }),
        1 => Just(Happening::LoseFeed),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Whatever the receivers answer and whenever the server dies: without doubles, what a receiver has
    /// of a conversation, dead letters apart, is its log, in its order.
    #[test]
    fn nothing_is_lost_and_the_order_stays(
        happenings in proptest::collection::vec(happening(), 1..40),
    ) {
        let tokio = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        tokio.block_on(check(happenings))?;
    }
}

async fn check(happenings: Vec<Happening>) -> Result<(), TestCaseError> {
    let mut world = World::new().await;
    for happening in happenings {
        world = world.after(happening).await;
    }
    for receiver in &world.receivers {
        receiver.always(None);
    }
    // Long enough for every probe.
    wait(600_000).await;
    for of in world.alive.values() {
        world.known.insert(*of, world.memory.events(of).unwrap());
    }
    for (info, receiver) in world.webhooks.webhooks().await.iter().zip(&world.receivers) {
        prop_assert_eq!((info.lag.events, info.lag.conversations), (0, 0));
        let list = world.webhooks.deliveries(&info.id).await.unwrap();
        for (of, events) in &world.known {
            let wanted = without_dead(of, events, &list);
            prop_assert_eq!(kept(receiver, &wanted), wanted);
        }
    }
    Ok(())
}

/// Two webhooks, one of each form.
struct World {
    memory: Arc<Memory>,
    receivers: [Arc<TestReceiver>; 2],
    webhooks: Webhooks,
    alive: HashMap<u16, ConversationKey>,
    /// The last known events of conversations that are gone.
    known: HashMap<ConversationKey, Vec<EventId>>,
}

impl World {
    async fn new() -> Self {
        let memory = Memory::new();
        let receivers = [TestReceiver::new([]), TestReceiver::new([])];
        Self {
            webhooks: start_each(&memory, configs(), &receivers).await,
            memory,
            receivers,
            alive: HashMap::new(),
            known: HashMap::new(),
        }
    }

    async fn after(mut self, happening: Happening) -> Self {
        match happening {
            Happening::Make(nth) => self.alive.extend(self.memory.make(nth).map(|of| (nth, of))),
            Happening::Grow(nth, events, running) => {
                let status = if running { Running } else { Finished };
                self.memory.grow(nth, events, status);
            }
            Happening::Remove(nth) => {
                if let Some(of) = self.alive.remove(&nth) {
                    self.known.insert(of, self.memory.events(&of).unwrap());
                    self.memory.remove(nth);
                }
            }
            Happening::Answers(of, script) => self.receivers[of].script(script),
            Happening::Wait(millis) => wait(millis).await,
            Happening::Rewind(nth) => {
                let of = nth.and_then(|nth| self.alive.get(&nth));
                let to = Rewind {
                    conversation_id: of.map(|of| of.id),
                    seq: None,
                };
                for info in self.webhooks.webhooks().await {
                    self.webhooks.rewind(&info.id, to).await.unwrap();
                }
            }
            Happening::Restart(millis) => {
                self.webhooks.drain(Duration::from_millis(millis)).await;
                return self.start_again(|_| ()).await;
            }
            Happening::Crash { power: false } => return self.start_again(|_| ()).await,
            Happening::Crash { power: true } => return self.start_again(Memory::cut_power).await,
            Happening::LoseFeed => return self.start_again(Memory::lose_feed).await,
        }
        self
    }

    async fn start_again(self, meanwhile: impl Fn(&Memory)) -> Self {
        drop(self.webhooks);
        wait(1).await;
        meanwhile(&self.memory);
        Self {
            webhooks: start_each(&self.memory, configs(), &self.receivers).await,
            ..self
        }
    }
}

fn configs() -> Vec<WebhookConfig> {
    vec![beginning(readme()), beginning(openhands())]
}

/// The events that no dead letter accounts for.
fn without_dead(of: &ConversationKey, events: &[EventId], list: &DeliveryList) -> Vec<EventId> {
    let letters = list.dead_letters.iter();
    let spans: Vec<(u64, u64)> = letters
        .filter(|letter| letter.conversation_id == Some(of.id))
        .filter_map(|letter| Some((letter.first_seq?.0, letter.last_seq?.0)))
        .collect();
    let dead = |seq: u64| {
        spans
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&seq))
    };
    (0..)
        .zip(events)
        .filter(|(seq, _)| !dead(*seq))
        .map(|(_, id)| id.clone())
        .collect()
}

/// Which of these a receiver has, each once, in the order in which they came.
fn kept(receiver: &TestReceiver, wanted: &[EventId]) -> Vec<EventId> {
    let mut seen: Vec<EventId> = Vec::new();
    for got in receiver.got().iter().filter(|got| got.kept) {
        for event in got.body.as_array().into_iter().flatten() {
            let id = EventId(event["id"].as_str().unwrap().to_owned());
            if wanted.contains(&id) && !seen.contains(&id) {
                seen.push(id);
            }
        }
    }
    seen
}
