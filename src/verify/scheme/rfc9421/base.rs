//! The signature base: what is signed, one line for each component (RFC 9421 section 2.5).
//!
//! Components with parameters (`;sf`, `;req`, ...) are not taken: no sender of alerts is known to use one.

use http::{HeaderMap, HeaderName, Uri};

use crate::domain::HttpRequest;
use crate::verify::Reason;

/// Components that are no headers.
pub(super) const DERIVED: [&str; 7] =
    ["@method", "@target-uri", "@authority", "@scheme", "@request-target", "@path", "@query"];

/// Whether this is a component that we know: a derived one, or the name of a header in lower case.
pub(super) fn is_component(name: &str) -> bool {
    let is_lower = !name.bytes().any(|byte| byte.is_ascii_uppercase());
    DERIVED.contains(&name) || (is_lower && HeaderName::from_bytes(name.as_bytes()).is_ok())
}

/// The text that is signed. `parameters` is the list of components with its parameters, exactly as received.
pub(super) fn of(
    components: &[String],
    parameters: &str,
    headers: &HeaderMap,
    request: Option<&HttpRequest>,
) -> Result<String, Reason> {
    let mut base = String::new();
    for name in components {
        let value = if name.starts_with('@') { derived(name, request)? } else { header(name, headers)? };
        base.push_str(&format!("\"{name}\": {value}\n"));
    }
    Ok(format!("{base}\"@signature-params\": {parameters}"))
}

/// All lines of a header, joined (section 2.1).
fn header(name: &str, headers: &HeaderMap) -> Result<String, Reason> {
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| Reason::MalformedHeader)?;
    if !headers.contains_key(&name) {
        return Err(Reason::ComponentMissing);
    }
    let lines = headers.get_all(&name).iter().map(|line| line.to_str().map(|text| text.trim_matches([' ', '\t'])));
    let lines: Vec<&str> = lines.collect::<Result<_, _>>().map_err(|_| Reason::MalformedHeader)?;
    Ok(lines.join(", "))
}

/// A component that is no header (section 2.2).
fn derived(name: &str, request: Option<&HttpRequest>) -> Result<String, Reason> {
    let request = request.ok_or(Reason::ComponentMissing)?;
    if name == "@method" {
        return Ok(request.method.to_string());
    }
    let url = request.url.as_ref().ok_or(Reason::ComponentMissing)?;
    match name {
        "@target-uri" => Ok(url.to_string()),
        "@authority" => authority(url),
        "@scheme" => Ok(scheme(url)),
        "@request-target" => Ok(url.path_and_query().map_or("/", |target| target.as_str()).to_owned()),
        "@path" => Ok(if url.path().is_empty() { "/".to_owned() } else { url.path().to_owned() }),
        "@query" => Ok(format!("?{}", url.query().unwrap_or_default())),
        _ => Err(Reason::ComponentMissing),
    }
}

fn scheme(url: &Uri) -> String {
    url.scheme_str().unwrap_or_default().to_ascii_lowercase()
}

/// The host in lower case, with the port unless it is the usual one (section 2.2.3).
fn authority(url: &Uri) -> Result<String, Reason> {
    let host = url.host().ok_or(Reason::ComponentMissing)?.to_ascii_lowercase();
    let usual = match scheme(url).as_str() {
        "https" => Some(443),
        "http" => Some(80),
        _ => None,
    };
    Ok(url.port_u16().filter(|port| Some(*port) != usual).map_or(host.clone(), |port| format!("{host}:{port}")))
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Method};

    use super::*;

    fn request(url: &str) -> HttpRequest {
        HttpRequest { method: Method::POST, url: Some(url.parse().expect("a URL")) }
    }

    #[test]
    fn components_are_derived_as_the_rfc_has_them() {
        let url = "https://WWW.Example.com:443/path?param=value&foo=bar&baz=bat%2Dman";
        for (name, wanted) in [
            ("@method", "POST"),
            ("@authority", "www.example.com"),
            ("@scheme", "https"),
            ("@path", "/path"),
            ("@query", "?param=value&foo=bar&baz=bat%2Dman"),
            ("@request-target", "/path?param=value&foo=bar&baz=bat%2Dman"),
        ] {
            assert_eq!(derived(name, Some(&request(url))).as_deref(), Ok(wanted), "{name}");
        }
        assert_eq!(derived("@query", Some(&request("https://example.com/"))).as_deref(), Ok("?"));
        assert_eq!(derived("@path", Some(&request("https://example.com"))).as_deref(), Ok("/"));
        assert_eq!(derived("@authority", Some(&request("https://a.example:8443/"))).as_deref(), Ok("a.example:8443"));
        assert_eq!(derived("@authority", Some(&request("http://a.example:443/"))).as_deref(), Ok("a.example:443"));
        let target = "https://www.example.com/path?param=value";
        assert_eq!(derived("@target-uri", Some(&request(target))).as_deref(), Ok(target));
        for missing in ["@status", "@query-param", "@"] {
            assert_eq!(derived(missing, Some(&request(url))), Err(Reason::ComponentMissing));
        }
        assert_eq!(derived("@method", None), Err(Reason::ComponentMissing));
        assert_eq!(
            derived("@path", Some(&HttpRequest { method: Method::POST, url: None })),
            Err(Reason::ComponentMissing)
        );
    }

    #[test]
    fn lines_of_a_header_are_trimmed_and_joined() {
        let mut headers = HeaderMap::new();
        for line in [" a, b ", "", "c"] {
            headers.append("x-many", HeaderValue::from_static(line));
        }
        let base = of(&["x-many".to_owned()], "(\"x-many\")", &headers, None);
        assert_eq!(base.as_deref(), Ok("\"x-many\": a, b, , c\n\"@signature-params\": (\"x-many\")"));
        assert_eq!(of(&["x-none".to_owned()], "", &headers, None), Err(Reason::ComponentMissing));
    }
}
