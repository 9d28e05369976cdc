//! A source's pages in the form of the connection, with heartbeats when nothing happens.

use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use crate::{
    form::Form, gathered::Gathered, goodbye::Goodbye, outlet::Frames, places::SocketPlace,
    source::Source,
};

/// One page at a time: the next is fetched when this one was taken. The place is left with the frames.
pub(crate) fn frames(source: Source, form: Form, every: Duration, place: SocketPlace) -> Frames {
    let mut beat = interval_at(Instant::now() + every, every);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let telling = Telling {
        source,
        form,
        beat,
        begun: false,
        ending: None,
        _place: place,
    };
    let next = async |telling: Option<Telling>| {
        let mut telling = telling?;
        match telling.next().await {
            Ok(chunk) => Some((Ok(chunk), Some(telling))),
            Err(goodbye) => Some((Err(goodbye), None)),
        }
    };
    stream::unfold(Some(telling), next).boxed_local()
}

struct Telling {
    source: Source,
    form: Form,
    beat: Interval,
    begun: bool,
    /// Why nothing comes after the chunk that was told last.
    ending: Option<Goodbye>,
    _place: SocketPlace,
}

impl Telling {
    /// The next frames, at least one.
    async fn next(&mut self) -> Result<Gathered, Goodbye> {
        if let Some(goodbye) = self.ending.take() {
            return Err(goodbye);
        }
        if !self.begun {
            self.begun = true;
            let chunk = self.greeting()?;
            if !chunk.is_empty() {
                return Ok(chunk);
            }
        }
        tokio::select! {
            page = self.source.next() => {
                let page = page?;
                let mut chunk = Form::chunk(&page);
                for out in page {
                    if let Err(goodbye) = self.form.frame(out, &mut chunk) {
                        // What comes before it is told.
                        if chunk.is_empty() {
                            return Err(goodbye);
                        }
                        self.ending = Some(goodbye);
                        break;
                    }
                }
                Ok(chunk)
            }
            _ = self.beat.tick() => {
                let mut chunk = Gathered::default();
                self.form.heartbeat(chunk.small())?;
                if let Some(out) = self.source.beat() {
                    self.form.frame(out, &mut chunk)?;
                }
                Ok(chunk)
            }
        }
    }

    fn greeting(&mut self) -> Result<Gathered, Goodbye> {
        let mut chunk = Gathered::default();
        self.form.greeting(self.source.place(), chunk.small());
        if let Some(out) = self.source.greeting() {
            self.form.frame(out, &mut chunk)?;
        }
        Ok(chunk)
    }
}
