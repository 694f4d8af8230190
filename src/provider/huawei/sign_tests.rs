//! The signer against vectors of the official SDK, and against that SDK itself.

use std::io::Write;
use std::process::{Command, Stdio};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::*;

#[derive(Deserialize)]
struct Vectors {
    access_key: String,
    secret_key: String,
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    id: String,
    method: String,
    host: String,
    path_on_wire: String,
    query: Vec<(String, Value)>,
    request_uri_on_wire: String,
    headers: std::collections::BTreeMap<String, String>,
    body: Option<String>,
    canonical_request: String,
    signature: String,
    authorization: String,
}

/// The vectors write numbers, truths and lists where the SDK takes them; what is sent are texts.
fn texts(name: &str, value: &Value) -> Vec<(String, String)> {
    match value {
        Value::Array(values) => values.iter().flat_map(|value| texts(name, value)).collect(),
        Value::String(text) => vec![(name.to_owned(), text.clone())],
        other => vec![(name.to_owned(), other.to_string())],
    }
}

fn borrowed(pairs: &[(String, String)]) -> Vec<(&str, &str)> {
    pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

fn keys(access_key: &str, secret_key: &str, token: Option<&str>) -> Keys {
    Keys {
        access_key: Secret::new(access_key),
        secret_key: Secret::new(secret_key),
        security_token: token.map(Secret::new),
    }
}

#[test]
fn every_vector_of_the_official_sdk_is_signed_alike() {
    let text = include_str!("../../../tests/fixtures/huawei/signing-vectors.json");
    let vectors: Vectors = serde_json::from_str(text).expect("the vectors");
    assert_eq!(vectors.vectors.len(), 7);
    for vector in &vectors.vectors {
        let keys =
            keys(&vectors.access_key, &vectors.secret_key, vector.headers.get("X-Security-Token").map(String::as_str));
        let pairs: Vec<_> = vector.query.iter().flat_map(|(name, value)| texts(name, value)).collect();
        let query = query(&borrowed(&pairs));
        let uri = [vector.path_on_wire.as_str(), query.as_str()];
        let uri = if query.is_empty() { uri[0].to_owned() } else { uri.join("?") };
        assert_eq!(uri, vector.request_uri_on_wire, "{}", vector.id);
        let own = ["Host", "X-Sdk-Date", "X-Security-Token"];
        let more: Vec<_> = vector.headers.iter().filter(|(name, _)| !own.contains(&name.as_str())).collect();
        let more: Vec<_> = more.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let signed = keys.sign(&Unsigned {
            method: &vector.method,
            host: &vector.host,
            path: &vector.path_on_wire,
            query: &query,
            date: &vector.headers["X-Sdk-Date"],
            headers: &more,
            body: vector.body.as_deref().unwrap_or_default().as_bytes(),
        });
        assert_eq!(signed.canonical.expose(), vector.canonical_request, "{}", vector.id);
        assert_eq!(signed.signature.expose(), vector.signature, "{}", vector.id);
        assert_eq!(signed.authorization.expose(), vector.authorization, "{}", vector.id);
    }
}

#[test]
fn nothing_of_a_key_shows() {
    let shown = format!("{:?}", keys("AKIDEXAMPLE", "sk/Example", Some("ggpjTOKEN")));
    assert!(!["AKID", "sk/E", "ggpj"].iter().any(|secret| shown.contains(secret)), "{shown}");
}

/// A request for both signers.
#[derive(Debug, Clone, Serialize)]
struct Sample {
    access_key: String,
    secret_key: String,
    token: Option<String>,
    method: String,
    host: String,
    path: String,
    pairs: Vec<(String, String)>,
    date: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Sample {
    /// What this signer makes of it: the query, and the value of `Authorization`.
    fn signed(&self) -> (String, String) {
        let query = query(&borrowed(&self.pairs));
        let signed = keys(&self.access_key, &self.secret_key, self.token.as_deref()).sign(&Unsigned {
            method: &self.method,
            host: &self.host,
            path: &self.path,
            query: &query,
            date: &self.date,
            headers: &borrowed(&self.headers),
            body: self.body.as_bytes(),
        });
        (query, signed.authorization.expose().to_owned())
    }
}

fn samples() -> impl Strategy<Value = Sample> {
    let keys = ("[A-Z0-9]{8,24}", "[!-~]{16,48}", proptest::option::of("[A-Za-z0-9+/=]{20,200}"));
    let segments = proptest::collection::vec("[^/\\p{Cc}]{1,12}", 1..6);
    let place = (prop::sample::select(vec!["GET", "POST", "PUT", "DELETE"]), "[a-z]{1,9}(:[1-9][0-9]{1,4})?", segments);
    let pairs = proptest::collection::vec(("\\PC{1,8}", "\\PC{0,20}"), 0..6);
    let date = "20[0-9]{2}(0[1-9]|1[0-2])(0[1-9]|1[0-9]|2[0-8])T([01][0-9]|2[0-3])[0-5][0-9][0-5][0-9]Z";
    let values = ("[ -~]{0,20}", "[0-9a-f]{32}", proptest::option::of("[ -~]{0,9}"));
    (keys, place, pairs, date, values, "\\PC{0,80}").prop_map(|(keys, place, pairs, date, values, body)| {
        let names = [("X-Trace", values.0), ("X-Project-Id", values.1)].into_iter();
        let hidden = values.2.map(|value| ("x_internal", value));
        let json = ("Content-Type", "application/json".to_owned());
        let headers = names.chain(hidden).chain([json]).map(|(name, value)| (name.to_owned(), value)).collect();
        let path: String = place.2.iter().map(|segment| format!("/{}", encode(segment))).collect();
        let (access_key, secret_key, token) = keys;
        Sample {
            access_key,
            secret_key,
            token,
            method: place.0.to_owned(),
            host: place.1,
            path,
            pairs,
            date,
            headers,
            body,
        }
    })
}

/// Signs each request of its input by the official package and prints the query and the `Authorization` of each.
const OFFICIAL: &str = r#"
import json, sys, types
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer
answers = []
for sample in json.load(sys.stdin):
    headers = dict(map(tuple, sample["headers"]))
    headers["X-Sdk-Date"] = sample["date"]
    if sample["token"] is not None:
        headers["X-Security-Token"] = sample["token"]
    request = SdkRequest(method=sample["method"], schema="https", host=sample["host"], resource_path=sample["path"],
                         query_params=[tuple(pair) for pair in sample["pairs"]], header_params=headers,
                         body=sample["body"] or None)
    signed = Signer(types.SimpleNamespace(ak=sample["access_key"], sk=sample["secret_key"])).sign(request)
    answers.append([signed.uri[len(sample["path"]):].lstrip("?"), signed.header_params["Authorization"]])
json.dump(answers, sys.stdout)
"#;

/// The interpreter that has the official package.
#[expect(clippy::disallowed_methods, reason = "tests/run says where it put the package")]
fn python() -> String {
    std::env::var("SEVER_TEST_PYTHON").unwrap_or_else(|_| {
        panic!(
            "SEVER_TEST_PYTHON names no Python with the package huaweicloudsdkcore; run tests/run, which installs it"
        )
    })
}

fn official(samples: &[Sample]) -> Vec<(String, String)> {
    let mut child = Command::new(python())
        .args(["-c", OFFICIAL])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let input = serde_json::to_vec(samples).expect("samples");
    child.stdin.take().expect("its input").write_all(&input).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn fresh_requests_are_signed_as_the_official_sdk_signs_them() {
    let mut runner = TestRunner::default();
    let samples: Vec<Sample> = (0..200).map(|_| samples().new_tree(&mut runner).expect("a sample").current()).collect();
    for (sample, theirs) in samples.iter().zip(official(&samples)) {
        assert_eq!(sample.signed(), theirs, "{sample:?}");
    }
}
