use actix_web::http::Method;

use super::declaration::{Operation, Verb};
use crate::config::Surface;

/// The operations that are served.
pub(crate) struct OperationTable(Vec<&'static Operation>);

impl OperationTable {
    pub(crate) fn new(groups: &'static [&'static [Operation]], surface: Surface) -> Self {
        let all = groups.iter().copied().flatten();
        Self(
            all.filter(|operation| operation.part.is_served(surface))
                .collect(),
        )
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &'static Operation> {
        self.0.iter().copied()
    }

    /// The operation whose path a request matched. `pattern` is that path behind the prefix of a host.
    pub(crate) fn of_route(&self, pattern: &str, method: &Method) -> Option<&'static Operation> {
        let is_method =
            |verb: Verb| verb.method() == *method || (verb == Verb::Get && *method == Method::HEAD);
        let candidates = self.iter().filter(|it| is_method(it.method));
        candidates
            .flat_map(|it| {
                it.paths
                    .iter()
                    .map(move |(_, path)| (path.len(), *path, it))
            })
            .filter(|(_, path, _)| pattern.ends_with(path))
            .max_by_key(|(length, ..)| *length)
            .map(|(_, _, operation)| operation)
    }
}

#[cfg(test)]
mod tests;
