use schemars::JsonSchema;

use super::Params;
use crate::extract::FromQuery;

/// The most deliveries that one request may ask for.
const MOST: usize = 1000;

/// How much of a webhook's past is shown.
#[derive(JsonSchema)]
pub(crate) struct DeliveryListParams {
    /// The last so many deliveries; all that are known, if left out. Dead letters are always all there.
    #[schemars(range(min = 1, max = 1000))]
    pub(crate) limit: Option<usize>,
}

impl FromQuery for DeliveryListParams {
    fn from_query(params: &mut Params) -> Self {
        Self {
            limit: params.limit_up_to(MOST),
        }
    }
}
