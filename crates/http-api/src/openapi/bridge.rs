//! paperclip asks each extractor and responder for a description. Ours answer with a placeholder
//! and let schemars describe the type behind it; `finish` later puts the one in place of the other.

use std::{cell::RefCell, collections::BTreeMap};

use paperclip::{
    actix::OperationModifier,
    v2::{
        models::{
            DataType, DataTypeFormat, DefaultOperationRaw, DefaultSchemaRaw, Either, Parameter,
            ParameterIn, Response,
        },
        schema::Apiv2Schema,
    },
};
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value};

use crate::{
    extract::{
        Body, ConversationPath, DeliveryPath, Dialect, EventPath, LastEventId, Query, RawBody,
        RequestBody, Server, SocketPayload, WebhookPath,
    },
    idempotency::{IdempotencyKey, Once},
    reply::{Made, Readiness, Reply, Streamed, Upgraded, Verbatim},
};

/// What marks a query parameter that stands for a whole struct of them.
pub(super) const QUERY_MARK: &str = "x-query:";

/// The schemas that were asked for while recording.
pub(super) struct Schemas {
    generator: SchemaGenerator,
    by_placeholder: BTreeMap<String, Value>,
}

impl Schemas {
    fn new() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        });
        Self {
            generator: settings.into_generator(),
            by_placeholder: BTreeMap::new(),
        }
    }

    /// Describes a type that no route mentions.
    pub(super) fn add<T: JsonSchema>(&mut self) -> Value {
        self.generator.subschema_for::<T>().to_value()
    }

    /// The named definitions, and what each placeholder stands for.
    pub(super) fn take(mut self) -> (Map<String, Value>, BTreeMap<String, Value>) {
        (self.generator.take_definitions(true), self.by_placeholder)
    }
}

thread_local! {
    static RECORDING: RefCell<Option<Schemas>> = const { RefCell::new(None) };
}

/// Runs `walk` and returns what it asked for.
pub(super) fn recording(walk: impl FnOnce()) -> Schemas {
    RECORDING.set(Some(Schemas::new()));
    walk();
    RECORDING.take().unwrap_or_else(Schemas::new)
}

/// A reference to `T` that only `finish` can resolve.
fn placeholder<T: JsonSchema>() -> DefaultSchemaRaw {
    // Hex, as paperclip escapes some of the characters of a type's name and not others.
    let name: String = T::schema_id()
        .bytes()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    RECORDING.with_borrow_mut(|recording| {
        if let Some(schemas) = recording {
            let schema = schemas.add::<T>();
            schemas.by_placeholder.insert(name.clone(), schema);
        }
    });
    DefaultSchemaRaw {
        name: Some(name.clone()),
        data_type: Some(DataType::Object),
        reference: Some(format!("#/definitions/{name}")),
        ..DefaultSchemaRaw::default()
    }
}

fn reference<T: JsonSchema>() -> DefaultSchemaRaw {
    let mut schema = placeholder::<T>();
    schema.retain_ref();
    schema
}

fn answer<T: JsonSchema>(op: &mut DefaultOperationRaw, status: &str, description: &str) {
    let response = Response {
        description: Some(description.to_owned()),
        schema: Some(reference::<T>()),
        ..Response::default()
    };
    op.responses
        .insert(status.to_owned(), Either::Right(response));
}

fn path_parameter(op: &mut DefaultOperationRaw, name: &str, uuid: bool, description: &str) {
    op.parameters.push(Either::Right(Parameter {
        in_: ParameterIn::Path,
        name: name.to_owned(),
        description: Some(description.to_owned()),
        required: true,
        data_type: Some(DataType::String),
        format: uuid.then_some(DataTypeFormat::Uuid),
        ..Parameter::default()
    }));
}

fn header_parameter(op: &mut DefaultOperationRaw, name: &str, description: &str) {
    op.parameters.push(Either::Right(Parameter {
        in_: ParameterIn::Header,
        name: name.to_owned(),
        description: Some(description.to_owned()),
        data_type: Some(DataType::String),
        ..Parameter::default()
    }));
}

/// paperclip also wants each type's definitions, which are schemars' business here.
macro_rules! modifier {
    (each $generic:ident: $type:ty { $($body:tt)* }) => {
        impl<$generic> Apiv2Schema for $type {}
        impl<$generic: JsonSchema> OperationModifier for $type {
            fn update_definitions(_: &mut BTreeMap<String, DefaultSchemaRaw>) {}
            $($body)*
        }
    };
    ($type:ty { $($body:tt)* }) => {
        impl Apiv2Schema for $type {}
        impl OperationModifier for $type {
            fn update_definitions(_: &mut BTreeMap<String, DefaultSchemaRaw>) {}
            $($body)*
        }
    };
}

modifier!(Server { fn update_parameter(_: &mut DefaultOperationRaw) {} });
modifier!(Dialect { fn update_parameter(_: &mut DefaultOperationRaw) {} });
modifier!(SocketPayload { fn update_parameter(_: &mut DefaultOperationRaw) {} });
modifier!(RawBody { fn update_parameter(_: &mut DefaultOperationRaw) {} });

modifier!(ConversationPath {
    fn update_parameter(op: &mut DefaultOperationRaw) {
        let about = "The conversation, as a UUID with dashes or as 32 hex digits.";
        path_parameter(op, "conversation_id", true, about);
    }
});

modifier!(EventPath {
    fn update_parameter(op: &mut DefaultOperationRaw) {
        path_parameter(op, "event_id", false, "The event's id.");
    }
});

modifier!(WebhookPath {
    fn update_parameter(op: &mut DefaultOperationRaw) {
        let about = "The webhook's name, or its id. What is special in URLs has to be percent-encoded, `/` \
                     as `%2F`; ids need none of that.";
        path_parameter(op, "name", false, about);
    }
});

modifier!(DeliveryPath {
    fn update_parameter(op: &mut DefaultOperationRaw) {
        let about = "The delivery's id, as the list and the header `webhook-id` have it.";
        path_parameter(op, "delivery_id", false, about);
    }
});

modifier!(each T: Query<T> {
    fn update_parameter(op: &mut DefaultOperationRaw) {
        let name = placeholder::<T>().name.unwrap_or_default();
        op.parameters.push(Either::Right(Parameter {
            in_: ParameterIn::Query,
            name: format!("{QUERY_MARK}{name}"),
            data_type: Some(DataType::String),
            ..Parameter::default()
        }));
    }
});

impl<T> Apiv2Schema for Body<T> {}

impl<T: JsonSchema + RequestBody> OperationModifier for Body<T> {
    fn update_parameter(op: &mut DefaultOperationRaw) {
        op.parameters.push(Either::Right(Parameter {
            in_: ParameterIn::Body,
            name: "body".to_owned(),
            required: !T::OPTIONAL,
            schema: Some(reference::<T>()),
            ..Parameter::default()
        }));
    }

    fn update_definitions(_: &mut BTreeMap<String, DefaultSchemaRaw>) {}
}

modifier!(each T: Reply<T> {
    fn update_response(op: &mut DefaultOperationRaw) {
        answer::<T>(op, "200", "Done");
    }
});

impl<R> Apiv2Schema for Once<R> {}

impl<R: OperationModifier> OperationModifier for Once<R> {
    fn update_response(op: &mut DefaultOperationRaw) {
        R::update_response(op);
    }

    fn update_definitions(_: &mut BTreeMap<String, DefaultSchemaRaw>) {}
}

modifier!(LastEventId {
    fn update_parameter(op: &mut DefaultOperationRaw) {
        let description = "Goes on after what had this id, rather than where the query says. \
                           `EventSource` sends it when it comes back.";
        header_parameter(op, "Last-Event-ID", description);
    }
});

modifier!(IdempotencyKey {
    fn update_parameter(op: &mut DefaultOperationRaw) {
        let description = "Names this request: sent again with the same key and body, within a day and \
                           also across restarts, it has one effect and gets the same answer, marked \
                           with `Idempotency-Replayed`. With another body it is a 409.";
        header_parameter(op, "Idempotency-Key", description);
    }
});

modifier!(each T: Verbatim<T> {
    fn update_response(op: &mut DefaultOperationRaw) {
        answer::<T>(op, "200", "Done");
    }
});

modifier!(each T: Made<T> {
    fn update_response(op: &mut DefaultOperationRaw) {
        answer::<T>(op, "201", "Made");
        answer::<T>(op, "200", "There already; nothing was changed");
    }
});

modifier!(each T: Readiness<T> {
    fn update_response(op: &mut DefaultOperationRaw) {
        answer::<T>(op, "200", "Ready");
        answer::<T>(op, "503", "Not ready; `reason` says why");
    }
});

modifier!(Streamed {
    fn update_response(op: &mut DefaultOperationRaw) {
        let response = Response {
            description: Some("An event stream that goes on".to_owned()),
            ..Response::default()
        };
        op.responses.insert("200".to_owned(), Either::Right(response));
    }
});

modifier!(Upgraded {
    fn update_response(op: &mut DefaultOperationRaw) {
        let response = Response {
            description: Some("The connection is a WebSocket from here on".to_owned()),
            ..Response::default()
        };
        op.responses.insert("101".to_owned(), Either::Right(response));
    }
});
