use std::borrow::Cow;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How many calls stand in one part.
const PART: usize = 64;

/// A list with an element for each model call; in JSON a plain list. A copy of it costs little however
/// long it is, because states are copied at each step.
#[derive(Clone, Debug)]
pub struct CallList<T> {
    /// All of [`PART`] elements but the last one. None is empty.
    parts: Vec<Arc<Vec<T>>>,
}

impl<T> CallList<T> {
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.parts.iter().flat_map(|part| part.iter())
    }

    #[must_use]
    pub fn len(&self) -> usize {
        let full = self.parts.len().saturating_sub(1);
        full * PART + self.parts.last().map_or(0, |last| last.len())
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}

impl<T: Clone> CallList<T> {
    pub fn push(&mut self, call: T) {
        match self.parts.last_mut() {
            Some(last) if last.len() < PART => Arc::make_mut(last).push(call),
            Some(_) | None => self.parts.push(Arc::new(vec![call])),
        }
    }
}

impl<T> Default for CallList<T> {
    fn default() -> Self {
        Self { parts: Vec::new() }
    }
}

impl<T: PartialEq> PartialEq for CallList<T> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<T: Clone> FromIterator<T> for CallList<T> {
    fn from_iter<I: IntoIterator<Item = T>>(calls: I) -> Self {
        let mut list = Self::default();
        calls.into_iter().for_each(|call| list.push(call));
        list
    }
}

impl<T: Serialize> Serialize for CallList<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de, T: Deserialize<'de> + Clone> Deserialize<'de> for CallList<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let calls = Vec::<T>::deserialize(deserializer)?;
        Ok(calls.into_iter().collect())
    }
}

impl<T: JsonSchema> JsonSchema for CallList<T> {
    fn inline_schema() -> bool {
        Vec::<T>::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        Vec::<T>::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        Vec::<T>::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Vec::<T>::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_any_length_is_a_plain_list_and_a_copy_keeps_what_it_has() {
        for length in [0, 1, PART, PART + 1, 3 * PART] {
            let plain: Vec<usize> = (0..length).collect();
            let mut list: CallList<usize> = plain.iter().copied().collect();
            assert_eq!((list.len(), list.is_empty()), (length, length == 0));
            assert_eq!(list.iter().copied().collect::<Vec<_>>(), plain);
            let json = serde_json::to_value(&list).unwrap();
            assert_eq!(json, serde_json::json!(plain));
            assert_eq!(
                serde_json::from_value::<CallList<usize>>(json).unwrap(),
                list
            );
            let copy = list.clone();
            list.push(length);
            assert_eq!((list.len(), copy.len()), (length + 1, length));
            assert_ne!(list, copy);
        }
    }
}
