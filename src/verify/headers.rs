//! Reading headers that security rests on, and choosing those that may be stored.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::Reason;

/// Stored with a delivery because decoders and operators need them. Nothing that authenticates belongs here.
const STORABLE: [&str; 6] =
    ["content-type", "user-agent", "x-github-event", "x-github-delivery", "traceparent", "tracestate"];

/// CloudEvents attributes in binary mode, over HTTP and over AMQP. The sender chooses the rest of the name, hence
/// [`TELLTALE`].
const CLOUDEVENTS: [&str; 2] = ["ce-", "cloudevents_"];

/// A header with one of these in its name authenticates somebody and is not stored, whatever else it is.
const TELLTALE: [&str; 7] = ["signature", "authorization", "cookie", "token", "secret", "password", "credential"];

/// The value of a header that has to be there exactly once, in printable ASCII.
pub(super) fn once<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<&'a str, Reason> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or(Reason::MissingHeader)?;
    if values.next().is_some() {
        return Err(Reason::DuplicateHeader);
    }
    let text = value.to_str().map_err(|_| Reason::MalformedHeader)?;
    if text.is_empty() { Err(Reason::MissingHeader) } else { Ok(text) }
}

/// The message id of a header: without full stops or blanks, which could move the border to what is signed next.
pub(super) fn id<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<&'a str, Reason> {
    checked_id(once(headers, name)?)
}

/// `text`, if it is 1 to 256 of `A-Z a-z 0-9 _ -`.
pub(super) fn checked_id(text: &str) -> Result<&str, Reason> {
    let fits = (1..=256).contains(&text.len()) && text.bytes().all(is_id_byte);
    if fits { Ok(text) } else { Err(Reason::MalformedId) }
}

/// Whether `byte` may be part of an id.
pub(super) fn is_id_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// The headers that may be stored: the fixed list and the scheme's `own` id and time, never its `signature`.
pub(super) fn storable(headers: &HeaderMap, own: &[HeaderName], signature: Option<&HeaderName>) -> HeaderMap {
    let kept = |name: &HeaderName| {
        let is_attribute = CLOUDEVENTS.iter().any(|prefix| name.as_str().starts_with(prefix));
        let listed = STORABLE.contains(&name.as_str()) || is_attribute || own.contains(name);
        listed && Some(name) != signature && !authenticates(name)
    };
    let chosen = headers.iter().filter(|(name, _)| kept(name));
    chosen.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Whether a header of this name carries, or may carry, a credential.
pub(super) fn authenticates(name: &HeaderName) -> bool {
    TELLTALE.iter().any(|word| name.as_str().contains(word))
}

/// `application/json` and everything that ends in `+json` (RFC 6839 section 3.1), with any parameters.
pub(super) fn is_json(value: &HeaderValue) -> bool {
    let Ok(text) = value.to_str() else { return false };
    let essence = essence(text);
    essence == "application/json" || essence.strip_suffix("+json").is_some_and(is_media_type)
}

/// `text/plain`, with any parameters.
pub(super) fn is_plain_text(value: &HeaderValue) -> bool {
    value.to_str().is_ok_and(|text| essence(text) == "text/plain")
}

/// A media type without its parameters, in lower case.
fn essence(text: &str) -> String {
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn is_media_type(text: &str) -> bool {
    let is_token = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    text.split_once('/').is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_json_types_are_json() {
        for right in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/cloudevents+json",
            "application/cloudevents-batch+json;charset=UTF-8",
            "application/vnd.acme.v1+json",
        ] {
            assert!(is_json(&HeaderValue::from_static(right)), "{right}");
        }
        for wrong in [
            "",
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/jsonp",
            "application/json, text/html",
            "text/html;application/json",
            "+json",
            "/+json",
            "application/+json",
            "a b/c+json",
        ] {
            assert!(!is_json(&HeaderValue::from_static(wrong)), "{wrong:?}");
        }
    }

    #[test]
    fn nothing_that_authenticates_is_stored() {
        let signature = HeaderName::from_static("user-agent");
        let own = [HeaderName::from_static("x-id"), HeaderName::from_static("x-token")];
        let mut headers = HeaderMap::new();
        for name in ["x-id", "x-token", "user-agent", "ce-id", "ce-signature", "ce-mytoken", "authorization", "cookie"]
            .into_iter()
            .chain(["content-type", "set-cookie", "proxy-authorization", "x-hub-signature-256", "x-anything"])
        {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static("value"));
        }
        let kept = storable(&headers, &own, Some(&signature));
        let mut names: Vec<_> = kept.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["ce-id", "content-type", "x-id"]);
    }
}
