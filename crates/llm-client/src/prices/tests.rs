use super::*;
use crate::provider::providers;

fn provider(prefix: &str) -> &'static Provider {
    by_prefix(prefix).expect(prefix)
}

fn cost_of(prefix: &str, model: &str, prompt: u64, read: u64, written: u64) -> Option<f64> {
    let usage = TokenUsage {
        prompt_tokens: prompt,
        cache_read_tokens: read,
        cache_write_tokens: written,
        ..TokenUsage::default()
    };
    // Dollars a million tokens, in whole cents.
    cost(provider(prefix), model, &usage).map(|cost| (cost * 1e8 / prompt as f64).round() / 100.0)
}

#[test]
fn every_list_can_be_read() {
    assert!(LISTS.len() > 10);
    for list in LISTS.iter() {
        let read = list.calculator().expect(list.id);
        assert!(read.providers().next().expect(list.id).models().count() > 0);
    }
    for provider in providers() {
        if let Some(id) = provider.price_list {
            assert!(list_named(id).is_some(), "{id}");
        }
    }
}

#[test]
fn cached_tokens_have_prices_of_their_own() {
    let opus = |read, written| cost_of("anthropic", "claude-opus-4-5", 1_000, read, written);
    assert_eq!(opus(0, 0), Some(5.0));
    assert_eq!(opus(1_000, 0), Some(0.5));
    assert_eq!(opus(0, 1_000), Some(6.25));
    assert_eq!(opus(500, 500), Some(3.38));
    // Counts that cannot be are cut to what can.
    assert_eq!(opus(5_000, 5_000), Some(0.5));
}

#[test]
fn long_prompts_cost_more_where_the_provider_says_so() {
    let short = cost_of("openai", "gpt-5.4", 100_000, 0, 0);
    let long = cost_of("openai", "gpt-5.4", 300_000, 0, 0);
    assert_eq!((short, long), (Some(2.5), Some(5.0)));
}

#[test]
fn releases_share_a_price_and_unknown_models_have_none() {
    let of = |prefix: &str, model: &str| price(provider(prefix), model);
    assert!(of("anthropic", "claude-sonnet-4-5").is_some());
    assert_eq!(
        of("anthropic", "claude-sonnet-4-5-20250929"),
        of("anthropic", "claude-sonnet-4-5")
    );
    assert_ne!(
        of("anthropic", "claude-opus-4-5"),
        of("anthropic", "claude-opus-4-1")
    );
    for unknown in ["gpt-5-mini-turbo", "llama", "fake", ""] {
        assert_eq!(of("openai", unknown), None, "{unknown}");
    }
    assert_eq!(of("ollama", "gpt-5"), None);
    assert_eq!(of("hosted_vllm", "openai/gpt-5"), None);
}

#[test]
fn behind_an_address_of_the_users_own_the_makers_price_is_taken() {
    let at_maker = price(provider("openai"), "gpt-5").expect("a price");
    let expected = Price {
        input: 1.25,
        output: 10.0,
        cache_read: 0.125,
        cache_write: at_maker.cache_write,
    };
    assert_eq!(at_maker, expected);
    for (prefix, model) in [
        ("custom_openai", "gpt-5"),
        ("litellm_proxy", "openai/gpt-5-2025-08-07"),
        ("azure", "gpt-5"),
        ("openrouter", "openai/gpt-5"),
    ] {
        let here = price(provider(prefix), model).expect(prefix);
        assert_eq!((here.input, here.output), (1.25, 10.0), "{prefix}");
    }
}

#[test]
fn lists_know_windows_and_which_models_they_have() {
    assert_eq!(
        context_window(provider("anthropic"), "claude-opus-4-5-20251101"),
        Some(200_000)
    );
    assert_eq!(context_window(provider("openai"), "nobody-knows"), None);
    assert!(listed(provider("openrouter")).count() > 100);
    assert_eq!(listed(provider("ollama")).count(), 0);
}
