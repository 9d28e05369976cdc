use actix_web::{
    HttpMessage,
    dev::ServiceRequest,
    http::header::{ACCEPT_ENCODING, AcceptEncoding, Encoding, HeaderValue, Preference, Quality},
};

use crate::failure::Failure;

const GZIP: HeaderValue = HeaderValue::from_static("gzip");
const DEFLATE: HeaderValue = HeaderValue::from_static("deflate");

/// Refuses a request that allows no encoding in which an answer could be sent.
///
/// # Errors
/// [`Failure::NotAcceptable`].
pub(crate) fn check_accept_encoding(request: &mut ServiceRequest) -> Result<(), Failure> {
    let Some(accepted) = request.get_header::<AcceptEncoding>() else {
        return Ok(());
    };
    let quality = |wanted: Preference<Encoding>| {
        let item = accepted.iter().find(|item| item.item == wanted);
        item.map(|item| item.quality > Quality::ZERO)
    };
    let others = quality(Preference::Any);
    let takes = |coding| quality(Preference::Specific(coding)).or(others);
    if takes(Encoding::identity()).unwrap_or(true) {
        return Ok(());
    }
    // In words that the middleware understands: it takes `*` to include `identity`.
    let coding = if takes(Encoding::gzip()) == Some(true) {
        GZIP
    } else if takes(Encoding::deflate()) == Some(true) {
        DEFLATE
    } else {
        return Err(Failure::NotAcceptable);
    };
    request.headers_mut().insert(ACCEPT_ENCODING, coding);
    Ok(())
}

#[cfg(test)]
mod tests;
