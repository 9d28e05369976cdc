use super::*;
use crate::operation::{Tag, handler};

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
