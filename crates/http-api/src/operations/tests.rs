//! Writes `docs/COMPATIBILITY.md` from the declarations of the operations and the list of the reference's.

use std::{collections::BTreeMap, env, fmt::Write, fs, path::Path};

use crate::{
    operation::{Dialect, Operation},
    operations,
};

const REFERENCE: &str = include_str!("../../../../tests/compatibility/reference.tsv");

const INTRODUCTION: &str = "\
# Compatibility

Which operations of the reference server this server has. A test writes this page from the declarations of
the operations (`crates/http-api`) and from `tests/compatibility/reference.tsv`; after a change,
`UPDATE_COMPATIBILITY=1 cargo test -p http-api compatibility` writes it again. What differs in general, and
why, is in [ARCHITECTURE.md](ARCHITECTURE.md#unlike-the-reference-server-on-purpose); each operation is
described in [API.md](API.md) and at `/docs`.
";

/// An operation of the reference.
struct Row {
    method: &'static str,
    path: &'static str,
}

#[test]
fn the_page_about_compatibility_is_up_to_date() {
    let page = page();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/COMPATIBILITY.md");
    if env::var_os("UPDATE_COMPATIBILITY").is_some() {
        fs::write(&file, &page).unwrap();
    }
    let written = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == page,
        "docs/COMPATIBILITY.md is out of date: run this test with UPDATE_COMPATIBILITY=1, or write\n{page}"
    );
}

fn page() -> String {
    let rows = rows();
    let found: Vec<Option<&Operation>> = rows.iter().map(served_as).collect();
    let served = found.iter().flatten().count();
    let differ = found.iter().flatten();
    let differ = differ.filter(|it| it.difference.is_some()).count();
    let missing = rows.len() - served;
    let mut page = INTRODUCTION.to_owned();
    let mut line = |text: String| writeln!(page, "{text}").unwrap();
    line(format!(
        "\nThe reference is the OpenHands agent server {}, as read on {}.\n",
        comment("Version"),
        comment("Date")
    ));
    line(format!(
        "| | operations |\n|---|---|\n| served | {} |\n| served with a difference | {} |\n| not yet | {missing} |\n\
         | of the reference in all | {} |",
        served - differ,
        differ,
        rows.len()
    ));
    let mut groups: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (row, operation) in rows.iter().zip(&found) {
        let state = match operation {
            None => "not yet".to_owned(),
            Some(operation) => state_of(operation),
        };
        let text = format!("| `{} {}` | {state} |", row.method, row.path);
        groups.entry(group_of(row.path)).or_default().push(text);
    }
    for (group, rows) in groups {
        line(format!("\n## {group}\n\n| operation | |\n|---|---|"));
        rows.into_iter().for_each(&mut line);
    }
    line(
        "\n## Not in the reference's document\n\nSockets, which no OpenAPI document lists, and what only this \
         server has.\n\n| operation | |\n|---|---|"
            .to_owned(),
    );
    for operation in operations::ALL.iter().copied().flatten() {
        let is_reference = |path: &str| rows.iter().any(|row| is_same(row, operation, path));
        let paths = operation.paths.iter();
        let own = paths
            .filter(|(dialect, _)| *dialect == Dialect::OpenHands || operation.paths.len() == 1)
            .filter(|(_, path)| !is_reference(path));
        for (_, path) in own {
            let method = operation.method.method();
            line(format!("| `{method} {path}` | {} |", state_of(operation)));
        }
    }
    page
}

fn rows() -> Vec<Row> {
    let lines = REFERENCE.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let mut fields = line.split('\t');
            Row {
                method: fields.next().unwrap(),
                path: fields.next().unwrap(),
            }
        })
        .collect()
}

/// What a comment of the list says.
fn comment(name: &str) -> &'static str {
    let mut lines = REFERENCE.lines();
    let found = lines.find_map(|line| line.strip_prefix(&format!("# {name}: ")));
    found.unwrap()
}

fn served_as(row: &Row) -> Option<&'static Operation> {
    let mut all = operations::ALL.iter().copied().flatten();
    all.find(|operation| {
        let mut paths = operation.paths.iter();
        paths.any(|(_, path)| is_same(row, operation, path))
    })
}

fn is_same(row: &Row, operation: &Operation, path: &str) -> bool {
    row.method == operation.method.method().as_str() && unnamed(row.path) == unnamed(path)
}

/// The path without the names of its parameters.
fn unnamed(path: &str) -> String {
    let parts = path
        .split('/')
        .map(|part| if part.starts_with('{') { "{}" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

fn state_of(operation: &Operation) -> String {
    match operation.difference {
        Some(difference) => format!("served, with a difference: {difference}"),
        None => "served".to_owned(),
    }
}

/// `conversations` of `/api/conversations/count`; what is not below `/api` belongs to the server.
fn group_of(path: &str) -> &str {
    let mut parts = path.split('/').skip(1);
    match (parts.next(), parts.next()) {
        (Some("api"), Some(group)) => group,
        (Some(group), Some(_)) => group,
        _ => "server",
    }
}
