//! How the types that handlers take and give back describe themselves. paperclip asks each of them; they
//! answer with a placeholder and let schemars describe the type behind it. `openapi` later replaces the
//! placeholder.

use std::{cell::RefCell, collections::BTreeMap};

use paperclip::v2::models::{
    DataType, DataTypeFormat, DefaultOperationRaw, DefaultSchemaRaw, Either, Parameter,
    ParameterIn, Response,
};
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

/// Marks a query parameter that stands for a whole struct of them; the placeholder follows.
pub(crate) const QUERY_MARK: &str = "x-query:";
/// Marks a header parameter that paperclip cannot describe; its index in [`Recorded::headers`] follows.
pub(crate) const HEADER_MARK: &str = "x-header:";

/// What was recorded while the operations were described.
pub(crate) struct Recorded {
    generator: SchemaGenerator,
    /// What each placeholder stands for.
    pub(crate) by_placeholder: BTreeMap<String, Value>,
    /// What the parts of paths look like, by their names.
    pub(crate) path_examples: BTreeMap<&'static str, &'static str>,
    pub(crate) headers: Vec<Value>,
}

impl Recorded {
    fn new() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        });
        Self {
            generator: settings.into_generator(),
            by_placeholder: BTreeMap::new(),
            path_examples: BTreeMap::new(),
            headers: Vec::new(),
        }
    }

    /// Describes a type.
    pub(crate) fn add<T: JsonSchema>(&mut self) -> Value {
        self.generator.subschema_for::<T>().to_value()
    }

    /// The definitions of all named types.
    pub(crate) fn take_definitions(&mut self) -> Map<String, Value> {
        self.generator.take_definitions(true)
    }
}

thread_local! {
    static RECORDED: RefCell<Option<Recorded>> = const { RefCell::new(None) };
}

/// Runs `walk` and returns what types described meanwhile.
pub(crate) fn recording(walk: impl FnOnce()) -> Recorded {
    RECORDED.set(Some(Recorded::new()));
    walk();
    RECORDED.take().unwrap_or_else(Recorded::new)
}

fn record(what: impl FnOnce(&mut Recorded)) {
    RECORDED.with_borrow_mut(|recorded| recorded.as_mut().map(what));
}

/// The operation answers with a JSON body.
pub(crate) fn answer<T: JsonSchema>(op: &mut DefaultOperationRaw, status: &str, meaning: &str) {
    let response = Response {
        description: Some(meaning.to_owned()),
        schema: Some(reference::<T>()),
        ..Response::default()
    };
    op.responses
        .insert(status.to_owned(), Either::Right(response));
}

/// The operation answers with something other than JSON.
pub(crate) fn other_answer(op: &mut DefaultOperationRaw, status: &str, meaning: &str) {
    let response = Response {
        description: Some(meaning.to_owned()),
        ..Response::default()
    };
    op.responses
        .insert(status.to_owned(), Either::Right(response));
}

/// A part of the path.
pub(crate) struct PathPart {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) example: &'static str,
    pub(crate) is_uuid: bool,
}

pub(crate) fn path_parameter(op: &mut DefaultOperationRaw, part: &PathPart) {
    record(|recorded| {
        recorded.path_examples.insert(part.name, part.example);
    });
    op.parameters.push(Either::Right(Parameter {
        in_: ParameterIn::Path,
        name: part.name.to_owned(),
        description: Some(part.about.to_owned()),
        required: true,
        data_type: Some(DataType::String),
        format: part.is_uuid.then_some(DataTypeFormat::Uuid),
        ..Parameter::default()
    }));
}

pub(crate) fn header_parameter(
    op: &mut DefaultOperationRaw,
    name: &str,
    about: &str,
    pattern: Option<&str>,
) {
    let mut schema = json!({"type": "string"});
    if let Some(pattern) = pattern {
        schema["pattern"] = json!(pattern);
    }
    let header = json!({
        "in": "header", "name": name, "description": about, "schema": schema, "style": "simple"
    });
    record(|recorded| {
        let index = recorded.headers.len();
        recorded.headers.push(header);
        op.parameters.push(Either::Right(Parameter {
            in_: ParameterIn::Header,
            name: format!("{HEADER_MARK}{index}"),
            data_type: Some(DataType::String),
            ..Parameter::default()
        }));
    });
}

/// The fields of `T` are query parameters.
pub(crate) fn query_parameters<T: JsonSchema>(op: &mut DefaultOperationRaw) {
    let name = placeholder::<T>().name.unwrap_or_default();
    op.parameters.push(Either::Right(Parameter {
        in_: ParameterIn::Query,
        name: format!("{QUERY_MARK}{name}"),
        data_type: Some(DataType::String),
        ..Parameter::default()
    }));
}

pub(crate) fn body<T: JsonSchema>(op: &mut DefaultOperationRaw, required: bool) {
    op.parameters.push(Either::Right(Parameter {
        in_: ParameterIn::Body,
        name: "body".to_owned(),
        required,
        schema: Some(reference::<T>()),
        ..Parameter::default()
    }));
}

fn reference<T: JsonSchema>() -> DefaultSchemaRaw {
    let mut schema = placeholder::<T>();
    schema.retain_ref();
    schema
}

/// A reference to `T` that only `openapi` can resolve.
fn placeholder<T: JsonSchema>() -> DefaultSchemaRaw {
    // Hex, as paperclip escapes some of the characters of a type's name and not others.
    let name: String = T::schema_id()
        .bytes()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    record(|recorded| {
        let schema = recorded.add::<T>();
        recorded.by_placeholder.insert(name.clone(), schema);
    });
    DefaultSchemaRaw {
        name: Some(name.clone()),
        data_type: Some(DataType::Object),
        reference: Some(format!("#/definitions/{name}")),
        ..DefaultSchemaRaw::default()
    }
}

/// Lets a type describe itself to paperclip: `describe!(Type { fn update_parameter(…) {…} })`, with
/// `T: Type<T>` for a generic one. paperclip also wants each type's definitions, which schemars supplies.
macro_rules! describe {
    ($generic:ident $(: $bound:path)?; $type:ty { $($body:tt)* }) => {
        impl<$generic> paperclip::v2::schema::Apiv2Schema for $type {}
        impl<$generic $(: $bound)?> paperclip::actix::OperationModifier for $type {
            fn update_definitions(
                _: &mut std::collections::BTreeMap<String, paperclip::v2::models::DefaultSchemaRaw>,
            ) {}
            $($body)*
        }
    };
    ($type:ty { $($body:tt)* }) => {
        impl paperclip::v2::schema::Apiv2Schema for $type {}
        impl paperclip::actix::OperationModifier for $type {
            fn update_definitions(
                _: &mut std::collections::BTreeMap<String, paperclip::v2::models::DefaultSchemaRaw>,
            ) {}
            $($body)*
        }
    };
    // Nothing to say in the document.
    ($type:ty) => {
        $crate::describe::describe!($type {
            fn update_parameter(_: &mut paperclip::v2::models::DefaultOperationRaw) {}
        });
    };
}

pub(crate) use describe;
