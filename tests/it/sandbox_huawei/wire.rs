//! Requests written out by hand, signed from the signing guide and sent byte by byte: a URL library would tidy them up.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A request before it is signed.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: String,
    /// Signed, in the order sent.
    pub(super) headers: Vec<(String, String)>,
    /// Sent besides.
    pub(super) unsigned: Vec<(String, String)>,
    pub(super) body: String,
    /// What to sign in place of path, query and body, where a test signs wrongly.
    pub(super) signed_uri: Option<String>,
    pub(super) signed_query: Option<String>,
    pub(super) signed_body_hash: Option<String>,
}

pub(super) struct Reply {
    pub(super) status: u16,
    head: String,
    pub(super) text: String,
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

pub(super) fn hmac(secret: &str, text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length");
    mac.update(text.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

impl Draft {
    pub(super) fn new(method: &str, target: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let (headers, unsigned) = (Vec::new(), Vec::new());
        let (method, path, query) = (method.to_owned(), path.to_owned(), query.to_owned());
        let (signed_uri, signed_query, signed_body_hash) = (None, None, None);
        let body = String::new();
        Self { method, path, query, headers, unsigned, body, signed_uri, signed_query, signed_body_hash }
    }

    /// Adds a signed header, or replaces the one of this name.
    pub(super) fn header(mut self, name: &str, value: &str) -> Self {
        self = self.without(name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(super) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self
    }

    /// The header is sent, and not signed.
    pub(super) fn unsigned(mut self, name: &str, value: &str) -> Self {
        self = self.without(name);
        self.unsigned.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(super) fn body(mut self, body: &str) -> Self {
        body.clone_into(&mut self.body);
        self
    }

    pub(super) fn get(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }

    pub(super) fn signed_headers(&self) -> String {
        let mut names: Vec<String> = self.headers.iter().map(|(name, _)| name.to_lowercase()).collect();
        names.sort();
        names.join(";")
    }

    /// Path and query are taken as sent: a test writes them as they are to be signed.
    pub(super) fn canonical(&self) -> String {
        let mut lines: Vec<String> =
            self.headers.iter().map(|(name, value)| format!("{}:{}\n", name.to_lowercase(), value.trim())).collect();
        lines.sort();
        let uri = self.signed_uri.clone().unwrap_or_else(|| format!("{}/", self.path));
        let query = self.signed_query.as_ref().unwrap_or(&self.query);
        let hash = self.signed_body_hash.clone().unwrap_or_else(|| sha256(self.body.as_bytes()));
        format!("{}\n{uri}\n{query}\n{}\n{}\n{hash}", self.method, lines.concat(), self.signed_headers())
    }

    pub(super) fn string_to_sign(&self) -> String {
        format!("SDK-HMAC-SHA256\n{}\n{}", self.get("x-sdk-date"), sha256(self.canonical().as_bytes()))
    }

    pub(super) fn authorization(&self, access_key: &str, secret: &str) -> String {
        let (headers, signature) = (self.signed_headers(), hmac(secret, &self.string_to_sign()));
        format!("SDK-HMAC-SHA256 Access={access_key}, SignedHeaders={headers}, Signature={signature}")
    }

    pub(super) fn text(&self, authorization: Option<&str>) -> String {
        let target = if self.query.is_empty() { self.path.clone() } else { format!("{}?{}", self.path, self.query) };
        let mut text = format!("{} {target} HTTP/1.1\r\n", self.method);
        for (name, value) in self.headers.iter().chain(&self.unsigned) {
            text += &format!("{name}: {value}\r\n");
        }
        if let Some(authorization) = authorization {
            text += &format!("Authorization: {authorization}\r\n");
        }
        text + &format!("Content-Length: {}\r\nConnection: close\r\n\r\n{}", self.body.len(), self.body)
    }

    pub(super) async fn send(&self, url: &str, authorization: Option<&str>) -> Option<Reply> {
        raw(url, &self.text(authorization)).await
    }
}

/// `None`: the connection was closed without an answer.
pub(super) async fn raw(url: &str, text: &str) -> Option<Reply> {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).await.expect("a connection");
    stream.write_all(text.as_bytes()).await.expect("sent");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.expect("an orderly end");
    let answer = String::from_utf8(bytes).expect("UTF-8");
    let (head, text) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Some(Reply { status, head: head.to_owned(), text: text.to_owned() })
}

impl Reply {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    /// `error_code`; empty where there is none.
    pub(super) fn code(&self) -> String {
        let body: Value = serde_json::from_str(&self.text).unwrap_or_default();
        body["error_code"].as_str().unwrap_or_default().to_owned()
    }

    pub(super) fn message(&self) -> String {
        self.json()["error_msg"].as_str().unwrap_or_default().to_owned()
    }

    pub(super) fn outcome(&self) -> (u16, String) {
        (self.status, self.code())
    }
}
