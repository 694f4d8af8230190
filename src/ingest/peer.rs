//! Who is at the other end.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use ipnet::IpNet;

/// Proxies whose word about the peer counts.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// These networks.
    #[must_use]
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// The peer: the connection's address, or where that is a trusted proxy, the last address in `X-Forwarded-For`
    /// that is none. Everything left of it may be invented.
    #[must_use]
    pub fn peer(&self, connected: IpAddr, headers: &HeaderMap) -> IpAddr {
        if !self.trusts(connected) {
            return connected;
        }
        let hops = headers.get_all("x-forwarded-for").iter().filter_map(|line| line.to_str().ok());
        let hops: Vec<&str> = hops.flat_map(|line| line.split(',')).map(str::trim).collect();
        for hop in hops.iter().rev() {
            match address(hop) {
                Some(address) if self.trusts(address) => {}
                Some(address) => return address,
                None => return connected,
            }
        }
        connected
    }

    /// Whether this is one of them.
    pub(super) fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address.to_canonical()))
    }
}

/// Some proxies write the port too, and brackets around an IPv6 address (Azure Application Gateway, "How an application
/// gateway works", section "Modifications to the request").
fn address(hop: &str) -> Option<IpAddr> {
    hop.parse().ok().or_else(|| hop.parse::<SocketAddr>().ok().map(|place| place.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forwarded_addresses_count_only_from_trusted_proxies() {
        let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().expect("a network")]);
        let table = [
            ("203.0.113.5", "198.51.100.1", "203.0.113.5"),
            ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
            ("10.0.0.1", "1.1.1.1, 198.51.100.1, 10.9.9.9", "198.51.100.1"),
            ("10.0.0.1", "1.1.1.1, 198.51.100.1:49152", "198.51.100.1"),
            ("10.0.0.1", "[2001:db8::1]:443, 10.9.9.9:80", "2001:db8::1"),
            ("10.0.0.1", "garbage", "10.0.0.1"),
            ("10.0.0.1", "", "10.0.0.1"),
        ];
        for (connected, forwarded, expected) in table {
            let headers = HeaderMap::from_iter([(
                http::HeaderName::from_static("x-forwarded-for"),
                http::HeaderValue::from_str(forwarded).expect("a header"),
            )]);
            let peer = proxies.peer(connected.parse().expect("an address"), &headers);
            assert_eq!(peer.to_string(), expected, "{connected} with {forwarded:?}");
        }
    }
}
