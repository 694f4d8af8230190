//! The listener for Prometheus: metrics, and nothing else.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::testapp::{CONFIG, SECRET, TOKEN, TestApp, by_email};

/// The whole answer to one request.
async fn ask(app: &sever::app::Addresses, request: &str) -> String {
    let mut stream = TcpStream::connect(app.metrics.expect("a listener")).await.expect("connected");
    let request = format!("{request} HTTP/1.1\r\nhost: prometheus.example\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    answer
}

#[tokio::test]
async fn it_tells_metrics_without_a_token_and_nothing_else() {
    let app = TestApp::with(&format!("metrics: {{listen: 127.0.0.1:0}}\n{CONFIG}")).await;
    let at = app.app.start().await.expect("it starts");
    app.person("ana@example.com", 1);
    app.deliver(by_email("edr-1", "ana@example.com")).await.assert_accepted();
    let metrics = ask(&at, "GET /metrics").await;
    assert!(metrics.starts_with("HTTP/1.1 200") && metrics.contains("# EOF"), "{metrics}");
    assert!(metrics.contains("sever_deliveries_total{source=\"edr\",result=\"accepted\"} 1"), "{metrics}");
    assert!(metrics.contains("sever_config_reload_ok 1"), "{metrics}");
    for secret in ["ana@example.com", SECRET, TOKEN, "edr-1"] {
        assert!(!metrics.contains(secret), "{secret} is in {metrics}");
    }
    for request in [
        "GET /",
        "GET /v1/status",
        "GET /v1/jobs",
        "GET /healthz",
        "GET /readyz",
        "GET /openapi.json",
        "GET /metrics/",
        "POST /v1/alerts/edr",
        "POST /v1/pause",
    ] {
        let answer = ask(&at, request).await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{request}: {answer}");
    }
    assert!(ask(&at, "POST /metrics").await.starts_with("HTTP/1.1 405"));
}

#[tokio::test]
async fn whoever_holds_all_of_its_connections_holds_up_nobody_else() {
    let app = TestApp::with(&format!("metrics: {{listen: 127.0.0.1:0}}\n{CONFIG}")).await;
    let at = app.app.start().await.expect("it starts");
    let mut held = Vec::new();
    for _ in 0..40 {
        let mut stream = TcpStream::connect(at.metrics.expect("a listener")).await.expect("connected");
        let _ = stream.write_all(b"GET /metr").await;
        held.push(stream);
    }
    let mut open = 0;
    for stream in &mut held {
        let mut byte = [0];
        let read = tokio::time::timeout(Duration::from_millis(100), stream.read(&mut byte)).await;
        open += usize::from(read.is_err());
    }
    assert!(open <= 32, "{open} connections are open");
    app.deliver(by_email("edr-1", "ana@example.com")).await.assert_accepted();
    let mut alerts = TcpStream::connect(at.alerts).await.expect("connected");
    alerts.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.expect("written");
    let mut answer = String::new();
    alerts.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
