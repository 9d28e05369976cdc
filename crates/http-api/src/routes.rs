//! The router's table, from the declarations of the operations.

use std::iter;

use actix_web::{HttpResponse, Resource, ResponseError, Route, guard, web};

use crate::{
    failure::Failure,
    operation::{Dialect, Operation, OperationTable, Verb},
};

/// Belongs to us although nothing is served below it yet.
const RESERVED: (&str, Dialect) = ("/v1", Dialect::OpenHands);

/// Every path, for an app that has no other routes.
pub(crate) const EVERY_PATH: &str = "/{path:.*}";

/// What is below one first part of the path and needs a key, which is checked before the path is looked up.
pub(crate) struct Scope {
    pub(crate) path: &'static str,
    pub(crate) dialect: Dialect,
    paths: Vec<Path>,
}

/// A path with the operations of its methods.
struct Path {
    path: &'static str,
    operations: Vec<&'static Operation>,
}

impl Scope {
    /// One resource for each path; each answers other methods with 405.
    pub(crate) fn into_resources(self) -> impl Iterator<Item = Resource> {
        let prefix = self.path.len();
        self.paths
            .into_iter()
            .map(move |path| path.into_resource(prefix))
    }
}

/// The scopes, and a resource for each path outside of them.
pub(crate) fn routes(operations: &OperationTable) -> (Vec<Scope>, impl Iterator<Item = Resource>) {
    let keyed = operations.iter().filter(|operation| operation.needs_key);
    let keyed = keyed.flat_map(|operation| operation.paths);
    let roots = keyed.map(|(dialect, path)| (first_part(path), *dialect));
    let mut scopes: Vec<Scope> = Vec::new();
    for (path, dialect) in roots.chain(iter::once(RESERVED)) {
        if !scopes.iter().any(|scope| scope.path == path) {
            scopes.push(Scope {
                path,
                dialect,
                paths: Vec::new(),
            });
        }
    }
    let mut outside = Vec::new();
    for operation in operations.iter() {
        for (_, path) in operation.paths {
            let root = first_part(path);
            let scope = scopes.iter_mut().find(|scope| scope.path == root);
            let paths = scope.map_or(&mut outside, |scope| &mut scope.paths);
            add(paths, path, operation);
        }
    }
    for scope in &mut scopes {
        sort(&mut scope.paths);
    }
    sort(&mut outside);
    let outside = outside.into_iter().map(|path| path.into_resource(0));
    (scopes, outside)
}

/// A route that answers methods other than those in `allow` with 405.
fn refuse_methods(allow: String) -> Route {
    web::to(move || {
        let allow = allow.clone();
        async move { Failure::MethodNotAllowed { allow }.error_response() }
    })
}

pub(crate) async fn not_found() -> HttpResponse {
    Failure::NotFound.error_response()
}

fn add(paths: &mut Vec<Path>, path: &'static str, operation: &'static Operation) {
    match paths.iter_mut().find(|known| known.path == path) {
        Some(known) => known.operations.push(operation),
        None => paths.push(Path {
            path,
            operations: vec![operation],
        }),
    }
}

/// The first path that matches is served: `/search` goes before `/{conversation_id}`.
fn sort(paths: &mut [Path]) {
    paths.sort_by_cached_key(|path| {
        let parts = path.path.split('/');
        parts.map(|part| part.starts_with('{')).collect::<Vec<_>>()
    });
}

/// `/conversations` of `/conversations/search`.
fn first_part(path: &'static str) -> &'static str {
    let end = path.get(1..).and_then(|rest| rest.find('/'));
    end.map_or(path, |end| &path[..=end])
}

impl Path {
    /// `prefix`: so much of the path is matched by the scope.
    fn into_resource(self, prefix: usize) -> Resource {
        let methods = self.operations.iter().map(|it| it.method.allow());
        let allow = methods.collect::<Vec<_>>().join(", ");
        let resource = web::resource(self.path.get(prefix..).unwrap_or_default());
        let resource = resource.default_service(refuse_methods(allow));
        self.operations.into_iter().fold(resource, |resource, it| {
            resource.route((it.handler.serve)(route_for(it.method)))
        })
    }
}

fn route_for(verb: Verb) -> Route {
    if verb == Verb::Get {
        web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
    } else {
        web::method(verb.method())
    }
}

#[cfg(test)]
mod tests;
