//! What the config says about traces.

use std::collections::BTreeMap;
use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};
use reqwest::Url;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::settings::{Duration, SecretRef};

/// Where a collector takes traces, below its address (OTLP 1.x, "OTLP/HTTP Request").
const PATH: &str = "v1/traces";

/// What is told beside logs and metrics.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TelemetrySettings {
    /// Where traces are sent, in a build with the feature `otel`. Default: nowhere.
    #[serde(default)]
    pub otlp: Option<OtlpSettings>,
}

/// A collector of OpenTelemetry.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OtlpSettings {
    /// Its address, for example `http://otel-collector:4318`; traces go to `/v1/traces` below it.
    pub endpoint: String,
    /// How it is spoken to. Default: `http/protobuf`, the only one there is.
    #[serde(default)]
    pub protocol: OtlpProtocol,
    /// Headers of each request, by name, for example `authorization`. Default: none.
    #[serde(default)]
    pub headers: BTreeMap<String, SecretRef>,
    /// The share of the traces that begin here which is recorded, from 0 to 1. Whether a sender's trace is recorded is the
    /// sender's to say. Default: 1.
    #[serde(default = "all")]
    pub sample_ratio: f64,
    /// How long one request may take. Default: 10s.
    #[serde(default = "ten_seconds")]
    pub timeout: Duration,
}

fn all() -> f64 {
    1.0
}

fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}

/// How a collector is spoken to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OtlpProtocol {
    /// OTLP over HTTP, in protobuf.
    #[default]
    #[serde(rename = "http/protobuf")]
    HttpProtobuf,
}

/// A collector, ready to be sent to.
#[derive(Debug, Clone)]
pub struct Collector {
    /// Where spans are posted to.
    pub url: Url,
    /// With these headers, none of which prints.
    pub headers: HeaderMap,
    /// The share of our own traces that is recorded.
    pub sample_ratio: f64,
    /// How long one request may take.
    pub timeout: std::time::Duration,
}

impl OtlpSettings {
    /// The collector, or what is wrong, each with the key.
    pub fn collector(&self) -> Result<Collector, Vec<(String, String)>> {
        let mut problems = Vec::new();
        let url = self.url().map_err(|message| problems.push(("endpoint".to_owned(), message)));
        let mut headers = HeaderMap::new();
        for (name, reference) in &self.headers {
            match header(name, reference) {
                Ok((name, value)) => drop(headers.insert(name, value)),
                Err(message) => problems.push((format!("headers.{name}"), message)),
            }
        }
        if !(0.0..=1.0).contains(&self.sample_ratio) {
            problems.push(("sample_ratio".to_owned(), "is a share: from 0 (none) to 1 (all)".to_owned()));
        }
        if self.timeout.0.is_zero() {
            problems.push(("timeout".to_owned(), "no request can be that fast".to_owned()));
        }
        match url {
            Ok(url) if problems.is_empty() => {
                Ok(Collector { url, headers, sample_ratio: self.sample_ratio, timeout: self.timeout.0 })
            }
            _ => Err(problems),
        }
    }

    /// Secrets in headers that anybody on the way could read.
    #[must_use]
    pub fn warning(&self) -> Option<&'static str> {
        let is_open = self.url().is_ok_and(|url| url.scheme() == "http" && !is_loopback(&url));
        (is_open && !self.headers.is_empty()).then_some("are sent in the clear; write https:// in `endpoint`")
    }

    /// Where traces go. What is wrong shows nothing of it: there may be a password in it.
    fn url(&self) -> Result<Url, String> {
        let wrong =
            || "is not an address; write http:// or https:// and the host, as in http://otel-collector:4318".to_owned();
        if self.endpoint.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(wrong());
        }
        let url = Url::parse(&self.endpoint).map_err(|_| wrong())?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong());
        }
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            return Err("must hold neither a user, nor a password, nor a query; secrets go into `headers`".to_owned());
        }
        let path = url.path().trim_end_matches('/').to_owned();
        if path.ends_with(PATH) {
            return Err(format!("is the address alone; /{PATH} is added to it"));
        }
        let mut whole = url;
        whole.set_path(&format!("{path}/{PATH}"));
        Ok(whole)
    }
}

fn header(name: &str, reference: &SecretRef) -> Result<(HeaderName, HeaderValue), String> {
    let known = name.parse().map_err(|_| "is no name of a header".to_owned())?;
    let secret = reference.resolve().map_err(|error| error.to_string())?;
    let mut value: HeaderValue =
        secret.expose().parse().map_err(|_| format!("the text from {reference} cannot be the value of a header"))?;
    value.set_sensitive(true);
    Ok((known, value))
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(endpoint: &str) -> OtlpSettings {
        let json = serde_json::json!({"endpoint": endpoint});
        serde_json::from_value(json).expect("settings")
    }

    #[test]
    fn traces_go_below_the_address() {
        for (endpoint, url) in [
            ("http://otel:4318", "http://otel:4318/v1/traces"),
            ("https://otlp.acme.com/", "https://otlp.acme.com/v1/traces"),
            ("https://acme.com/otlp/", "https://acme.com/otlp/v1/traces"),
        ] {
            assert_eq!(settings(endpoint).collector().expect("a collector").url.as_str(), url);
        }
    }

    #[test]
    fn every_problem_is_told_and_no_secret_shown() {
        let json = serde_json::json!({
            "endpoint": "https://me:hunter2@acme.com", "sample_ratio": 1.5, "timeout": "0s",
            "headers": {"not a name": {"value": "x"}, "authorization": {"value": "hunter2\u{7f}"}},
        });
        let wrong: OtlpSettings = serde_json::from_value(json).expect("settings");
        let problems = wrong.collector().expect_err("problems");
        let keys: Vec<_> = problems.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["endpoint", "headers.authorization", "headers.not a name", "sample_ratio", "timeout"]);
        assert!(!format!("{problems:?}").contains("hunter2"), "{problems:?}");
        for endpoint in
            ["", "otel:4318", "grpc://otel", "http://", "http://otel/ x", "http://otel/v1/traces", "http://a/?b"]
        {
            assert!(settings(endpoint).collector().is_err(), "{endpoint:?}");
        }
    }

    #[test]
    fn headers_do_not_print_and_warn_where_they_could_be_read() {
        let with = |endpoint: &str| {
            let headers = BTreeMap::from([("authorization".to_owned(), SecretRef::Value("hunter2".to_owned()))]);
            OtlpSettings { headers, ..settings(endpoint) }
        };
        assert!(with("http://otel:4318").warning().is_some());
        for fine in ["https://otel:4318", "http://127.0.0.1:4318", "http://[::1]:4318"] {
            assert_eq!(with(fine).warning(), None, "{fine}");
        }
        assert_eq!(settings("http://otel:4318").warning(), None);
        let collector = with("https://otel").collector().expect("a collector");
        assert!(!format!("{collector:?}").contains("hunter2"), "{collector:?}");
    }
}
