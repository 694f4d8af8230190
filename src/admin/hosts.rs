//! Under which names we are asked.
//!
//! A page in an operator's browser can make the browser send requests to loopback, and can point a name of its own at
//! any address (DNS rebinding). Both show in `Host` or `Origin`.

use std::net::SocketAddr;

use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName, Uri, uri::Authority};

use super::settings::{AdminSettings, HostName};

/// The names that are ours.
#[derive(Debug, Clone)]
pub struct Hosts {
    own: Vec<HostName>,
    given: Vec<HostName>,
}

impl Hosts {
    /// The names of this machine with the port of `bound`, which is where we really listen, and those of the config.
    #[must_use]
    pub fn new(settings: &AdminSettings, bound: SocketAddr) -> Self {
        let address = match bound {
            SocketAddr::V4(address) => address.ip().to_string(),
            SocketAddr::V6(address) => format!("[{}]", address.ip()),
        };
        let own = ["localhost", "127.0.0.1", "[::1]", &address]
            .map(|name| HostName { name: name.to_owned(), port: Some(bound.port()) });
        Self { own: own.into(), given: settings.hosts.clone() }
    }

    /// The same place under the names of another config.
    #[must_use]
    pub fn instead_of(before: &Self, settings: &AdminSettings) -> Self {
        Self { own: before.own.clone(), given: settings.hosts.clone() }
    }

    /// Whether a request by this scheme is meant for us, and not sent by the page of someone else.
    pub(super) fn admit(&self, scheme: &str, uri: &Uri, headers: &HeaderMap) -> bool {
        let addressed = matches!(only(headers, &HOST), Ok(Some(host)) if self.is_ours(host, scheme));
        // An absolute target outranks `Host` (RFC 9112 section 3.2.2).
        let targeted = uri.authority().is_none_or(|target| self.is_ours(target.as_str(), scheme));
        let sent = match only(headers, &ORIGIN) {
            Ok(None) => true,
            Ok(Some(origin)) => self.is_own_origin(origin),
            Err(()) => false,
        };
        addressed && targeted && sent
    }

    fn is_own_origin(&self, origin: &str) -> bool {
        match origin.split_once("://") {
            Some((scheme @ ("http" | "https"), host)) => self.is_ours(host, scheme),
            _ => false,
        }
    }

    fn is_ours(&self, host: &str, scheme: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else { return false };
        if host.contains('@') {
            return false;
        }
        let port = authority.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
        let is_same = |ours: &HostName| {
            ours.name.eq_ignore_ascii_case(authority.host()) && ours.port.is_none_or(|known| known == port)
        };
        self.own.iter().chain(&self.given).any(is_same)
    }
}

/// The one value of a header. Of two, nobody knows which counts.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, ()> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| ()),
        (Some(_), Some(_)) => Err(()),
    }
}
