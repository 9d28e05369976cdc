use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::adjustments::Adjustments;
use crate::provider::Route;

/// Models whose adjustments are remembered, and images and states of each: more are forgotten.
const MODELS: usize = 256;
const LEFT_OUT: usize = 4_096;

/// What the refusals of each model have taught since the process began, by its address and name: a turn
/// opens its model anew, and shall not be refused again.
static LEARNED: Mutex<BTreeMap<(String, String), Adjustments>> = Mutex::new(BTreeMap::new());

pub(super) fn recall(route: &Route) -> Adjustments {
    let learned = LEARNED.lock().unwrap_or_else(PoisonError::into_inner);
    let known = learned.get(&key(route));
    known.unwrap_or(&route.adjustments).clone()
}

pub(super) fn remember(route: &Route, mut adjustments: Adjustments) {
    while adjustments.left_out.len() > LEFT_OUT {
        adjustments.left_out.pop_first();
    }
    let mut learned = LEARNED.lock().unwrap_or_else(PoisonError::into_inner);
    let is_new = !learned.contains_key(&key(route));
    if is_new && learned.len() >= MODELS {
        learned.pop_first();
    }
    learned.insert(key(route), adjustments);
}

fn key(route: &Route) -> (String, String) {
    (route.endpoint.to_string(), route.model.clone())
}
