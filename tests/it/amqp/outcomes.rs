//! What a message comes to.

use std::time::Duration;

use jiff::ToSpan;
use lapin::types::{AMQPValue, FieldArray, FieldTable};
use serde_json::{Value, json};
use sever::domain::JobState;

use super::scene::{Scene, config, queue_name};
use crate::support::broker::{Broker, Outgoing, death, url};
use crate::testapp::{TestApp, by_email, signing};

#[tokio::test]
async fn a_signed_message_ends_the_sessions() {
    let scene = Scene::start().await;
    let ana = scene.app.person("ana@example.com", 2);
    scene.publish(&scene.signed("msg_1", &by_email("edr-1", "ana@example.com"))).await;
    scene.until_counted("accepted", 1).await;
    scene.app.drain().await;
    assert_eq!(scene.app.okta().sessions_of(&ana.id), 0);
    scene.assert_all_answered().await;
}

#[tokio::test]
async fn a_repeat_is_acknowledged_and_costs_nothing() {
    let scene = Scene::start().await;
    let ana = scene.app.person("ana@example.com", 2);
    let message = scene.signed("msg_1", &by_email("edr-1", "ana@example.com"));
    for _ in 0..3 {
        scene.publish(&message).await;
    }
    scene.until_counted("accepted", 1).await;
    scene.until_counted("duplicate", 2).await;
    scene.app.drain().await;
    assert_eq!(scene.app.okta().revocations_of(&ana.id), 1);
    scene.assert_all_answered().await;
}

#[tokio::test]
async fn what_matches_no_rule_is_ignored_and_what_cannot_be_decoded_is_kept() {
    let scene = Scene::start().await;
    scene.app.person("ana@example.com", 1);
    let mut mild = by_email("edr-1", "ana@example.com");
    mild["severity"] = "low".into();
    scene.publish(&scene.signed("msg_1", &mild)).await;
    scene.publish(&scene.signed("msg_2", &json!({"not": "an alert"}))).await;
    scene.until_counted("ignored", 1).await;
    scene.until_counted("quarantined", 1).await;
    let kept = scene.app.app.store.quarantine(None, 10).await.expect("an answer").items;
    assert_eq!((kept.len(), kept[0].delivery_id.as_str(), kept[0].source.as_str()), (1, "msg_2", "queue"));
    assert!(scene.app.jobs(None).await.is_empty());
    scene.assert_all_answered().await;
}

#[tokio::test]
async fn a_message_that_waited_too_long_is_kept_for_a_person_and_does_nothing() {
    let scene = Scene::start().await;
    let ana = scene.app.person("ana@example.com", 1);
    let now = sever::clock::Clock::now(scene.app.clock.as_ref());
    let alert = by_email("edr-1", "ana@example.com");
    scene.publish(&scene.signed_at("msg_1", now - 23.hours(), &alert)).await;
    scene.until_counted("accepted", 1).await;
    let stale = by_email("edr-2", "ana@example.com");
    scene.publish(&scene.signed_at("msg_2", now - 25.hours(), &stale)).await;
    scene.publish(&scene.signed_at("msg_3", now + 25.hours(), &stale)).await;
    scene.until_counted("quarantined", 2).await;
    assert_eq!(scene.app.jobs(None).await.len(), 1, "late messages made no job");
    let kept = scene.app.app.store.quarantine(None, 10).await.expect("an answer").items;
    assert!(kept.iter().any(|kept| kept.reason.contains("timestamp_stale")), "{kept:?}");
    assert!(kept.iter().any(|kept| kept.reason.contains("timestamp_future")), "{kept:?}");

    // A person may decide that it still counts.
    let stored = scene.app.app.store.delivery(kept[0].id).await.expect("an answer").expect("kept");
    let admission = scene.app.app.intake.plan_again(&stored).expect("planned");
    let actor = sever::audit::Actor::operator("oncall");
    scene.app.app.store.replay(kept[0].id, admission, actor).await.expect("replayed");
    scene.app.drain().await;
    assert_eq!(scene.app.okta().sessions_of(&ana.id), 0);
    scene.assert_all_answered().await;
}

#[tokio::test]
async fn alerts_older_than_the_source_takes_are_kept_too() {
    let (broker, queue) = (Broker::at(&url()).await, queue_name());
    broker.queues(&queue).await;
    let text = config(&url(), &queue, "").replace("  queue:\n", "  queue:\n    max_age: 1h\n");
    let app = TestApp::with(&text).await;
    let mut old = by_email("edr-1", "ana@example.com");
    old["occurred_at"] = "2026-11-21T20:59:59Z".into();
    let signer = sever::verify::Signer::new(&signing()).expect("a signer");
    let now = sever::clock::Clock::now(app.clock.as_ref());
    let headers = signer.sign("msg_1", now, old.to_string().as_bytes()).expect("signed");
    broker.publish(&queue, &Outgoing::new(&old, headers)).await;
    app.app.consume_queues();
    crate::support::broker::until("it is kept", async || {
        let kept = app.app.store.quarantine(None, 10).await.expect("an answer").items;
        kept.first().map(|kept| assert!(kept.reason.contains("timestamp_stale"), "{kept:?}"))
    })
    .await;
    assert!(app.jobs(None).await.is_empty());
}

/// Each goes to the dead letters, and an operator can see why.
#[tokio::test]
async fn what_nobody_signed_goes_to_the_dead_letters() {
    let scene = Scene::with(", max_body: 2KiB").await;
    scene.app.person("ana@example.com", 1);
    let alert = by_email("edr-1", "ana@example.com");
    let signed = |id: &str| scene.signed(id, &alert);
    let text = |text: &str| AMQPValue::LongString(text.into());
    let renamed = |from: &str, to: &str, value: AMQPValue| {
        let mut message = signed("msg_x");
        let mut table = message.properties.headers().clone().expect("headers");
        let mut kept = FieldTable::default();
        for (name, value) in table.inner().iter().filter(|(name, _)| name.as_str() != from) {
            kept.insert(name.clone(), value.clone());
        }
        table = kept;
        table.insert(to.into(), value);
        message.properties = message.properties.with_headers(table);
        message
    };
    let altered = Outgoing { body: b"{}".to_vec(), ..signed("msg_altered") };
    let empty = Outgoing { body: Vec::new(), ..signed("msg_empty") };
    let mut other_id = signed("msg_signed");
    other_id.properties = other_id.properties.with_message_id("msg_other".into());
    let mut large = alert.clone();
    large["reason"] = "x".repeat(3000).into();
    let time = sever::clock::Clock::now(scene.app.clock.as_ref()).as_second();
    for (reason, message) in [
        ("missing_header", Outgoing::new(&alert, [])),
        ("signature_mismatch", altered),
        ("empty_body", empty),
        ("too_large", scene.signed("msg_large", &large)),
        ("id_mismatch", other_id),
        ("malformed_header", renamed("webhook-id", "webhook-id", AMQPValue::ByteArray(b"msg_x".to_vec().into()))),
        (
            "malformed_header",
            renamed("webhook-signature", "webhook-signature", AMQPValue::FieldArray(FieldArray::default())),
        ),
        ("malformed_header", renamed("webhook-timestamp", "webhook-timestamp", AMQPValue::Timestamp(time as u64))),
        ("malformed_header", renamed("webhook-timestamp", "webhook-timestamp", AMQPValue::Double(time as f64))),
        ("malformed_header", renamed("webhook-id", "webhook-id", AMQPValue::Void)),
        ("malformed_header", renamed("webhook-id", "webhook-id", AMQPValue::Boolean(true))),
        ("duplicate_header", renamed("", "Webhook-Id", text("msg_y"))),
        ("missing_header", renamed("webhook-id", "webhook id", text("msg_x"))),
    ] {
        scene.publish(&message).await;
        let dead = scene.dead().await;
        assert_eq!(death(&dead), "rejected", "{reason}");
        assert_eq!(dead.data, message.body, "{reason}: unchanged");
        assert_eq!(scene.refusals()[0].reason, reason, "{:?}", message.properties);
    }
    assert!(scene.app.jobs(None).await.is_empty());
    assert_eq!(scene.counted("refused"), 13);
    scene.assert_all_answered().await;
}

#[tokio::test]
async fn a_time_written_as_a_number_counts_as_its_digits() {
    let scene = Scene::start().await;
    let time = sever::clock::Clock::now(scene.app.clock.as_ref()).as_second();
    let message = scene.signed("msg_1", &by_email("edr-1", "ana@example.com"));
    scene.publish(&message.header("webhook-timestamp", AMQPValue::LongLongInt(time))).await;
    scene.until_counted("accepted", 1).await;
    scene.assert_all_answered().await;
}

/// What a broker writes into headers later is not signed, and a publisher can write it too.
#[tokio::test]
async fn a_forged_history_changes_nothing() {
    let scene = Scene::start().await;
    let mut death = FieldTable::default();
    death.insert("count".into(), AMQPValue::LongLongInt(1_000_000));
    death.insert("reason".into(), AMQPValue::LongString("delivery_limit".into()));
    death.insert("queue".into(), AMQPValue::LongString(scene.queue.as_str().into()));
    let deaths = AMQPValue::FieldArray(vec![AMQPValue::FieldTable(death)].into());
    let message = scene
        .signed("msg_1", &by_email("edr-1", "ana@example.com"))
        .header("x-death", deaths)
        .header("x-delivery-count", AMQPValue::LongLongInt(1_000_000))
        .header("x-first-death-reason", AMQPValue::LongString("rejected".into()));
    scene.publish(&message).await;
    scene.until_counted("accepted", 1).await;
    let unsigned =
        Outgoing { properties: message.properties.clone().with_message_id("msg_1".into()), body: b"{}".to_vec() };
    scene.broker.publish(&format!("{}.dead", scene.queue), &unsigned).await;
    scene.broker.assert_empty(&scene.queue).await;
    assert_eq!(scene.app.jobs(None).await.len(), 1, "nothing that was put among the dead letters acts");
    scene.assert_all_answered().await;
}

#[tokio::test]
async fn an_alert_that_comes_by_both_doors_costs_one_revocation() {
    let scene = Scene::start().await;
    let ana = scene.app.person("ana@example.com", 2);
    for round in 0..10 {
        let alert = by_email("edr-1", "ana@example.com");
        let delivery = format!("msg_{round}");
        let message = scene.signed(&delivery, &alert);
        tokio::join!(scene.publish(&message), scene.app.deliver_as(&delivery, alert.clone()));
    }
    scene.until_counted("accepted", 10).await;
    scene.app.drain().await;
    assert_eq!(scene.app.jobs(None).await.len(), 1);
    assert_eq!(scene.app.okta().revocations_of(&ana.id), 1);
    scene.assert_all_answered().await;
}

#[tokio::test]
async fn the_same_message_on_two_queues_of_one_issuer_costs_one_revocation() {
    let (broker, first, second) = (Broker::at(&url()).await, queue_name(), queue_name());
    broker.queues(&first).await;
    broker.queues(&second).await;
    let one = config(&url(), &first, "");
    let source = one.split("  queue:\n").nth(1).and_then(|rest| rest.split("providers:").next()).expect("a source");
    let both = one.replace("providers:\n", &format!("  other:\n{}providers:\n", source.replace(&first, &second)));
    let app = TestApp::with(&both).await;
    let ana = app.person("ana@example.com", 2);
    let signer = sever::verify::Signer::new(&signing()).expect("a signer");
    let alert = by_email("edr-1", "ana@example.com");
    let now = sever::clock::Clock::now(app.clock.as_ref());
    let message = Outgoing::new(&alert, signer.sign("msg_1", now, alert.to_string().as_bytes()).expect("signed"));
    tokio::join!(broker.publish(&first, &message), broker.publish(&second, &message));
    app.app.consume_queues();
    crate::support::broker::until("both were stored", async || {
        let text = app.app.metrics.render();
        let stored = |source: &str| text.contains(&format!("{{source=\"{source}\",result=\"accepted\"}} 1"));
        (stored("queue") && stored("other")).then_some(())
    })
    .await;
    app.drain().await;
    assert_eq!(app.okta().revocations_of(&ana.id), 1);
    assert_eq!(app.jobs(Some(JobState::Done)).await.len(), 1);
}

#[tokio::test]
async fn a_queue_takes_no_requests() {
    let scene = Scene::start().await;
    let alert = by_email("edr-1", "ana@example.com");
    let signer = sever::verify::Signer::new(&signing()).expect("a signer");
    let body = alert.to_string().into_bytes();
    let headers = signer.sign("msg_1", sever::clock::Clock::now(scene.app.clock.as_ref()), &body).expect("signed");
    assert_eq!(scene.app.post("queue", headers, body).await.status, 404);
}

/// Many at once: none is lost, none is taken twice, and the commits are shared.
#[tokio::test(flavor = "multi_thread")]
async fn a_burst_is_taken_in_groups() {
    const MESSAGES: usize = 2_000;
    let scene = Scene::idle(&url(), ", prefetch: 100").await;
    let publishes = (0..MESSAGES).map(|n| {
        let email = format!("person-{n}@example.com");
        let message = scene.signed(&format!("msg_{n}"), &by_email(&format!("edr-{n}"), &email));
        let scene = &scene;
        async move { scene.publish(&message).await }
    });
    let forged: Vec<Value> = (0..20).map(|n| json!({"forged": n})).collect();
    futures_util::future::join_all(publishes).await;
    for body in &forged {
        scene.publish(&Outgoing::new(body, [])).await;
    }
    scene.app.app.consume_queues();
    scene.until_counted("accepted", MESSAGES as u64).await;
    scene.until_counted("refused", 20).await;
    let metrics = scene.app.app.metrics.render();
    let of = |name: &str| -> f64 {
        metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).expect("a metric")
    };
    let (changes, commits) = (of("sever_commit_batch_size_sum "), of("sever_commit_batch_size_count "));
    assert!(changes / commits > 2.0, "{changes} changes took {commits} commits");
    scene.assert_all_answered().await;
    assert_eq!(scene.broker.waiting(&format!("{}.dead", scene.queue)).await, 20);
}

/// A queue that gives the same message again and again, as one does whose other consumers fail.
#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_redeliveries_costs_one_revocation() {
    let scene = Scene::idle(&url(), ", prefetch: 5").await;
    let ana = scene.app.person("ana@example.com", 2);
    let message = scene.signed("msg_1", &by_email("edr-1", "ana@example.com"));
    for _ in 0..300 {
        scene.publish(&message).await;
    }
    // Another consumer takes what it can and lets go of it.
    let rival = scene.broker.channel().await;
    for _ in 0..200 {
        let options = lapin::options::BasicGetOptions::default();
        let Some(taken) = rival.basic_get(scene.queue.as_str().into(), options).await.expect("an answer") else {
            break;
        };
        let options = lapin::options::BasicNackOptions { requeue: true, multiple: false };
        taken.nack(options).await.expect("given back");
    }
    scene.app.app.consume_queues();
    scene.until_counted("accepted", 1).await;
    scene.until_counted("duplicate", 299).await;
    scene.app.wait_and_drain(Duration::from_secs(1)).await;
    assert_eq!(scene.app.okta().revocations_of(&ana.id), 1);
    scene.assert_all_answered().await;
}

#[tokio::test]
async fn no_message_touches_a_protected_account_whatever_names_it() {
    let scene = Scene::start().await;
    let glass = sever::sandbox::okta::Person::new("bg1").email("breakglass-1@example.com");
    scene.app.okta().add_person(glass.clone());
    scene.app.okta().sign_in(&glass.id);
    let subjects = [
        json!({"email": "BREAKGLASS-1@example.com"}),
        json!({"email": "\u{ff42}reakglass-1@example.com"}),
        json!({"email": "bre\u{430}kglass-1@example.com"}),
        json!({"username": "bg1"}),
        json!({"ids": {"okta": glass.id}}),
    ];
    for (number, subject) in subjects.iter().enumerate() {
        let alert = crate::testapp::stolen(&format!("edr-{number}"), json!([subject]));
        scene.publish(&scene.signed(&format!("msg_{number}"), &alert)).await;
    }
    scene.until_counted("accepted", subjects.len() as u64).await;
    scene.app.drain().await;
    scene.app.assert_untouched(&glass, 1);
    let jobs = scene.app.jobs(None).await;
    assert_eq!(jobs.len(), subjects.len());
    assert!(jobs.iter().all(|job| matches!(job.state, JobState::Dead | JobState::Held)), "{jobs:#?}");
    scene.assert_all_answered().await;
}
