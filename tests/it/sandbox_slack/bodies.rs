//! Forms, JSON objects and queries: what is taken, what is remarked and what is refused.

use serde_json::{Value, json};

use super::org::*;

#[tokio::test]
async fn every_method_takes_a_form_and_those_of_json_take_an_object_too() {
    let methods = Org::start().await.right_calls().into_iter().map(|(method, _)| method);
    for method in methods {
        let org = Org::start().await;
        let (_, body) = org.right_calls().into_iter().find(|(name, _)| *name == method).expect("the same list");
        let path = format!("/api/{method}");
        let object = org.object(method, &body).await;
        let expected = if method.starts_with("users.") { "invalid_post_type" } else { "ok" };
        assert_eq!((object.status, object.code().as_str()), (200, expected), "{method}: {}", object.text);

        let org = Org::start().await;
        let (_, body) = org.right_calls().into_iter().find(|(name, _)| *name == method).expect("the same list");
        let form = org.send("POST", &path, &[FORM, AUTH], &encoded(&as_form(&body))).await;
        assert_eq!((form.status, form.code().as_str()), (200, "ok"), "{method}: {}", form.text);
        assert_eq!(form.header("content-type"), "application/json; charset=utf-8");
    }
}

#[tokio::test]
async fn a_charset_too_few_or_too_many_is_a_warning_under_success() {
    let org = Org::start().await;
    let object = json!({"user_id": org.ana}).to_string();
    let form = encoded(&[("user_id", &org.ana)]);
    let table = [
        ("application/json", &object, json!("missing_charset")),
        ("application/json; charset=utf-8", &object, Value::Null),
        ("application/json;charset=\"UTF-8\"", &object, Value::Null),
        ("application/x-www-form-urlencoded;charset=utf-8", &form, json!("superfluous_charset")),
        ("application/x-www-form-urlencoded", &form, Value::Null),
    ];
    for (content_type, body, warning) in table {
        let reply = org.send("POST", &format!("/api/{RESET}"), &[("content-type", content_type), AUTH], body).await;
        assert_eq!((reply.code().as_str(), &reply.json()["warning"]), ("ok", &warning), "{content_type}");
        assert_eq!(reply.json()["response_metadata"]["warnings"][0], warning, "{content_type}");
    }
}

#[tokio::test]
async fn malformed_bodies_are_refused_with_the_code_of_their_fault() {
    let org = Org::start().await;
    let object = json!({"user_id": org.ana}).to_string();
    let form = encoded(&[("user_id", &org.ana)]);
    let table: Vec<(Option<&str>, String, &str)> = vec![
        (None, form.clone(), "missing_post_type"),
        (Some("text/plain"), form.clone(), "invalid_post_type"),
        (Some("multipart/form-data; boundary=x"), form.clone(), "invalid_post_type"),
        (Some("application/json; charset=latin1"), object.clone(), "invalid_charset"),
        (Some("application/x-www-form-urlencoded; charset=utf-16"), form.clone(), "invalid_charset"),
        (Some("application/json; charset=utf-8"), form.clone(), "invalid_json"),
        (Some("application/json; charset=utf-8"), String::new(), "invalid_json"),
        (Some("application/json; charset=utf-8"), "[]".into(), "json_not_object"),
        (Some("application/json; charset=utf-8"), "\"W1\"".into(), "json_not_object"),
        (Some(FORM.1), object.clone(), "invalid_form_data"),
        (Some(FORM.1), "user_id".into(), "invalid_form_data"),
        (Some(FORM.1), "user_id=%zz".into(), "invalid_form_data"),
        (Some(FORM.1), "user_id=%ff".into(), "invalid_form_data"),
        (Some(FORM.1), format!("{form}&{form}"), "invalid_form_data"),
        (Some(FORM.1), format!("{form}&user%5B%5D=x"), "invalid_array_arg"),
        (Some(FORM.1), format!("{form}&user-id=x"), "invalid_arg_name"),
        (Some(FORM.1), format!("{form}&{}=x", "a".repeat(101)), "invalid_arg_name"),
        (Some(FORM.1), format!("{form}&bogus=x"), "invalid_arguments"),
        (Some(FORM.1), String::new(), "invalid_arguments"),
    ];
    for (content_type, body, code) in table {
        let headers: Vec<(&str, &str)> = content_type.map(|value| ("content-type", value)).into_iter().collect();
        let reply = org.send("POST", &format!("/api/{RESET}"), &[headers, vec![AUTH]].concat(), &body).await;
        assert_eq!((reply.status, reply.code().as_str()), (200, code), "{content_type:?} {body}");
    }
    assert_eq!(org.slack.revocations_of("ana"), 0);
}

#[tokio::test]
async fn arguments_have_types_which_forms_write_as_text() {
    let org = Org::start().await;
    let session: i64 = org.slack.session_ids_in("ana", &org.teams[0])[0].parse().expect("a number");
    let one = |id: Value| json!({"session_id": id, "team_id": org.teams[0], "user_id": org.ana});
    let many = |ids: Value| json!({"user_ids": ids});
    let table = [
        (RESET, json!({"user_id": 7})),
        (RESET, json!({"user_id": null})),
        (RESET, json!({"user_id": ""})),
        (RESET, json!({"user_id": org.ana, "web_only": "true"})),
        (RESET, json!({"user_id": org.ana, "web_only": 1})),
        (RESET, json!({"user_id": org.ana, "web_only": true, "mobile_only": true})),
        (INVALIDATE, one(json!(session.to_string()))),
        (INVALIDATE, one(json!(session as f64))),
        (INVALIDATE, one(json!(null))),
        (INVALIDATE, json!({"session_id": session, "team_id": org.teams[0]})),
        (INVALIDATE, json!({"session_id": session, "user_id": org.ana})),
        (INVALIDATE, json!({"team_id": org.teams[0], "user_id": org.ana})),
        (BULK, many(json!([]))),
        (BULK, many(json!([org.ana, ""]))),
        (BULK, many(json!([org.ana, 7]))),
        (BULK, many(json!(org.ana))),
        (BULK, many(json!(vec!["W"; 1001]))),
        (BULK, json!({"user_id": org.ana})),
        (LIST, json!({"limit": 0})),
        (LIST, json!({"limit": 1001})),
        (LIST, json!({"limit": -1})),
        (LIST, json!({"limit": "10"})),
        ("auth.test", json!({"token": TOKEN})),
    ];
    for (method, body) in table {
        let reply = org.object(method, &body).await;
        assert_eq!(reply.code(), "invalid_arguments", "{method} {body}: {}", reply.text);
        assert!(reply.json()["response_metadata"]["messages"][0].as_str().is_some_and(|text| text.len() > 10));
    }
    for (name, value) in [("web_only", "True"), ("web_only", "yes"), ("mobile_only", "2"), ("mobile_only", "")] {
        let reply = org.form(RESET, &[("user_id", &org.ana), (name, value)]).await;
        assert_eq!(reply.code(), "invalid_arguments", "{name}={value}");
    }
    for id in ["1e3", "12.0", "-1", "0x10", "99999999999999999999", ""] {
        assert_eq!(org.invalidate(id).await.code(), "invalid_arguments", "{id}");
    }
    for ids in ["", ",", &format!("{},", org.ana), &format!("{}, {}", org.ana, org.ana)] {
        assert_ne!(org.form(BULK, &[("user_ids", ids)]).await.code(), "ok", "{ids}");
    }
    assert_eq!(org.slack.revocations_of("ana"), 0);
    for yes in ["true", "1"] {
        assert_eq!(
            org.form(RESET, &[("user_id", &org.ana), ("mobile_only", yes), ("web_only", "0")]).await.code(),
            "ok"
        );
    }
    assert_eq!(org.slack.sessions_of("ana"), 2);
}
