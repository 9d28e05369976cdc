use core_model::port::{Attempt, DeliveryList, Rewound, WebhookInfo};

use super::*;

fn read<T: serde::de::DeserializeOwned + serde::Serialize>(example: Value) -> Value {
    json!(serde_json::from_value::<T>(example).unwrap())
}

#[test]
fn examples_are_what_the_types_write() {
    assert_eq!(read::<WebhookInfo>(webhook()), webhook());
    assert_eq!(read::<DeliveryList>(deliveries()), deliveries());
    assert_eq!(read::<Attempt>(attempt()), attempt());
    assert_eq!(read::<Rewound>(rewound()), rewound());
}
