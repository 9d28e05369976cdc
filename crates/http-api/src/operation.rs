//! The declaration of a route. It stands beside its handler; the router, the OpenAPI document, the key
//! check, the log line and `docs/COMPATIBILITY.md` read it.

pub(crate) mod declaration;
mod refusal;
pub(crate) mod refusals;
mod table;

pub(crate) use declaration::{Dialect, Handler, Kind, Operation, Part, Tag, Verb, both, handler};
pub(crate) use refusal::Refusal;
pub(crate) use table::OperationTable;
