use std::sync::Arc;

use actix_web::HttpRequest;
use core_model::port::Deliveries;

use super::examples;
use crate::{
    describe::PathPart,
    failure::Failure,
    request::{PathParameter, Server, decoded},
};

/// The webhook that a path names. A name may contain anything, slashes too.
pub(super) struct WebhookName(pub(super) String);

impl PathParameter for WebhookName {
    const PART: PathPart = PathPart {
        name: "name",
        about: "The webhook's name, or its id. What is special in URLs has to be percent-encoded, `/` \
                as `%2F`; ids need none of that.",
        example: examples::WEBHOOK,
        is_uuid: false,
    };

    fn read(request: &HttpRequest) -> Result<Self, Failure> {
        decoded(request, Self::PART.name).map(Self)
    }
}

impl WebhookName {
    /// What is known of its deliveries; a host that delivers nothing has no webhook of any name.
    pub(super) fn deliveries(&self, server: &Server) -> Result<Arc<dyn Deliveries>, Failure> {
        let deliveries = server.config.webhooks.clone();
        deliveries.ok_or_else(|| Failure::WebhookNotFound(self.0.clone()))
    }
}

/// The delivery that a path names.
pub(super) struct DeliveryId(pub(super) String);

impl PathParameter for DeliveryId {
    const PART: PathPart = PathPart {
        name: "delivery_id",
        about: "The delivery's id, as the list and the header `webhook-id` have it.",
        example: examples::DELIVERY,
        is_uuid: false,
    };

    fn read(request: &HttpRequest) -> Result<Self, Failure> {
        decoded(request, Self::PART.name).map(Self)
    }
}
