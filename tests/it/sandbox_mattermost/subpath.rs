//! A server below a path, and what is beside the API.

use super::chat::*;

#[tokio::test]
async fn beside_the_api_there_is_the_web_app() {
    let chat = Chat::start().await;
    let paths = ["/", "/users/me", "/api/v5/users/me", "/chat/api/v4/users/me"];
    for path in paths {
        let shown = chat.send("GET", path, &[ACCEPT, AUTH], "").await;
        assert!(shown.status == 200 && shown.header("content-type").starts_with("text/html"), "{path}");
        let posted = chat.send("POST", path, &[ACCEPT, AUTH], "").await;
        assert!(posted.status == 404 && posted.header("content-type").starts_with("text/html"), "{path}");
    }
}

#[tokio::test]
async fn a_server_below_a_path_answers_there_and_sends_others_there() {
    let chat = Chat::start().await;
    let root = chat.server.url();
    chat.server.serve_under("/team/chat/");
    assert_eq!(chat.server.url(), format!("{root}/team/chat"));
    assert_eq!(chat.list().await.ids().len(), 2);
    chat.revoke_all().await.assert_ok();
    let outside = chat.client.get(format!("{root}/api/v4/users/me")).header(ACCEPT.0, ACCEPT.1).send().await;
    let outside = outside.expect("an answer");
    assert_eq!(outside.status(), 302);
    assert_eq!(outside.headers()["location"], "/team/chat/api/v4/users/me");
    assert_eq!(chat.send("GET", "/../api/v4/users/me", &[ACCEPT, AUTH], "").await.status, 302);
}
