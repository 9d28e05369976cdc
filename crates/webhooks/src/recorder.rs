//! Puts down how far a webhook got: after the fact, in few writes and fewer syncs.

use std::{collections::HashMap, future::pending, pin::Pin, sync::Arc, time::Duration};

use core_model::{
    StoreError,
    port::{Cursors, DeadLetter, Incarnation, Note},
};
use tokio::time::{Instant, sleep_until};

use crate::standing::{Place, Standing};

/// How long what was put down may be at the mercy of a power cut, which would bring doubles.
const SYNC_EVERY: Duration = Duration::from_millis(250);
/// How long the place in the feed may be behind, which a start would read again.
const FEED_EVERY: Duration = Duration::from_secs(1);
/// How long a failed write waits for the next try.
const AGAIN: Duration = Duration::from_secs(5);
/// Notes after which they are put together, if they are more than twice what came of that the last time.
const MANY: usize = 20_000;

type Saving = Pin<Box<dyn Future<Output = Saved> + Send>>;
/// Tells whether the cursor of a conversation is still of use.
pub(crate) type Keep = Arc<dyn Fn(&Incarnation) -> bool + Send + Sync>;

pub(crate) struct Recorder {
    follower: String,
    cursors: Arc<dyn Cursors>,
    /// Cursors to be put down.
    places: HashMap<Incarnation, Place>,
    /// To be put down, durably, before those.
    first: Vec<Note>,
    feed: Option<Note>,
    feed_due: Instant,
    saving: Option<Saving>,
    not_before: Instant,
    synced: Instant,
    unsynced: bool,
    failing: bool,
    /// Notes in the file, and how many there were when they were last put together.
    notes: usize,
    fewest: usize,
}

/// What became of one write.
struct Saved {
    places: HashMap<Incarnation, Place>,
    first: Vec<Note>,
    feed: Option<Note>,
    synced: bool,
    /// How many notes there are now, after they were put together.
    fewest: Option<usize>,
    outcome: Result<(), StoreError>,
}

impl Recorder {
    pub(crate) fn new(follower: String, cursors: Arc<dyn Cursors>, notes: usize) -> Self {
        let now = Instant::now();
        Self {
            follower,
            cursors,
            places: HashMap::new(),
            first: Vec::new(),
            feed: None,
            feed_due: now,
            saving: None,
            not_before: now,
            synced: now,
            unsynced: false,
            failing: false,
            notes,
            fewest: 0,
        }
    }

    pub(crate) fn place(&mut self, of: Incarnation, place: Place) {
        self.places.insert(of, place);
    }

    /// A place in the feed that is known to be dealt with.
    pub(crate) fn feed(&mut self, note: Note) {
        if self.feed.is_none() {
            self.feed_due = Instant::now() + FEED_EVERY;
        }
        self.feed = Some(note);
    }

    pub(crate) fn dead(&mut self, letter: DeadLetter) {
        self.first.push(Note::Dead(Box::new(letter)));
    }

    pub(crate) fn revived(&mut self, id: String) {
        self.first.push(Note::Revived { id });
    }

    /// Whether anything is still to be put down.
    pub(crate) fn is_done(&self) -> bool {
        self.saving.is_none()
            && self.places.is_empty()
            && self.first.is_empty()
            && self.feed.is_none()
            && !self.unsynced
    }

    /// Does what there is to do, one write at a time; returns after each, and else waits.
    ///
    /// # Cancel safety
    /// Safe: what was begun goes on in the next call.
    pub(crate) async fn work(&mut self, keep: &Keep) {
        loop {
            if let Some(saving) = &mut self.saving {
                let saved = saving.await;
                self.saving = None;
                self.take(saved);
                return;
            }
            match self.due() {
                None => pending().await,
                Some(due) if due > Instant::now() => sleep_until(due).await,
                Some(_) => self.begin(keep),
            }
        }
    }

    /// Puts down everything durably, and these notes after it, before this returns.
    ///
    /// # Errors
    /// When that fails; what was to be put down before is tried again later, these are not.
    pub(crate) async fn put(&mut self, notes: Vec<Note>) -> Result<(), StoreError> {
        if let Some(saving) = self.saving.take() {
            let saved = saving.await;
            self.take(saved);
        }
        self.notes += notes.len();
        self.cursors.append(&self.follower, notes.clone()).await?;
        self.cursors.sync(&self.follower).await?;
        // What is older must not come after it.
        for note in &notes {
            match note {
                Note::Cursor { conversation, .. } => {
                    self.places.remove(conversation);
                }
                Note::Rewound { .. } => {
                    self.places.clear();
                    self.feed = None;
                }
                Note::Follower { .. }
                | Note::Removed { .. }
                | Note::Feed { .. }
                | Note::Dead(_)
                | Note::Revived { .. } => {}
            }
        }
        Ok(())
    }

    /// All is to be put down now.
    pub(crate) fn hurry(&mut self) {
        let now = Instant::now();
        self.feed_due = now;
        self.not_before = now;
        self.synced = now.checked_sub(SYNC_EVERY).unwrap_or(now);
    }

    fn due(&self) -> Option<Instant> {
        let now = !self.places.is_empty() || !self.first.is_empty();
        let feed = self.feed.is_some().then_some(self.feed_due);
        let sync = self.unsynced.then_some(self.synced + SYNC_EVERY);
        let due = [now.then_some(self.not_before), feed, sync];
        let due = due.into_iter().flatten().min()?;
        Some(due.max(self.not_before))
    }

    fn begin(&mut self, keep: &Keep) {
        let places = std::mem::take(&mut self.places);
        let first = std::mem::take(&mut self.first);
        let feed = self.feed.take();
        let wanted = places.len() + first.len() + usize::from(feed.is_some());
        self.notes += wanted;
        let sync = self.synced + SYNC_EVERY <= Instant::now();
        let fold = self.notes > MANY.max(self.fewest * 2);
        let (cursors, follower) = (Arc::clone(&self.cursors), self.follower.clone());
        let keep = Arc::clone(keep);
        self.saving = Some(Box::pin(async move {
            let mut fewest = None;
            let outcome = async {
                if !first.is_empty() {
                    // A cursor that passes over a dead letter must not be all that is left of it.
                    cursors.append(&follower, first.clone()).await?;
                    cursors.sync(&follower).await?;
                }
                let mut notes: Vec<Note> = places.iter().map(cursor).collect();
                notes.extend(feed.clone());
                if !notes.is_empty() {
                    cursors.append(&follower, notes).await?;
                }
                if fold {
                    fewest = put_together(cursors.as_ref(), &follower, &keep).await?;
                } else if sync {
                    cursors.sync(&follower).await?;
                }
                Ok(())
            }
            .await;
            Saved {
                places,
                first,
                feed,
                synced: sync || fold,
                fewest,
                outcome,
            }
        }));
    }

    fn take(&mut self, saved: Saved) {
        let now = Instant::now();
        if let Some(fewest) = saved.fewest {
            self.notes = fewest;
            self.fewest = fewest;
        }
        match saved.outcome {
            Ok(()) => {
                self.unsynced = !saved.synced;
                if saved.synced {
                    self.synced = now;
                }
                if std::mem::take(&mut self.failing) {
                    tracing::info!(webhook.id = self.follower, "its place is put down again");
                }
            }
            Err(error) => {
                // What is newer stays; the rest is for the next try.
                for (of, place) in saved.places {
                    self.places.entry(of).or_insert(place);
                }
                let newer = std::mem::replace(&mut self.first, saved.first);
                self.first.extend(newer);
                self.feed = self.feed.take().or(saved.feed);
                self.not_before = now + AGAIN;
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::error!(
                        webhook.id = self.follower, %error,
                        "how far a webhook got cannot be put down; a restart would deliver some events again"
                    );
                }
            }
        }
    }
}

fn cursor((conversation, place): (&Incarnation, &Place)) -> Note {
    Note::Cursor {
        conversation: *conversation,
        next: place.next,
        rewound: place.rewound,
    }
}

async fn put_together(
    cursors: &dyn Cursors,
    follower: &str,
    keep: &Keep,
) -> Result<Option<usize>, StoreError> {
    let notes = cursors.notes(follower).await?;
    let Some(standing) = Standing::fold(notes) else {
        return Ok(None);
    };
    let notes = standing.notes(|of| keep(of));
    let fewest = notes.len();
    cursors.replace(follower, notes).await?;
    Ok(Some(fewest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Memory;
    use core_model::Seq;

    #[tokio::test(start_paused = true)]
    async fn many_notes_are_put_together_and_gone_conversations_left_out() {
        let memory = Memory::new();
        let (here, gone) = (memory.make(0).unwrap(), memory.make(1).unwrap());
        let keep: Keep = Arc::new(move |of| *of == here);
        let mut recorder = Recorder::new("it".to_owned(), Arc::clone(&memory) as _, 0);
        for next in 0..MANY as u64 {
            let rewound = None;
            let next = Seq(next);
            recorder.place(here, Place { next, rewound });
            recorder.place(gone, Place { next, rewound });
            recorder.work(&keep).await;
        }
        let notes = memory.notes_of("it");
        assert!(notes.len() < 2 * MANY, "{}", notes.len());
        let standing = Standing::fold(notes).unwrap();
        assert_eq!(standing.cursors[&here].next, Seq(MANY as u64 - 1));
    }

    #[tokio::test(start_paused = true)]
    async fn what_could_not_be_put_down_is_put_down_later_unless_it_is_outdated() {
        let memory = Memory::new();
        let (one, two) = (memory.make(0).unwrap(), memory.make(1).unwrap());
        let keep: Keep = Arc::new(|_| true);
        let mut recorder = Recorder::new("it".to_owned(), Arc::clone(&memory) as _, 0);
        let place = |next| Place {
            next: Seq(next),
            rewound: None,
        };
        memory.refuse(true);
        recorder.place(one, place(1));
        recorder.place(two, place(1));
        recorder.work(&keep).await;
        assert!(memory.notes_of("it").is_empty() && !recorder.is_done());
        memory.refuse(false);
        recorder.place(one, place(2));
        while !recorder.is_done() {
            recorder.work(&keep).await;
        }
        let standing = Standing::fold(memory.notes_of("it")).unwrap();
        let next = |of| standing.cursors[of].next.0;
        assert_eq!((next(&one), next(&two)), (2, 1));
    }
}
