use std::collections::BTreeSet;

use super::*;

fn named(prefix: &str, model: &str) -> Option<(&'static str, Option<u64>)> {
    row_of(prefix, model).map(|row| (row.name(), row.longest_prompt()))
}

#[test]
fn the_list_is_what_the_reader_expects() {
    assert!(LIST.len() < 150_000, "{} bytes", LIST.len());
    assert!(LIST.starts_with("# ") && !body().contains('#'));
    let names: Vec<&str> = rows().map(ModelRow::name).collect();
    assert!(names.len() > 500, "{} rows", names.len());
    assert!(names.is_sorted(), "names are found by halving");
    for row in rows() {
        assert_eq!(row.line.split('\t').count(), 7, "{row:?}");
        assert!(row.offers().count() > 0, "{row:?}");
        for offer in row.offers() {
            assert_eq!(looked_up(&offer.model()), row.name(), "{offer:?}");
        }
    }
    let words: BTreeSet<&str> = rows().flat_map(|row| row.column(6).split(' ')).collect();
    for word in words {
        assert!(
            LIST.starts_with('#') && comments().contains(word),
            "{word:?} is not explained"
        );
    }
}

fn comments() -> &'static str {
    &LIST[..LIST.len() - body().len()]
}

#[test]
fn each_row_is_found_by_each_name_that_it_has() {
    for row in rows() {
        for offer in row.offers() {
            assert_eq!(row_of(offer.prefix, &offer.model()), Some(row), "{offer:?}");
        }
    }
}

#[test]
fn vendors_regions_and_releases_do_not_matter() {
    let row = row_of("anthropic", "claude-opus-5-5").expect("a row");
    for name in [
        "claude-opus-5-5-20261001",
        "claude-opus-5-5@20261001",
        "Claude-Opus-5.5",
        "anthropic/claude-opus-5.5:beta",
        "claude-opus-5-5-latest",
    ] {
        assert_eq!(row_of("openrouter", name), Some(row), "{name}");
    }
    let on_bedrock = row_of("bedrock", "anthropic.claude-opus-4-1-20250805-v1:0");
    assert!(on_bedrock.is_some());
    for name in [
        "us.anthropic.claude-opus-4-1-20250805-v1:0",
        "claude-opus-4-1",
    ] {
        assert_eq!(row_of("bedrock", name), on_bedrock, "{name}");
    }
}

#[test]
fn a_service_has_facts_of_its_own() {
    assert_eq!(
        named("openai", "gpt-5"),
        named("custom_openai", "openai/gpt-5")
    );
    let copilot = named("github_copilot", "claude-opus-5.5").expect("a row");
    let maker = named("anthropic", "claude-opus-5-5").expect("a row");
    assert_eq!(copilot.0, maker.0);
    assert_ne!(copilot.1, maker.1);
}

#[test]
fn similar_names_are_other_models() {
    for name in [
        "",
        "gpt",
        "gpt-5x",
        "gpt-5-mini-turbo",
        "claude",
        "zzz",
        "#",
        "gpt-5-",
    ] {
        let found = row_of("openai", name).map(ModelRow::name);
        assert!(found.is_none_or(|found| found == name), "{name}: {found:?}");
    }
}
