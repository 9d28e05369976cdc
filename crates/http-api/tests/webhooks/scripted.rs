use std::{
    mem,
    sync::{Mutex, MutexGuard},
};

use async_trait::async_trait;
use core_model::{
    Seq, UtcTime,
    port::{
        Attempt, Deliveries, DeliveriesError, Delivery, DeliveryList, DeliverySubject, Lag,
        Outcome, Rewind, Rewound, WebhookForm, WebhookInfo, WebhookState,
    },
};

/// A name as configured, and one that was made from an address.
pub(crate) const NAMES: [&str; 2] = ["crm", "http://localhost:9000/in box/100%2F+ü?;"];

/// Delivers nothing, and writes down what it is asked for.
#[derive(Default)]
pub(crate) struct Scripted {
    calls: Mutex<Vec<String>>,
    refusal: Mutex<Option<DeliveriesError>>,
}

impl Scripted {
    /// The next call is refused.
    pub(crate) fn refuse(&self, why: DeliveriesError) {
        *self.refusal.lock().unwrap() = Some(why);
    }

    /// What it was asked for since the last time.
    pub(crate) fn calls(&self) -> Vec<String> {
        mem::take(&mut *self.said())
    }

    fn called(&self, call: String) -> Result<(), DeliveriesError> {
        self.said().push(call);
        self.refusal.lock().unwrap().take().map_or(Ok(()), Err)
    }

    fn said(&self) -> MutexGuard<'_, Vec<String>> {
        self.calls.lock().unwrap()
    }
}

#[async_trait]
impl Deliveries for Scripted {
    async fn webhooks(&self) -> Vec<WebhookInfo> {
        NAMES.map(webhook).into()
    }

    async fn deliveries(&self, webhook: &str) -> Result<DeliveryList, DeliveriesError> {
        self.called(format!("deliveries {webhook}"))?;
        Ok(DeliveryList {
            items: ["d3", "d2"].map(delivery).into(),
            dead_letters: ["d0", "d1"].map(delivery).into(),
        })
    }

    async fn redeliver(&self, webhook: &str, id: &str) -> Result<Attempt, DeliveriesError> {
        self.called(format!("redeliver {webhook} {id}"))?;
        Ok(Attempt {
            id: id.to_owned(),
            delivered: true,
            status: Some(204),
            reason: None,
            milliseconds: 1.5,
        })
    }

    /// Nobody answers.
    async fn test(&self, webhook: &str) -> Result<Attempt, DeliveriesError> {
        self.called(format!("test {webhook}"))?;
        Ok(Attempt {
            id: "t1".to_owned(),
            delivered: false,
            status: None,
            reason: Some("connection refused".to_owned()),
            milliseconds: 0.5,
        })
    }

    async fn rewind(&self, webhook: &str, to: Rewind) -> Result<Rewound, DeliveriesError> {
        let id = to.conversation_id.map(|id| id.to_string());
        let seq = to.seq.map(|seq| seq.0);
        self.called(format!("rewind {webhook} {id:?} {seq:?}"))?;
        Ok(Rewound {
            conversations: 2,
            events: 9,
        })
    }
}

/// Its id is the length of its name.
pub(crate) fn webhook(name: &str) -> WebhookInfo {
    WebhookInfo {
        name: name.to_owned(),
        id: format!("id-{}", name.len()),
        url: "http://localhost:9000/in".to_owned(),
        form: WebhookForm::BaseUrl,
        state: WebhookState::Delivering,
        lag: Lag {
            events: 3,
            conversations: 1,
            seconds: 0.25,
        },
        in_flight: 1,
        delivered_events: 5,
        succeeded: 2,
        failed: 0,
        last_success_at: Some(noon()),
        last_error: None,
        probes: None,
        paused_until: None,
        dead_letters: 2,
    }
}

pub(crate) fn delivery(id: &str) -> Delivery {
    Delivery {
        id: id.to_owned(),
        subject: DeliverySubject::Events,
        conversation_id: None,
        first_seq: Some(Seq(4)),
        last_seq: Some(Seq(5)),
        events: 2,
        outcome: Outcome::Dead,
        attempts: 3,
        status: Some(400),
        reason: Some("400 Bad Request".to_owned()),
        at: noon(),
        milliseconds: None,
    }
}

fn noon() -> UtcTime {
    serde_json::from_str(r#""2026-01-31T12:00:00.000001Z""#).unwrap()
}
