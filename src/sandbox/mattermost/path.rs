//! Reads a raw request path as a Go web server behind a proxy does: the traps for a client that does not encode.
//!
//! The whole path is decoded once and then tidied: dot segments walk up, doubled slashes become one, and an encoded
//! slash is a slash like any other. (Mattermost's own router answers an untidy path with a redirect to the tidy one;
//! proxies in front tidy silently, and the stand-in takes their part, because that is the dangerous one.)

use percent_encoding::percent_decode_str;

use super::super::parameters::has_broken_escape;
use super::refusal::Refusal;

/// The segments after the leading slash, decoded. A trailing slash leaves an empty one.
pub(super) fn segments(raw_path: &str) -> Result<Vec<String>, Refusal> {
    let bad = Refusal::Page { status: 400 };
    if has_broken_escape(raw_path) {
        return Err(bad);
    }
    let Ok(path) = percent_decode_str(raw_path).decode_utf8() else { return Err(bad) };
    let mut walked: Vec<String> = Vec::new();
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        match segment {
            "." => {}
            ".." => drop(walked.pop()),
            segment => walked.push(segment.to_owned()),
        }
    }
    if path.ends_with('/') && path.len() > 1 {
        walked.push(String::new());
    }
    Ok(walked)
}
