/// A bar that a figure has to stay below or get above.
#[derive(Clone, Copy)]
pub(crate) enum Bar {
    Below(f64),
    Above(f64),
    None,
}

/// What was measured, beside its bars.
#[derive(Default)]
pub(crate) struct Table(Vec<[String; 4]>);

impl Table {
    pub(crate) fn add(&mut self, what: impl Into<String>, value: f64, unit: &str, bar: Bar) {
        let (text, verdict) = match bar {
            Bar::Below(bar) => (format!("< {} {unit}", number(bar)), told(value < bar)),
            Bar::Above(bar) => (format!("> {} {unit}", number(bar)), told(value > bar)),
            Bar::None => (String::new(), ""),
        };
        let measured = format!("{} {unit}", number(value));
        self.0
            .push([what.into(), measured, text, verdict.to_owned()]);
    }

    pub(crate) fn print(&self) {
        let heads = ["what", "measured", "bar", ""].map(str::to_owned);
        let width = |column: usize| {
            let cells = self
                .0
                .iter()
                .chain([&heads])
                .map(|row| row[column].chars().count());
            cells.max().unwrap_or(0)
        };
        println!();
        for row in [&heads].into_iter().chain(&self.0) {
            let [what, measured, bar, verdict] = row;
            let (first, second, third) = (width(0), width(1), width(2));
            let line = format!("{what:first$}  {measured:>second$}  {bar:>third$}  {verdict}");
            println!("{}", line.trim_end());
        }
    }
}

fn told(met: bool) -> &'static str {
    if met { "ok" } else { "MISSED" }
}

/// Three digits that count, and no more.
fn number(value: f64) -> String {
    let digits = match value.abs() {
        small if small < 9.995 => 2,
        middle if middle < 99.95 => 1,
        _ => 0,
    };
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && digit.is_ascii_digit() && (whole.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + rest
}
