use super::Content;

/// Why a message's content is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContentFault {
    #[error("the message says nothing: it needs text or an image")]
    Empty,
    #[error("a text must not contain NUL characters: no model takes them")]
    Nul {
        /// The part's place in the content.
        part: usize,
    },
    #[error("an image needs at least one address in `image_urls`")]
    NoImageUrl {
        /// The part's place in the content.
        part: usize,
    },
    #[error(
        "an image's address must be an http:// or https:// URL, or `data:image/…;base64,` with valid \
         Base64 behind it"
    )]
    ImageUrl { part: usize, url: usize },
}

/// Checks that a message has something for a model: some text that is not blank, or an image. Providers must
/// accept every image's address, and every text. Blank text beside other parts is fine.
///
/// # Errors
/// The first problem.
pub fn check_content(content: &[Content]) -> Result<(), ContentFault> {
    let mut says_something = false;
    for (part, content) in content.iter().enumerate() {
        match content {
            Content::Text { text, .. } if text.contains('\0') => {
                return Err(ContentFault::Nul { part });
            }
            Content::Text { text, .. } => says_something |= !text.trim().is_empty(),
            Content::Image { image_urls, .. } => {
                if image_urls.is_empty() {
                    return Err(ContentFault::NoImageUrl { part });
                }
                if let Some(url) = image_urls.iter().position(|url| !is_image_url(url)) {
                    return Err(ContentFault::ImageUrl { part, url });
                }
                says_something = true;
            }
        }
    }
    if says_something {
        Ok(())
    } else {
        Err(ContentFault::Empty)
    }
}

fn is_image_url(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once(':') else {
        return false;
    };
    match scheme.to_ascii_lowercase().as_str() {
        "http" | "https" => rest.strip_prefix("//").is_some_and(|rest| {
            let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
            let no_gap = !url.contains(|c: char| c.is_whitespace() || c.is_control());
            no_gap && is_host(authority.rsplit('@').next().unwrap_or_default())
        }),
        "data" => is_base64_image(rest),
        _ => false,
    }
}

/// A name or an address, with a port or without.
fn is_host(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, port),
        Some(_) | None => (host, ""),
    };
    let in_brackets = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    let is_name = match in_brackets {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            name.starts_with(char::is_alphanumeric)
                && name
                    .chars()
                    .all(|c| c.is_alphanumeric() || "-._~%".contains(c))
        }
    };
    is_name && (port.is_empty() || port.parse::<u16>().is_ok())
}

/// `image/png;base64,iVBORw0…`, the part after `data:`.
fn is_base64_image(rest: &str) -> bool {
    let Some((kind, data)) = rest.split_once(',') else {
        return false;
    };
    let kind = kind.to_ascii_lowercase();
    let subtype = kind
        .strip_suffix(";base64")
        .and_then(|kind| kind.strip_prefix("image/"));
    let named = |kind: &str| kind.starts_with(|c: char| c.is_ascii_alphanumeric());
    subtype.is_some_and(named) && is_base64(data.as_bytes())
}

/// Whether it is Base64 of at least one byte, in the usual alphabet, with its padding or without.
fn is_base64(data: &[u8]) -> bool {
    let padding = data.iter().rev().take_while(|byte| **byte == b'=').count();
    let digits = &data[..data.len() - padding];
    let whole = match digits.len() % 4 {
        0 => padding == 0,
        2 => padding == 0 || padding == 2,
        3 => padding <= 1,
        _ => false,
    };
    let in_alphabet = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    whole && !digits.is_empty() && digits.iter().all(in_alphabet)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(urls: &[&str]) -> Content {
        Content::Image {
            cache_prompt: false,
            image_urls: urls.iter().map(|url| (*url).to_owned()).collect(),
        }
    }

    #[test]
    fn a_message_without_text_and_image_is_refused() {
        let picture = || image(&["data:image/png;base64,iVBORw0KGgo="]);
        for content in [
            vec![Content::text("hi")],
            vec![Content::text(""), Content::text(" hi ")],
            vec![picture()],
            vec![Content::text(" "), picture()],
        ] {
            assert_eq!(check_content(&content), Ok(()), "{content:?}");
        }
        for content in [
            vec![],
            vec![Content::text("")],
            vec![Content::text(" \n\t\u{a0}\u{3000}"), Content::text("")],
        ] {
            assert_eq!(
                check_content(&content),
                Err(ContentFault::Empty),
                "{content:?}"
            );
        }
    }

    #[test]
    fn a_text_with_a_nul_is_refused() {
        let content = [Content::text("hi"), Content::text("a\0b")];
        assert_eq!(check_content(&content), Err(ContentFault::Nul { part: 1 }));
    }

    #[test]
    fn an_image_has_addresses_that_providers_accept() {
        for url in [
            "https://pictures.example/a.png?size=1#x",
            "HTTP://[::1]:8000/a",
            "https://user:pass@pictures.example/a",
            "https://bücher.example/a",
            "data:image/jpeg;base64,/9j/4AA+",
            "DATA:image/svg+xml;charset=utf-8;BASE64,PHN2Zz4",
        ] {
            assert_eq!(check_content(&[image(&[url])]), Ok(()), "{url}");
        }
        for url in [
            "",
            " ",
            "a.png",
            "/a.png",
            "file:///a.png",
            "ftp://h/a.png",
            "blob:https://h/1",
            "https://",
            "https:///a",
            "https:a",
            "http://?",
            "https://h/a b",
            "https://h:port/a",
            "https://h:70000/a",
            "https://[::1",
            "https://[nonsense]/a",
            "https://a<b>/c",
            "https://h\n",
            "javascript:alert(1)",
            "data:",
            "data:image/png",
            "data:image/png,x",
            "data:image/png;base64,",
            "data:image/png;base64,A",
            "data:image/png;base64,AAA=A",
            "data:image/png;base64,AA=",
            "data:image/png;base64,AAAA=",
            "data:image/png;base64,-_-_",
            "data:image/png;base64,AA AA",
            "data:text/plain;base64,AAAA",
            "data:image/;base64,AAAA",
        ] {
            let content = [Content::text("look"), image(&["https://h/1", url])];
            let fault = ContentFault::ImageUrl { part: 1, url: 1 };
            assert_eq!(check_content(&content), Err(fault), "{url:?}");
        }
        let none = [Content::text("look"), image(&[])];
        assert_eq!(
            check_content(&none),
            Err(ContentFault::NoImageUrl { part: 1 })
        );
    }
}
