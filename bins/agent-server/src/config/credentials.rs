use core_model::secrets::MASK;
use url::Url;

/// An address may contain a password, or a token as its user, in its query or fragment.
pub(super) fn hide_credentials(text: String) -> String {
    let Ok(mut url) = Url::parse(&text) else {
        return text;
    };
    let has_user = !url.username().is_empty() || url.password().is_some();
    if !url.has_host() || !(has_user || url.query().is_some() || url.fragment().is_some()) {
        return text;
    }
    if has_user {
        url.set_username(MASK).ok();
        url.set_password(None).ok();
    }
    if url.query().is_some() {
        url.set_query(Some(MASK));
    }
    if url.fragment().is_some() {
        url.set_fragment(Some(MASK));
    }
    url.to_string()
}
