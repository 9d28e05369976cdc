#[cfg(test)]
mod tests;

use std::sync::{LazyLock, OnceLock};

use core_model::usage::TokenUsage;
use genai_prices::{Calculator, PriceRequest, Usage, UsageKey};

use crate::models;
use crate::provider::{Provider, by_prefix};

/// One list a line. Most servers need one or two of them, and all would take 19 MB of memory.
static LINES: &str = include_str!("../data/prices.jsonl");

static LISTS: LazyLock<Vec<PriceList>> = LazyLock::new(|| {
    let lines = LINES.lines().filter(|line| line.starts_with('{'));
    lines
        .filter_map(|line| {
            let id = line.strip_prefix(r#"{"id":""#)?.split('"').next()?;
            Some(PriceList {
                id,
                line,
                read: OnceLock::new(),
            })
        })
        .collect()
});

/// The prices of one provider, read when they are first asked for.
struct PriceList {
    id: &'static str,
    line: &'static str,
    /// None when the line is damaged.
    read: OnceLock<Option<Calculator>>,
}

/// US dollars a million tokens, of short prompts at this hour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Price {
    pub(crate) input: f64,
    pub(crate) output: f64,
    pub(crate) cache_read: f64,
    pub(crate) cache_write: f64,
}

/// What a call costs now, in US dollars: tiers for long prompts, prices that hold from a date or at an hour, cache
/// reads and writes included. `prompt_tokens` include the cached ones. None when no list has the model.
pub(crate) fn cost(provider: &Provider, model: &str, usage: &TokenUsage) -> Option<f64> {
    let read = usage.cache_read_tokens.min(usage.prompt_tokens);
    let written = usage.cache_write_tokens.min(usage.prompt_tokens - read);
    let counted = Usage::from([
        (UsageKey::INPUT_TOKENS, usage.prompt_tokens as f64),
        (UsageKey::CACHE_READ_TOKENS, read as f64),
        (UsageKey::CACHE_WRITE_TOKENS, written as f64),
        (UsageKey::OUTPUT_TOKENS, usage.completion_tokens as f64),
    ]);
    first_listed(provider, model, |list, name| list.priced(name, &counted)).map(|(cost, _)| cost)
}

/// The context window that the list of prices states, in tokens.
pub(crate) fn context_window(provider: &Provider, model: &str) -> Option<u64> {
    let nothing = Usage::new();
    first_listed(provider, model, |list, name| {
        let (_, id) = list.priced(name, &nothing)?;
        list.window(&id)
    })
}

/// None when no list has the model.
pub(crate) fn price(provider: &Provider, model: &str) -> Option<Price> {
    const SAMPLE: u64 = 1_000;
    let of = |prompt, read, write, completion| {
        let usage = TokenUsage {
            prompt_tokens: prompt,
            cache_read_tokens: read,
            cache_write_tokens: write,
            completion_tokens: completion,
            ..TokenUsage::default()
        };
        let dollars = cost(provider, model, &usage)? * 1e6 / SAMPLE as f64;
        // Sums of floats end in digits that no price has.
        Some((dollars * 1e6).round() / 1e6)
    };
    Some(Price {
        input: of(SAMPLE, 0, 0, 0)?,
        output: of(0, 0, 0, SAMPLE)?,
        cache_read: of(SAMPLE, SAMPLE, 0, 0)?,
        cache_write: of(SAMPLE, 0, SAMPLE, 0)?,
    })
}

/// The models of a provider's list.
pub(crate) fn listed(provider: &Provider) -> impl Iterator<Item = &'static str> {
    let list = provider.price_list.and_then(list_named);
    let read = list.and_then(|list| Some((list.id, list.calculator()?)));
    let found = read.and_then(|(id, calculator)| calculator.find_provider(Some(id), None).ok()?);
    found
        .into_iter()
        .flat_map(|provider| provider.models().map(|model| model.id()))
}

/// Asks the provider's own list, then, where its prices may be taken, that of the model's maker.
fn first_listed<T>(
    provider: &Provider,
    model: &str,
    ask: impl Fn(&PriceList, &str) -> Option<T>,
) -> Option<T> {
    let bare = model.rsplit('/').next().unwrap_or(model);
    let in_list = |id: &str| {
        let list = list_named(id)?;
        ask(list, model).or_else(|| ask(list, bare).filter(|_| bare != model))
    };
    provider.price_list.and_then(in_list).or_else(|| {
        // The maker's row is the first of those that no service is named for.
        let row = models::row_of("", model).filter(|_| provider.maker_prices)?;
        let maker = row
            .offers()
            .next()
            .and_then(|offer| by_prefix(offer.prefix))?;
        maker.price_list.and_then(in_list)
    })
}

fn list_named(id: &str) -> Option<&'static PriceList> {
    LISTS.iter().find(|list| list.id == id)
}

impl PriceList {
    /// What this costs, and what the list calls the model.
    fn priced(&self, model: &str, usage: &Usage) -> Option<(f64, String)> {
        let request = PriceRequest::new(model, usage).with_provider_id(self.id);
        let priced = self.calculator()?.calculate(&request).ok()?;
        Some((priced.total_price, priced.model_id))
    }

    fn window(&self, id: &str) -> Option<u64> {
        let provider = self
            .calculator()?
            .find_provider(Some(self.id), None)
            .ok()??;
        let mut models = provider.models();
        models.find(|model| model.id() == id)?.context_window()
    }

    fn calculator(&self) -> Option<&Calculator> {
        let read = || Calculator::from_json(format!("[{}]", self.line)).ok();
        self.read.get_or_init(read).as_ref()
    }
}
