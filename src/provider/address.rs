//! Where calls go: base URLs as the config may write them, and ids as one segment of a path.
//!
//! Always holds: plain `http` goes to this machine alone, and no id can leave its segment.

use std::net::IpAddr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use reqwest::Url;

/// RFC 3986 section 2.3: everything but these is encoded.
const ALL_BUT_UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Why a base URL is refused, with the mend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum AddressError {
    /// Not a URL with a host.
    #[error("is not a URL; write https:// and the host, for example https://acme.example.com")]
    NotUrl,
    /// A sample's host was left in it.
    #[error("still has a placeholder in it; write your own host")]
    Placeholder,
    /// Neither https nor http.
    #[error("must begin with https://")]
    Scheme,
    /// The credential would cross a network unencrypted.
    #[error("must begin with https://; plain http is for loopback addresses only")]
    Plain,
    /// `user:password@`.
    #[error("must not hold a user or a password; remove everything up to the @")]
    UserInfo,
    /// A path where the kind has none.
    #[error("must end after the host; remove the path")]
    Path,
    /// A path that would be read as another one.
    #[error("has a path that is not plain; write only letters, digits and - . _ ~ between its slashes")]
    OddPath,
    /// `?...`.
    #[error("must not hold a query; remove everything from the ? on")]
    Query,
    /// `#...`.
    #[error("must not hold a fragment; remove everything from the # on")]
    Fragment,
}

/// Reads the base URL of a provider whose URL ends after the host.
pub(super) fn base_url(text: &str) -> Result<Url, AddressError> {
    let url = any_base_url(text)?;
    if url.path() == "/" { Ok(url) } else { Err(AddressError::Path) }
}

/// Reads the base URL of a provider that may live below a path. It comes back without a slash at its end, except after
/// the host alone.
pub(super) fn base_url_with_path(text: &str) -> Result<Url, AddressError> {
    let mut url = any_base_url(text)?;
    let (_, after_scheme) = text.split_once("://").ok_or(AddressError::NotUrl)?;
    let path = after_scheme.split_once('/').map_or("", |(_, path)| path).trim_end_matches('/');
    let is_plain = |segment: &str| segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b));
    let is_fine = |part: &str| is_plain(part) && segment(part).is_ok();
    if after_scheme.contains('\\') || !(path.is_empty() || path.split('/').all(is_fine)) {
        return Err(AddressError::OddPath);
    }
    url.set_path(path);
    Ok(url)
}

fn any_base_url(text: &str) -> Result<Url, AddressError> {
    if text.contains(['{', '}', '<', '>']) {
        return Err(AddressError::Placeholder);
    }
    // The parser drops blanks and control characters silently; what is called has to be what was read.
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(AddressError::NotUrl);
    }
    let url = Url::parse(text).map_err(|_| AddressError::NotUrl)?;
    refuse_unsafe(text, &url)?;
    Ok(url)
}

fn refuse_unsafe(text: &str, url: &Url) -> Result<(), AddressError> {
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(url) => {}
        "http" => return Err(AddressError::Plain),
        _ => return Err(AddressError::Scheme),
    }
    if url.fragment().is_some() {
        return Err(AddressError::Fragment);
    }
    if url.query().is_some() {
        return Err(AddressError::Query);
    }
    // An empty `@` is dropped by the parser, so the text is asked as well.
    if text.contains('@') {
        return Err(AddressError::UserInfo);
    }
    Ok(())
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Whether `url` leads to the same scheme, host, port and path as `other`, and carries no credential of its own.
#[must_use]
pub(super) fn same_place(url: &Url, other: &Url) -> bool {
    url.origin() == other.origin()
        && url.path() == other.path()
        && url.username().is_empty()
        && url.password().is_none()
        && url.fragment().is_none()
}

/// An id that a path cannot hold safely.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("would be read as another path")]
pub(super) struct SegmentError;

/// `id` as exactly one path segment. Refuses what a server would read as another path, also after one decoding.
pub(super) fn segment(id: &str) -> Result<String, SegmentError> {
    let decoded = percent_decode_str(id).decode_utf8_lossy();
    let is_dots = |text: &str| matches!(text, "" | "." | "..");
    if is_dots(id) || is_dots(&decoded) {
        return Err(SegmentError);
    }
    Ok(utf8_percent_encode(id, ALL_BUT_UNRESERVED).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_urls_are_https_or_local_and_end_after_the_host() {
        for fine in [
            "https://acme.okta.com",
            "https://acme.okta.com/",
            "https://id.acme.com:8443",
            "http://127.0.0.1:9",
            "http://127.8.9.1",
            "http://[::1]:80",
            "http://localhost:1",
        ] {
            assert!(base_url(fine).is_ok(), "{fine} was refused");
        }
        let refused = [
            ("acme.okta.com", AddressError::NotUrl),
            ("", AddressError::NotUrl),
            ("https://", AddressError::NotUrl),
            ("https://acme.okta.com\n", AddressError::NotUrl),
            ("https://{yourOktaDomain}", AddressError::Placeholder),
            ("ftp://acme.okta.com", AddressError::Scheme),
            ("http://acme.okta.com", AddressError::Plain),
            ("http://localhost.acme.com", AddressError::Plain),
            ("http://0.0.0.0", AddressError::Plain),
            ("https://user@acme.okta.com", AddressError::UserInfo),
            ("https://@acme.okta.com", AddressError::UserInfo),
            ("https://acme.okta.com/api/v1", AddressError::Path),
            ("https://acme.okta.com?a=b", AddressError::Query),
            ("https://acme.okta.com?", AddressError::Query),
            ("https://acme.okta.com/#x", AddressError::Fragment),
        ];
        for (text, why) in refused {
            assert_eq!(base_url(text).err(), Some(why), "{text}");
        }
    }

    #[test]
    fn a_sub_path_is_kept_if_it_is_plain() {
        for (text, read) in [
            ("https://chat.acme.com", "https://chat.acme.com/"),
            ("https://chat.acme.com/", "https://chat.acme.com/"),
            ("https://acme.com/chat", "https://acme.com/chat"),
            ("https://acme.com/chat/", "https://acme.com/chat"),
            ("https://acme.com/a.b/c-d_e~f", "https://acme.com/a.b/c-d_e~f"),
        ] {
            assert_eq!(base_url_with_path(text).as_ref().map(Url::as_str), Ok(read));
        }
        for odd in ["/a/../b", "/..", "/.", "/%2e%2e/x", "/a//b", "//a", "/a;b", "/a%20b", "/ä", "\\a", "/a\\..\\b"] {
            let found = base_url_with_path(&format!("https://acme.com{odd}")).err();
            assert_eq!(found, Some(AddressError::OddPath), "{odd}");
        }
        for (text, why) in [
            ("http://acme.com/chat", AddressError::Plain),
            ("https://acme.com/chat?x", AddressError::Query),
            ("https://acme.com/chat#x", AddressError::Fragment),
            ("https://user@acme.com/chat", AddressError::UserInfo),
            ("https:acme.com/chat", AddressError::NotUrl),
        ] {
            assert_eq!(base_url_with_path(text).err(), Some(why), "{text}");
        }
    }

    #[test]
    fn an_id_stays_in_its_segment() {
        let table = [
            ("00ub0oNGTSWTBKOLGLNR", "00ub0oNGTSWTBKOLGLNR"),
            ("a.b-c_d~e", "a.b-c_d~e"),
            ("ana@example.com", "ana%40example.com"),
            ("a/../b", "a%2F..%2Fb"),
            ("a%2Fb", "a%252Fb"),
            ("a?b#c;d\\e", "a%3Fb%23c%3Bd%5Ce"),
            ("ü", "%C3%BC"),
            ("...", "..."),
        ];
        for (id, encoded) in table {
            assert_eq!(segment(id).as_deref(), Ok(encoded));
        }
        for hostile in ["", ".", "..", "%2e", "%2E%2e", ".%2e"] {
            assert!(segment(hostile).is_err(), "{hostile:?} was taken");
        }
    }
}
