#[cfg(test)]
mod tests;

/// The list, in memory as the file is: a line is only read when it is looked up.
static LIST: &str = include_str!("../data/models.tsv");

/// What is known of one model, as some services offer it. The columns are explained in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ModelRow {
    line: &'static str,
}

/// A service's offer of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    /// Of the service, as names of models have it.
    pub(crate) prefix: &'static str,
    folder_or_name: &'static str,
    looked_up: &'static str,
}

/// What is known of a provider's model, or else of the same model as its maker offers it.
pub(crate) fn row_of(prefix: &str, model: &str) -> Option<ModelRow> {
    let name = looked_up(model);
    let exact = rows_named(&name).collect::<Vec<_>>();
    let rows = if exact.is_empty() {
        let base = without_release(&name);
        let begins = rows_from(base).take_while(|row| row.name().starts_with(base));
        begins
            .filter(|row| without_release(row.name()) == base)
            .collect()
    } else {
        exact
    };
    let own = rows.iter().find(|row| row.is_offered_by(prefix));
    own.or(rows.first()).copied()
}

/// All rows, by name.
pub(crate) fn rows() -> impl Iterator<Item = ModelRow> {
    rows_in(body())
}

impl ModelRow {
    pub(crate) fn name(self) -> &'static str {
        self.column(0)
    }

    pub(crate) fn offers(self) -> impl Iterator<Item = Offer> {
        self.column(1).split(',').filter_map(move |offer| {
            let (prefix, folder_or_name) = offer.split_once('/')?;
            Some(Offer {
                prefix,
                folder_or_name,
                looked_up: self.name(),
            })
        })
    }

    pub(crate) fn is_offered_by(self, prefix: &str) -> bool {
        self.offers().any(|offer| offer.prefix == prefix)
    }

    /// In tokens.
    pub(crate) fn longest_prompt(self) -> Option<u64> {
        self.column(2).parse().ok()
    }

    /// In tokens.
    pub(crate) fn longest_reply(self) -> Option<u64> {
        self.column(3).parse().ok()
    }

    /// In tokens.
    pub(crate) fn shortest_cached(self) -> Option<u64> {
        self.column(4).parse().ok()
    }

    /// Separated by commas, the least first.
    pub(crate) fn effort_levels(self) -> &'static str {
        self.column(5)
    }

    pub(crate) fn says(self, flag: &str) -> bool {
        self.column(6).split(' ').any(|word| word == flag)
    }

    fn column(self, at: usize) -> &'static str {
        self.line.split('\t').nth(at).unwrap_or_default()
    }
}

impl Offer {
    /// The model's name as the service knows it.
    pub(crate) fn model(self) -> String {
        let folder = self.folder_or_name;
        if folder.is_empty() || folder.ends_with('/') {
            return format!("{folder}{}", self.looked_up);
        }
        folder.to_owned()
    }
}

/// A model's name as it is looked up: `make.py` does the same with the names of its source.
fn looked_up(model: &str) -> String {
    let name = model.to_lowercase();
    let name = name.rsplit('/').next().unwrap_or_default();
    // A tag after a colon is a variant of the offer (`:free`), or the size of the model.
    let name = match name.split_once(':') {
        Some((name, tag)) if !is_size(tag) => name,
        _ => name,
    };
    let name = without_region(name);
    let name = match without_vendor(name) {
        Some(name) => without_version(name),
        None => name,
    };
    if name.starts_with("claude") {
        return name.replace('.', "-");
    }
    name.to_owned()
}

/// `671b-cloud`, `0.5b`, `20m`.
fn is_size(tag: &str) -> bool {
    let number = tag.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    number.len() < tag.len() && number.starts_with(['b', 'm'])
}

/// `eu.anthropic.claude` is `anthropic.claude` in one region.
fn without_region(name: &str) -> &str {
    const REGIONS: [&str; 9] = [
        "us.", "eu.", "global.", "au.", "jp.", "in.", "ca.", "apac.", "us-gov.",
    ];
    let found = REGIONS.iter().find_map(|region| name.strip_prefix(region));
    found.unwrap_or(name)
}

/// `claude` of `anthropic.claude`; None when there is no vendor.
fn without_vendor(name: &str) -> Option<&str> {
    let (vendor, rest) = name.split_once('.')?;
    let is_vendor = vendor.starts_with(|c: char| c.is_ascii_lowercase())
        && vendor.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && rest.starts_with(|c: char| c.is_ascii_lowercase());
    is_vendor.then_some(rest)
}

/// `claude-opus` of `claude-opus-v1`.
fn without_version(name: &str) -> &str {
    match name.rsplit_once("-v") {
        Some((name, version)) if !version.is_empty() && is_digits(version) => name,
        _ => name,
    }
}

/// The name without `-2025-08-07`, `-20250929`, `@20250929` or `-latest`: the same model, one release of it.
pub(crate) fn without_release(name: &str) -> &str {
    let dated = |digits: usize| {
        let (base, release) = name.split_at_checked(name.len().checked_sub(digits + 1)?)?;
        let date = release.strip_prefix(['-', '@'])?;
        let date = date.replace('-', "");
        (date.len() == 8 && is_digits(&date) && !base.is_empty()).then_some(base)
    };
    let worded = ["-latest", "@latest", "-default", "@default"];
    let worded = worded.iter().find_map(|word| name.strip_suffix(word));
    worded
        .or_else(|| dated(10))
        .or_else(|| dated(8))
        .unwrap_or(name)
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn rows_named(name: &str) -> impl Iterator<Item = ModelRow> {
    rows_from(name).take_while(move |row| row.name() == name)
}

/// The rows whose names do not come before this one.
fn rows_from(name: &str) -> impl Iterator<Item = ModelRow> {
    let list = body();
    let (mut low, mut high) = (0, list.len());
    // Both are always starts of lines, or the end.
    while low < high {
        let middle = line_start(list, low + (high - low) / 2);
        let end = list[middle..]
            .find('\n')
            .map_or(list.len(), |at| middle + at + 1);
        let found = list[middle..end].split('\t').next().unwrap_or_default();
        if found < name {
            low = end;
        } else {
            high = middle;
        }
    }
    rows_in(&list[low..])
}

/// Where the line begins that `at` is in.
fn line_start(list: &str, at: usize) -> usize {
    let before = &list.as_bytes()[..at];
    before
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1)
}

fn rows_in(list: &'static str) -> impl Iterator<Item = ModelRow> {
    list.lines().map(|line| ModelRow { line })
}

/// The list without the comments that it begins with.
fn body() -> &'static str {
    let start = LIST.rfind("\n#").and_then(|at| {
        let rest = LIST.get(at + 1..)?;
        Some(at + 1 + rest.find('\n')? + 1)
    });
    LIST.get(start.unwrap_or(0)..).unwrap_or_default()
}
