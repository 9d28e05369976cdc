use super::*;
use crate::{
    config::Surface,
    operation::{Tag, handler},
    operations,
};

const OPERATION: Operation = Operation::get("any", Tag::Server, handler!(undocumented not_found));

#[test]
fn literal_paths_go_before_those_with_parameters() {
    let mut paths = Vec::new();
    for path in ["/a/{id}", "/a/{id}/b", "/a/{id}/{c}", "/a/search", "/a"] {
        add(&mut paths, path, &OPERATION);
    }
    sort(&mut paths);
    let sorted: Vec<&str> = paths.iter().map(|path| path.path).collect();
    let expected = ["/a", "/a/search", "/a/{id}", "/a/{id}/b", "/a/{id}/{c}"];
    assert_eq!(sorted, expected);
}

#[test]
fn the_first_part_is_that_of_the_scope() {
    for (path, first) in [
        ("/", "/"),
        ("/health", "/health"),
        ("/conversations/{id}/run", "/conversations"),
    ] {
        assert_eq!(first_part(path), first);
    }
}

#[test]
fn all_paths_of_a_scope_are_of_one_dialect() {
    let operations = OperationTable::new(operations::ALL, Surface::default());
    let (scopes, outside) = routes(&operations);
    let mut scoped = 0;
    for (dialect, path) in operations.iter().flat_map(|it| it.paths) {
        if let Some(scope) = scopes.iter().find(|it| it.path == first_part(path)) {
            assert_eq!(scope.dialect, *dialect, "{path}");
            scoped += 1;
        }
    }
    assert!(scoped > 40, "{scoped} paths");
    let open = operations.iter().filter(|it| !it.needs_key);
    assert_eq!(outside.count(), open.count());
}
