//! The `admin` key of the config.

use std::net::{Ipv4Addr, SocketAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::settings::SecretRef;
use crate::tls::TlsSettings;

/// The operator API: where it listens, and who may use it. Every request carries a token, on loopback too.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdminSettings {
    /// Address and port. Default: 127.0.0.1:8081.
    #[serde(default = "default_listen")]
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// Speaks HTTPS, and HTTP no more; with `client_ca`, every operator needs a certificate besides the token. Default: HTTP.
    #[serde(default)]
    pub tls: Option<TlsSettings>,
    /// Names, besides the address and those of this machine, under which the API is asked, for example behind an
    /// ingress: `sever.acme.com`, which stands for any port, or `sever.acme.com:8443`. Requests for other names are
    /// refused, so that no web page can reach it through a browser. Default: none.
    #[serde(default)]
    pub hosts: Vec<HostName>,
    /// Who may use it; at least one.
    pub tokens: Vec<TokenSettings>,
}

/// A listener for Prometheus alone: `GET /metrics` without a token, and nothing else. What is measured names sources and
/// providers, and neither people nor secrets.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricsSettings {
    /// Address and port, for example `0.0.0.0:9090`.
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// Speaks HTTPS, and HTTP no more; with `client_ca`, whoever asks needs a certificate. Default: HTTP.
    #[serde(default)]
    pub tls: Option<TlsSettings>,
}

fn default_listen() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 8081))
}

/// One operator, or one program, that may use the operator API.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenSettings {
    /// How the audit record calls its holder. Unique.
    pub name: String,
    /// What its holder may do.
    pub role: Role,
    /// The token: at least 16 characters, none of them a blank.
    pub secret: SecretRef,
}

/// What a token's holder may do. Ordered: the later may do all that the earlier may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Look at everything but the bodies of deliveries.
    Viewer,
    /// Look at everything and change it.
    Operator,
}

impl Role {
    /// The word in the config.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
        }
    }
}

/// A name with or without a port. Without one, it stands for every port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct HostName {
    pub(super) name: String,
    pub(super) port: Option<u16>,
}

impl TryFrom<String> for HostName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a name with or without a port; write sever.acme.com");
        let authority: http::uri::Authority = text.parse().map_err(|_| wrong())?;
        let name = authority.host();
        // Whoever wants every name wants no check; there is none to be had by a star.
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':' | '[' | ']');
        let port = authority.port().map(|port| port.as_str().parse().map_err(|_| wrong())).transpose()?;
        if name.is_empty() || !name.chars().all(fits) || text.contains('@') || (port.is_none() && text != name) {
            return Err(wrong());
        }
        Ok(Self { name: name.to_ascii_lowercase(), port })
    }
}

impl From<HostName> for String {
    fn from(host: HostName) -> Self {
        match host.port {
            Some(port) => format!("{}:{port}", host.name),
            None => host.name,
        }
    }
}
