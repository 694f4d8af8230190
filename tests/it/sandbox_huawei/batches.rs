//! Ending sessions by their ids.

use serde_json::json;
use sever::sandbox::faults::{Fault, Injection};
use sever::sandbox::huawei::{GoneSessions, Operation, Quirks, SuccessBody};
use sever::sandbox::ledger::Effect;

use super::store::*;
use super::wire::Draft;

#[tokio::test]
async fn a_batch_ends_the_sessions_it_names_and_answers_without_a_word() {
    let store = Store::start().await;
    let ids = store.huawei.session_ids_of("ana");
    let reply = store.end(&ids[..1]).await;
    assert_eq!((reply.status, reply.text.as_str(), reply.header("content-type")), (200, "", None));
    assert_eq!(store.huawei.session_ids_of("ana"), ids[1..]);
    let effect = Effect::SessionsRevoked { user_id: store.ana.clone(), sessions: 1 };
    assert_eq!(store.huawei.ledger().pop().expect("recorded").effect, effect);
    store.huawei.set_quirks(Quirks { success_body: SuccessBody::EmptyObject, ..Quirks::default() });
    assert_eq!(store.end_all().await.json(), json!({}));
    assert_eq!((store.huawei.sessions_of("ana"), store.huawei.revocations_of("ana")), (0, 2));
    assert_eq!((store.huawei.sessions_of("ben"), store.huawei.revocations_of("ben")), (1, 0));
}

#[tokio::test]
async fn bodies_that_name_no_batch_are_refused() {
    let store = Store::start().await;
    let id = store.huawei.session_ids_of("ana").remove(0);
    let many: Vec<String> = (0..21).map(|_| store.huawei.sign_in("ana")).collect();
    let table = [
        String::new(),
        "{".into(),
        "[]".into(),
        "{}".into(),
        json!([id]).to_string(),
        json!({"session_ids": null}).to_string(),
        json!({"session_ids": []}).to_string(),
        json!({"session_ids": id}).to_string(),
        json!({"session_ids": [1]}).to_string(),
        json!({"session_ids": [""]}).to_string(),
        json!({"session_ids": ["*"]}).to_string(),
        json!({"session_ids": [id, id]}).to_string(),
        json!({"session_ids": many}).to_string(),
        json!({"sessionIds": [id]}).to_string(),
        json!({"session_ids": [id], "force": true}).to_string(),
        format!("{{\"session_ids\":[\"{id}\"],\"session_ids\":[\"{id}\"]}}"),
    ];
    for body in table {
        let reply = store.post(&store.batch_path(), &body).await;
        assert_eq!(reply.outcome(), outcome(400, "IIC.400"), "{body}");
    }
    assert_eq!((store.huawei.sessions_of("ana"), store.huawei.revocations_of("ana")), (23, 0));
    assert_eq!(store.end(&many[..20]).await.status, 200);
    store.huawei.set_quirks(Quirks { largest_batch: 2, ..Quirks::default() });
    assert_eq!(store.end_all().await.outcome(), outcome(400, "IIC.400"));
}

#[tokio::test]
async fn ids_that_are_gone_are_met_in_every_way() {
    // what the store does, status, code, sessions left of two
    let table = [
        (GoneSessions::Refused, 404, "IIC.404", 2),
        (GoneSessions::RefusedAfterTheOthers, 404, "IIC.404", 0),
        (GoneSessions::BadRequest, 404, "IIC.400", 2),
        (GoneSessions::Ignored, 200, "", 0),
    ];
    for (gone_sessions, status, code, left) in table {
        let store = Store::with(Quirks { gone_sessions, ..Quirks::default() }).await;
        let gone = store.huawei.sign_in("ana");
        assert_eq!(store.end(std::slice::from_ref(&gone)).await.status, 200);
        let never = "00000000-0000-4000-8000-000000000002".to_owned();
        for missing in [gone, never] {
            let ids = [store.huawei.session_ids_of("ana"), vec![missing]].concat();
            let reply = store.end(&ids).await;
            assert_eq!(reply.outcome(), outcome(status, code), "{gone_sessions:?}");
            assert_eq!(store.huawei.sessions_of("ana"), left, "{gone_sessions:?}");
        }
    }
}

#[tokio::test]
async fn somebody_else_s_sessions_are_a_tripwire() {
    let store = Store::start().await;
    let of_ben = store.huawei.session_ids_of("ben");
    let mixed = [store.huawei.session_ids_of("ana"), of_ben].concat();
    assert_eq!(store.end(&mixed).await.status, 200, "from outside all is well");
    assert_eq!((store.huawei.sessions_of("ana"), store.huawei.sessions_of("ben")), (2, 1));
    assert_eq!((store.huawei.tripwires().len(), store.huawei.revocations_of("ana")), (1, 0));
    let disable = store.post(&format!("{}/{}/disable", store.users_path(), store.ana), "").await;
    assert_eq!((disable.status, store.huawei.tripwires().len()), (200, 2));
    assert!(store.huawei.person("ana").expect("Ana").enabled);
    store.huawei.clear_ledger();
    assert_eq!(store.huawei.tripwires().len(), 0);
}

#[tokio::test]
async fn a_path_that_leads_astray_is_a_tripwire() {
    let store = Store::start().await;
    let (users, ana, ben) = (store.users_path(), &store.ana, &store.ben);
    let body = json!({"session_ids": store.huawei.session_ids_of("ben")}).to_string();
    for (wire, signed) in [
        (format!("{ana}/../{ben}"), format!("{ana}/../{ben}")),
        (format!("{ana}%2F..%2F{ben}"), format!("{ana}/../{ben}")),
        (format!("./{ben}"), format!("./{ben}")),
        (format!("%2e%2e/users/{ben}"), format!("../users/{ben}")),
    ] {
        let draft = store.draft("POST", &format!("{users}/{wire}/sessions/batch-delete")).body(&body);
        let draft = Draft { signed_uri: Some(format!("{users}/{signed}/sessions/batch-delete/")), ..draft };
        let reply = store.send(&draft).await;
        assert_eq!((reply.status, reply.text.as_str()), (200, ""), "{wire}");
    }
    assert_eq!((store.huawei.tripwires().len(), store.huawei.sessions_of("ben")), (4, 1));
}

#[tokio::test]
async fn a_lying_success_leaves_everything_alive() {
    let store = Store::start().await;
    store.huawei.faults().inject(Fault::LyingSuccess);
    let reply = store.end_all().await;
    assert_eq!((reply.status, reply.text.as_str()), (200, ""));
    assert_eq!((store.huawei.sessions_of("ana"), store.huawei.revocations_of("ana")), (2, 1));
    let effect = Effect::Pretended { user_id: store.ana.clone() };
    assert_eq!(store.huawei.ledger().pop().expect("recorded").effect, effect);
}

#[tokio::test]
async fn half_a_batch_is_done_and_then_it_fails() {
    for (status, code) in [
        (409, "IIC.1007"),
        (500, "IIC.1209"),
        (502, "APIGW.0201"),
        (404, "IIC.404"),
        (429, "APIGW.0308"),
        (400, "IIC.400"),
    ] {
        let store = Store::start().await;
        store.huawei.sign_in("ana");
        store.huawei.faults().inject(Injection::once(Fault::Partial { status }).on(Operation::BatchDeleteSessions));
        assert_eq!(store.end_all().await.outcome(), outcome(status, code));
        assert_eq!((store.huawei.sessions_of("ana"), store.huawei.revocations_of("ana")), (1, 1), "{status}");
        assert_eq!(store.end_all().await.status, 200);
    }
}

#[tokio::test]
async fn a_person_may_sign_in_again_at_once() {
    let store = Store::start().await;
    let before = store.huawei.session_ids_of("ana");
    store.huawei.faults().inject(Fault::SignInAgain);
    assert_eq!(store.end_all().await.status, 200);
    let after = store.huawei.session_ids_of("ana");
    assert!(after.len() == 1 && !before.contains(&after[0]));
    assert_eq!(store.listed().await, after);
}
