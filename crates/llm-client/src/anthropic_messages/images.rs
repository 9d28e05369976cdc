use serde_json::{Value, json};

use crate::format::ListPart;

/// How many images a request may hold.
const MOST_IMAGES: usize = 100;
/// How many of the oldest are left out at once: each time, what was cached of the request is void.
const LEFT_OUT_AT_ONCE: usize = 50;
/// Of an image's Base64.
const LONGEST_IMAGE: usize = 5 * 1024 * 1024;

const VISION_OFF: &str = "[An image was left out: vision is disabled.]";
const TOO_MANY: &str = "[An image was left out: there are too many.]";
const NOT_TAKEN: &str = "[An image was left out: this model takes JPEG, PNG, GIF and WebP of up to 5 MB, \
                         and addresses that begin with https://.]";

/// The images of a request, from first to last. One that the provider refuses would end a conversation
/// for good, so a note stands in its place.
pub(super) struct Images {
    vision: bool,
    /// How many of the next ones are left out.
    left_out: usize,
}

impl Images {
    pub(super) fn of(part: &ListPart<'_>, vision: bool) -> Self {
        Self {
            vision,
            left_out: left_out(part.images).saturating_sub(part.images_before),
        }
    }

    /// The source of the next image.
    ///
    /// # Errors
    /// What to say in its place.
    pub(super) fn next(&mut self, url: &str) -> Result<Value, &'static str> {
        if !self.vision {
            return Err(VISION_OFF);
        }
        if let Some(left) = self.left_out.checked_sub(1) {
            self.left_out = left;
            return Err(TOO_MANY);
        }
        source(url).ok_or(NOT_TAKEN)
    }
}

/// How many of so many images are left out.
pub(super) fn left_out(images: usize) -> usize {
    let too_many = images.saturating_sub(MOST_IMAGES);
    too_many.next_multiple_of(LEFT_OUT_AT_ONCE)
}

fn source(url: &str) -> Option<Value> {
    let (scheme, rest) = url.split_once(':')?;
    match scheme.to_ascii_lowercase().as_str() {
        "https" => Some(json!({"type": "url", "url": url})),
        "data" => {
            let (_, data) = rest.split_once(',')?;
            let mut data: String = data.split_ascii_whitespace().collect();
            let padded = data.len().next_multiple_of(4);
            data.extend(std::iter::repeat_n('=', padded - data.len()));
            // Of the data, because a wrong media type is refused too.
            let media_type = media_type(&data)?;
            let source = json!({"type": "base64", "media_type": media_type, "data": data});
            (padded <= LONGEST_IMAGE).then_some(source)
        }
        _ => None,
    }
}

/// The beginning of an image's Base64 says which kind it is.
fn media_type(data: &str) -> Option<&'static str> {
    let webp = data.starts_with("UklGR") && data.get(12..16) == Some("RUJQ");
    match data {
        _ if webp => Some("image/webp"),
        _ if data.starts_with("iVBORw0KGgo") => Some("image/png"),
        _ if data.starts_with("/9j/") => Some("image/jpeg"),
        _ if data.starts_with("R0lGOD") => Some("image/gif"),
        _ => None,
    }
}
