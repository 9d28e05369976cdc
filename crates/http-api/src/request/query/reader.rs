use serde_json::json;
use url::form_urlencoded;

use crate::{failure::Failure, validation::Problem};

/// The most conversations or events that one request may name.
pub(crate) const MAX_BATCH: usize = 1000;

/// A struct of query parameters, or the field of one: given, left out, or repeated.
pub(crate) trait FromQuery: Sized {
    /// `name` is that of the field.
    fn from_query(query: &mut QueryReader, name: &str) -> Self;
}

/// What one text of a parameter is read as.
pub(crate) trait Parameter: Sized {
    /// `at` is where the text stands in the request.
    ///
    /// # Errors
    /// What is wrong with it.
    fn parse(text: &str, at: &[&str]) -> Result<Self, Vec<Problem>>;
}

/// A query string being read; collects what is wrong with it.
pub(crate) struct QueryReader {
    pairs: Vec<(String, String)>,
    problems: Vec<Problem>,
}

impl QueryReader {
    /// # Errors
    /// All that is wrong.
    pub(crate) fn read<T: FromQuery>(query: &str) -> Result<T, Failure> {
        let mut reader = Self::new(query);
        let value = T::from_query(&mut reader, "");
        if reader.problems.is_empty() {
            Ok(value)
        } else {
            Err(reader.problems.into())
        }
    }

    pub(crate) fn new(query: &str) -> Self {
        Self {
            pairs: form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
            problems: Vec::new(),
        }
    }

    /// The text of a parameter; the last one if it is repeated.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.pairs
            .iter()
            .rev()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.clone())
    }

    /// Notes what is wrong, if it is.
    pub(crate) fn collect<T>(&mut self, read: Result<T, Vec<Problem>>) -> Option<T> {
        read.map_err(|problems| self.problems.extend(problems)).ok()
    }

    /// Repeated, or separated by commas.
    fn list(&mut self, name: &str) -> Vec<String> {
        let items: Vec<String> = self
            .pairs
            .iter()
            .filter(|(key, _)| key == name)
            .flat_map(|(_, value)| value.split(',').map(str::trim))
            .filter(|item| !item.is_empty())
            .map(str::to_owned)
            .collect();
        if items.len() > MAX_BATCH {
            self.problems.push(too_long(&["query", name], items.len()));
        }
        items
    }
}

/// A list of ids is longer than one request may have.
pub(crate) fn too_long(loc: &[&str], found: usize) -> Problem {
    let msg = format!("List should have at most {MAX_BATCH} items, not {found}");
    Problem::new("too_long", loc, msg).ctx("max_length", json!(MAX_BATCH))
}

impl<T: Parameter> FromQuery for Option<T> {
    fn from_query(query: &mut QueryReader, name: &str) -> Self {
        let text = query.text(name)?;
        query.collect(T::parse(&text, &["query", name]))
    }
}

impl<T: Parameter> FromQuery for Vec<T> {
    fn from_query(query: &mut QueryReader, name: &str) -> Self {
        let items = query.list(name).into_iter().enumerate();
        let at = ["query", name];
        items
            .filter_map(|(index, text)| {
                let read = T::parse(&text, &at);
                query.collect(read.map_err(|problems| {
                    problems
                        .into_iter()
                        .map(|problem| problem.at(index))
                        .collect()
                }))
            })
            .collect()
    }
}

/// A struct whose fields are query parameters.
macro_rules! query {
    ($(#[$about:meta])* $visibility:vis struct $name:ident {
        $($(#[$meta:meta])* $field:ident: $type:ty),* $(,)?
    }) => {
        $(#[$about])*
        #[derive(::schemars::JsonSchema)]
        $visibility struct $name {
            $($(#[$meta])* pub(crate) $field: $type,)*
        }

        impl $crate::request::query::reader::FromQuery for $name {
            fn from_query(query: &mut $crate::request::query::reader::QueryReader, _: &str) -> Self {
                Self {
                    $($field: $crate::request::query::reader::FromQuery::from_query(query, stringify!($field)),)*
                }
            }
        }
    };
}

/// An enum, one of whose words a parameter may be. With `default`, it may also be left out.
macro_rules! word {
    ($type:ty) => {
        impl $crate::request::query::reader::Parameter for $type {
            fn parse(text: &str, at: &[&str]) -> Result<Self, Vec<$crate::validation::Problem>> {
                $crate::validation::typed(&::serde_json::Value::from(text), at)
            }
        }
    };
    ($type:ty, default) => {
        $crate::request::query::reader::word!($type);

        impl $crate::request::query::reader::FromQuery for $type {
            fn from_query(
                query: &mut $crate::request::query::reader::QueryReader,
                name: &str,
            ) -> Self {
                Option::<Self>::from_query(query, name).unwrap_or_default()
            }
        }
    };
}

pub(crate) use {query, word};
