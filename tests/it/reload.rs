//! The config file changes while the service runs.

mod files;
mod parts;
mod process;

use std::path::PathBuf;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use serde_json::Value;
use sever::store::AuditView;
use tower::ServiceExt;

use crate::testapp::{CONFIG, TestApp};

impl TestApp {
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("sever.yaml")
    }

    /// A config as it would be written for this service.
    pub(crate) fn filled(&self, config: &str) -> String {
        let dir = self.folder.path().to_str().expect("a path");
        config.replace("{okta}", &self.okta().url()).replace("{dir}", dir)
    }

    pub(crate) fn write(&self, config: &str) {
        std::fs::write(self.file(), self.filled(config)).expect("written");
    }

    /// Writes the file and has it taken on: what changed, or why not.
    pub(crate) async fn reload(&self, config: &str) -> Result<Vec<String>, String> {
        self.write(config);
        self.app.reloader.reload().await.map_err(|error| error.to_string())
    }

    async fn reloads(&self) -> Vec<AuditView> {
        let page = self.app.store.audit(None, 1_000_000).await.expect("the store answers");
        page.items.into_iter().filter(|row| row.event == "config_reloaded").collect()
    }

    async fn readiness(&self) -> Value {
        self.send(Request::get("/readyz").body(Body::empty()).expect("a request")).await.body
    }

    fn reload_ok(&self) -> bool {
        self.app.metrics.render().contains("sever_config_reload_ok 1")
    }

    /// The status that an operator with this token gets.
    async fn ask(&self, token: &str, path: &str) -> (u16, Value) {
        let request =
            Request::get(path).header("host", "sever.test").header("authorization", format!("Bearer {token}"));
        let request = request.body(Body::empty()).expect("a request");
        let answer = self.app.admin_router().oneshot(request).await.expect("an answer");
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.expect("a body").to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn until(&self, what: &str, done: impl AsyncFn() -> bool) {
        for _ in 0..300 {
            if done().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("waited half a minute in vain: {what}");
    }
}

/// [`CONFIG`] with an operator whose token is in a file of its folder.
fn with_admin() -> String {
    let admin = "admin: {listen: 127.0.0.1:0, hosts: [sever.test], tokens: [{name: oncall, role: operator, secret: {file: '{dir}/token'}}]}";
    format!("{admin}\n{CONFIG}")
}
