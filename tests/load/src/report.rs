use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

/// What was measured, printed section by section, or as JSON at the end.
pub(crate) struct Report {
    json: bool,
    sections: Vec<Section>,
}

/// What one measurement found.
#[derive(Serialize)]
pub(crate) struct Section {
    name: &'static str,
    rows: Vec<Row>,
}

#[derive(Serialize)]
#[serde(tag = "row", rename_all = "snake_case")]
enum Row {
    Latency {
        what: String,
        #[serde(flatten)]
        of: Percentiles,
        #[serde(flatten)]
        bar: Option<Judged>,
    },
    Figure {
        what: String,
        value: f64,
        unit: &'static str,
        #[serde(flatten)]
        bar: Option<Judged>,
    },
    Note {
        text: String,
    },
}

/// In microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Percentiles {
    pub(crate) samples: usize,
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

/// What a figure has to be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bar {
    Below(f64),
    AtLeast(f64),
}

#[derive(Serialize)]
struct Judged {
    bar: String,
    ok: bool,
}

impl Report {
    pub(crate) fn new(json: bool) -> Self {
        let sections = Vec::new();
        Self { json, sections }
    }

    pub(crate) fn add(&mut self, section: Section) {
        if !self.json {
            section.print();
        }
        self.sections.push(section);
    }

    pub(crate) fn finish(&self) -> Result<()> {
        if self.json {
            println!("{}", serde_json::to_string_pretty(&self.sections)?);
        }
        Ok(())
    }
}

impl Section {
    pub(crate) fn new(name: &'static str) -> Self {
        let rows = Vec::new();
        Self { name, rows }
    }

    pub(crate) fn latency(&mut self, what: &str, of: Percentiles) {
        self.latency_below(what, of, None);
    }

    /// With a bar for the median, in microseconds.
    pub(crate) fn latency_below(&mut self, what: &str, of: Percentiles, most: Option<f64>) {
        self.rows.push(Row::Latency {
            what: what.to_owned(),
            of,
            bar: most.map(|most| Bar::Below(most).judge(of.p50, "µs")),
        });
    }

    pub(crate) fn figure(&mut self, what: &str, value: f64, unit: &'static str, bar: Option<Bar>) {
        self.rows.push(Row::Figure {
            what: what.to_owned(),
            value,
            unit,
            bar: bar.map(|bar| bar.judge(value, unit)),
        });
    }

    pub(crate) fn note(&mut self, text: impl Into<String>) {
        self.rows.push(Row::Note { text: text.into() });
    }

    fn print(&self) {
        println!("\n{}", self.name);
        if self
            .rows
            .iter()
            .any(|row| matches!(row, Row::Latency { .. }))
        {
            println!(
                "  {:<46} {:>9} {:>9} {:>9} {:>9}",
                "", "p50", "p90", "p99", "max"
            );
        }
        for row in &self.rows {
            row.print();
        }
    }
}

impl Row {
    fn print(&self) {
        match self {
            Self::Latency { what, of, bar } => {
                let cells = [of.p50, of.p90, of.p99, of.max].map(micros);
                let [p50, p90, p99, max] = cells;
                let bar = verdict(bar.as_ref());
                println!("  {what:<46} {p50:>9} {p90:>9} {p99:>9} {max:>9}{bar}");
            }
            Self::Figure {
                what,
                value,
                unit,
                bar,
            } => {
                let value = format!("{} {unit}", number(*value));
                println!("  {what:<46} {value:>19}{}", verdict(bar.as_ref()));
            }
            Self::Note { text } => println!("  ({text})"),
        }
    }
}

impl Percentiles {
    /// Nothing in, nothing but zeros out.
    pub(crate) fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |share: f64| {
            let rank = (share * times.len() as f64).ceil() as usize;
            let time = times.get(rank.saturating_sub(1));
            time.map_or(0.0, |time| time.as_secs_f64() * 1e6)
        };
        Self {
            samples: times.len(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            max: at(1.0),
        }
    }
}

impl Bar {
    fn judge(self, value: f64, unit: &str) -> Judged {
        match self {
            Self::Below(most) => Judged {
                bar: format!("< {} {unit}", number(most)),
                ok: value < most,
            },
            Self::AtLeast(least) => Judged {
                bar: format!("≥ {} {unit}", number(least)),
                ok: value >= least,
            },
        }
    }
}

fn verdict(bar: Option<&Judged>) -> String {
    let Some(Judged { bar, ok }) = bar else {
        return String::new();
    };
    format!("   {bar}: {}", if *ok { "ok" } else { "MISSED" })
}

fn micros(value: f64) -> String {
    if value < 10_000.0 {
        format!("{value:.0} µs")
    } else {
        format!("{:.1} ms", value / 1e3)
    }
}

/// With thousands set apart, and decimals where they matter.
fn number(value: f64) -> String {
    if value.abs() < 100.0 {
        return format!("{value:.2}");
    }
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0.0 {
        text.insert(0, '-');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples_by_nearest_rank() {
        let times = (1..=200).rev().map(Duration::from_micros).collect();
        let found = Percentiles::of(times);
        assert_eq!(found.samples, 200);
        assert_eq!(
            [found.p50, found.p90, found.p99, found.max].map(f64::round),
            [100.0, 180.0, 198.0, 200.0]
        );
        assert_eq!(Percentiles::of(Vec::new()).max, 0.0);
        assert_eq!(Percentiles::of(vec![Duration::from_micros(3)]).p50, 3.0);
    }

    #[test]
    fn bars_judge() {
        assert!(Bar::Below(2.5).judge(2.49, "×").ok);
        assert!(!Bar::Below(2.5).judge(2.5, "×").ok);
        assert!(Bar::AtLeast(0.2).judge(0.2, "×").ok);
        assert!(!Bar::AtLeast(0.2).judge(0.19, "×").ok);
    }

    #[test]
    fn numbers_are_readable() {
        assert_eq!(number(1_234_567.8), "1,234,568");
        assert_eq!(number(123.0), "123");
        assert_eq!(number(-12_345.0), "-12,345");
        assert_eq!(number(0.256), "0.26");
    }
}
