use super::*;

#[test]
fn each_listed_name_leads_to_a_model_that_can_be_described() {
    for name in model_names(None) {
        let known = known_model(&name).expect(&name);
        assert!(name.starts_with(&format!("{}/", known.provider)), "{name}");
    }
}

#[test]
fn a_models_description_joins_the_lists() {
    let known = known_model("anthropic/claude-opus-4-5").expect("it is listed");
    assert_eq!(
        known,
        KnownModel {
            provider: "anthropic",
            name: "anthropic/claude-opus-4-5".to_owned(),
            context_window: Some(200_000),
            max_output_tokens: Some(64_000),
            price: Some(KnownPrice {
                input: 5.0,
                output: 25.0,
                cache_read: 0.5,
                cache_write: 6.25,
            }),
            format: known.format,
            vision: Some(true),
            tools: true,
            reasoning: true,
            effort_levels: vec!["low", "medium", "high"],
        }
    );
    assert_eq!(known_model("openai/nobody-knows"), None);
    assert_eq!(known_model("nobody/knows"), None);
}

#[test]
fn names_are_those_of_one_provider_if_it_is_given() {
    let all = model_names(None).len();
    let router = model_names(Some("openrouter"));
    assert!(
        router
            .iter()
            .any(|name| name == "openrouter/anthropic/claude-opus-4.5")
    );
    assert!(router.len() < all);
    assert_eq!(model_names(Some("nobody")), Vec::<String>::new());
    assert!(provider_names().is_sorted() && provider_names().contains(&"azure"));
}

#[test]
fn models_for_agents_take_tools() {
    let offered = models_for_agents();
    let (_, claude) = offered
        .iter()
        .find(|(maker, _)| *maker == "anthropic")
        .expect("a maker");
    assert!(claude.iter().any(|name| name == "claude-opus-5-5"));
    for (maker, names) in &offered {
        assert!(!names.is_empty(), "{maker}");
    }
}
