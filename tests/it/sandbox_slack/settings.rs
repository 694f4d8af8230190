//! How long sessions may last.

use serde_json::json;
use sever::sandbox::ledger::Effect;

use super::org::*;

const GET: &str = "admin.users.session.getSettings";
const SET: &str = "admin.users.session.setSettings";
const CLEAR: &str = "admin.users.session.clearSettings";

#[tokio::test]
async fn settings_are_set_read_and_cleared_and_end_nothing() {
    let org = Org::start().await;
    let ids = json!([org.ana, org.owner]);
    let unset = json!({"ok": true, "session_settings": [], "no_settings_applied": [org.ana]});
    assert_eq!(org.object(GET, &json!({"user_ids": ids})).await.json(), unset, "without sessions one is left out");
    let set = json!({"user_ids": ids, "duration": 86_400, "desktop_app_browser_quit": true});
    assert_eq!(org.object(SET, &set).await.code(), "ok");
    let row = json!({"user_id": org.ana, "duration": 86_400, "desktop_app_browser_quit": true});
    assert_eq!(org.object(GET, &json!({"user_ids": ids})).await.json()["session_settings"], json!([row]));
    assert_eq!(org.object(CLEAR, &json!({"user_ids": [org.ana]})).await.code(), "ok");
    assert_eq!(org.object(GET, &json!({"user_ids": ids})).await.json(), unset);
    assert_eq!((org.slack.sessions_of("ana"), org.slack.revocations_of("ana")), (3, 0));
    let changed = org.slack.ledger().into_iter().filter(|call| matches!(call.effect, Effect::SettingsChanged { .. }));
    assert_eq!(changed.count(), 2);
}

#[tokio::test]
async fn settings_have_bounds_and_are_of_people_only() {
    let org = Org::start().await;
    let table = [
        (SET, json!({"user_ids": [org.ana]}), "at_least_one_session_setting_required"),
        (SET, json!({"user_ids": [org.ana], "duration": 28_799}), "invalid_arguments"),
        (SET, json!({"user_ids": [org.ana], "duration": 315_569_521}), "invalid_arguments"),
        (SET, json!({"user_ids": [org.ana], "duration": 315_569_520}), "ok"),
        (SET, json!({"user_ids": [org.bot], "duration": 86_400}), "bots_not_allowed"),
        (GET, json!({"user_ids": [org.bot]}), "bots_not_allowed"),
        (GET, json!({"user_ids": ["W0"]}), "user_not_found"),
        (CLEAR, json!({"user_ids": ["W0"]}), "user_not_found"),
        (CLEAR, json!({}), "invalid_arguments"),
    ];
    for (method, body, code) in table {
        assert_eq!(org.object(method, &body).await.code(), code, "{method} {body}");
    }
}
