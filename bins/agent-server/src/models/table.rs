use std::fmt;

use llm_client::{KnownModel, known_model, model_names};

const HEADINGS: [&str; 8] = [
    "MODEL",
    "WINDOW",
    "IN",
    "OUT",
    "CACHE READ",
    "WRITE",
    "FORMAT",
    "CAN",
];

/// What is known of the models whose names hold the filter, in any case.
pub(super) fn rows(filter: &str) -> Vec<KnownModel> {
    let filter = filter.to_lowercase();
    let names = model_names(None).into_iter();
    let wanted = names.filter(|name| name.to_lowercase().contains(&filter));
    wanted.filter_map(|name| known_model(&name)).collect()
}

/// Models under headings, numbers to the right.
pub(super) struct Table<'a>(pub(super) &'a [KnownModel]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = vec![HEADINGS.map(str::to_owned)];
        lines.extend(self.0.iter().map(cells));
        let width = |column: usize| lines.iter().map(|line| line[column].len()).max();
        let widths: [usize; 8] = std::array::from_fn(|column| width(column).unwrap_or(0));
        for (at, line) in lines.iter().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            for (column, (cell, width)) in line.iter().zip(widths).enumerate() {
                match column {
                    0 | 6 => write!(f, "{cell:<width$}  ")?,
                    7 => write!(f, "{cell}")?,
                    _ => write!(f, "{cell:>width$}  ")?,
                }
            }
        }
        Ok(())
    }
}

fn cells(model: &KnownModel) -> [String; 8] {
    let dollars = |price: Option<f64>| price.map_or("-".to_owned(), |price| format!("{price:.2}"));
    let price = model.price;
    [
        model.name.clone(),
        model.context_window.map_or("-".to_owned(), tokens),
        dollars(price.map(|it| it.input)),
        dollars(price.map(|it| it.output)),
        dollars(price.map(|it| it.cache_read)),
        dollars(price.map(|it| it.cache_write)),
        model.format.to_owned(),
        abilities(model),
    ]
}

/// `200k` of 200,000, `1.0M` of 1,048,576.
fn tokens(count: u64) -> String {
    match count {
        0..=9_999 => count.to_string(),
        10_000..=999_999 => format!("{}k", count / 1_000),
        _ => format!("{:.1}M", count as f64 / 1e6),
    }
}

fn abilities(model: &KnownModel) -> String {
    let mut can = Vec::new();
    if model.tools {
        can.push("tools".to_owned());
    }
    if model.vision == Some(true) {
        can.push("images".to_owned());
    }
    if !model.effort_levels.is_empty() {
        can.push(format!("reasoning ({})", model.effort_levels.join(", ")));
    } else if model.reasoning {
        can.push("reasoning".to_owned());
    }
    can.join(", ")
}

#[cfg(test)]
mod tests {
    use llm_client::KnownPrice;

    use super::*;

    #[test]
    fn numbers_stand_below_each_other_and_what_is_unknown_is_a_dash() {
        let known = KnownModel {
            provider: "p",
            name: "p/known".to_owned(),
            context_window: Some(200_000),
            max_output_tokens: None,
            price: Some(KnownPrice {
                input: 5.0,
                output: 25.0,
                cache_read: 0.5,
                cache_write: 6.25,
            }),
            format: "messages",
            vision: Some(true),
            tools: true,
            reasoning: true,
            effort_levels: vec!["low", "high"],
        };
        let other = KnownModel {
            name: "p/other-one".to_owned(),
            context_window: Some(1_048_576),
            price: None,
            format: "chat",
            vision: None,
            effort_levels: Vec::new(),
            ..known.clone()
        };
        let expected = "\
MODEL        WINDOW    IN    OUT  CACHE READ  WRITE  FORMAT    CAN
p/known        200k  5.00  25.00        0.50   6.25  messages  tools, images, reasoning (low, high)
p/other-one    1.0M     -      -           -      -  chat      tools, reasoning";
        assert_eq!(Table(&[known, other]).to_string(), expected);
    }

    #[test]
    fn the_filter_is_a_part_of_the_name_in_any_case() {
        let found = rows("Claude-Opus-5-5");
        assert!(
            found
                .iter()
                .any(|model| model.name == "anthropic/claude-opus-5-5")
        );
        assert!(
            found
                .iter()
                .all(|model| model.name.to_lowercase().contains("claude-opus-5-5"))
        );
        assert_eq!(rows("nobody knows this"), Vec::new());
    }
}
