//! Deliveries, alerts and jobs: what is one, what is two, and what is kept apart.

use std::sync::Arc;

use sever::domain::{
    Absence, DeadReason, HoldReason, JobState, Next, Origin, Outcome, Scope, ScopeKind, Severity, Subject,
};
use sever::store::{Admitted, ReceiptStatus, StoreError};

use crate::support::store::{Bench, Changed, DAY, Mail, SECOND, at, contract_tests, name, okta, okta_id, sessions};

async fn a_new_delivery_becomes_jobs(bench: Bench) {
    let slack = at("slack", Subject { username: Some("ana".to_owned()), ..Subject::default() });
    let receipt = bench.admit(&Mail::new("d").alert("a", [okta("ana@example.com"), slack])).await;
    assert_eq!((receipt.status, receipt.delivery_id.as_str()), (ReceiptStatus::Accepted, "d"));
    assert_eq!(receipt.alerts[0].external_id, "a");
    assert_eq!(receipt.alerts[0].jobs.len(), 2);
    for job in &receipt.alerts[0].jobs {
        let view = bench.view(job.id).await;
        assert_eq!((view.state, view.attempts, view.due_at), (JobState::Queued, 0, Some(bench.now())));
        assert_eq!(view.alert_ids, [receipt.alerts[0].id]);
    }
}

async fn an_exact_repeat_tells_the_jobs_as_they_are_now(bench: Bench) {
    let mail = Mail::new("d").alert("a", [okta("ana@example.com")]);
    let first = bench.admit(&mail).await;
    let claim = bench.claim_one("okta").await;
    bench.bind(&claim, "00u1").await;
    bench.settle(&claim, Next::Done(Outcome::Confirmed)).await;
    let again = bench.repeat(&mail).await;
    assert_eq!((again.status, &again.delivery_id), (ReceiptStatus::Duplicate, &first.delivery_id));
    assert_eq!(again.alerts[0].id, first.alerts[0].id);
    assert_eq!(again.alerts[0].jobs[0].id, first.alerts[0].jobs[0].id);
    assert_eq!(again.alerts[0].jobs[0].state, JobState::Done);
    assert_eq!(bench.all_jobs().await.len(), 1);
}

async fn a_known_delivery_id_with_another_body_is_another_delivery(bench: Bench) {
    bench.admit(&Mail::new("d").alert("a", [okta("ana@example.com")])).await;
    let other = bench.admit(&Mail::new("d").body(b"another").alert("b", [okta("ben@example.com")])).await;
    assert_eq!(other.status, ReceiptStatus::Accepted);
    assert_eq!(bench.all_jobs().await.len(), 2);
}

async fn the_same_id_from_another_source_is_another_delivery(bench: Bench) {
    bench.admit(&Mail::new("d").alert("a", [okta("ana@example.com")])).await;
    bench.admit(&Mail::new("d").through("soc-queue").alert("b", [okta("ben@example.com")])).await;
    assert_eq!(bench.all_jobs().await.len(), 2);
}

async fn an_alert_through_a_second_door_shows_the_job_of_the_first(bench: Bench) {
    let first = bench.admit(&Mail::new("d").alert("a", [okta("ana@example.com")])).await;
    let claim = bench.claim_one("okta").await;
    bench.settle(&claim, Next::Done(Outcome::Confirmed)).await;
    let second = bench.admit(&Mail::new("q").through("soc-queue").alert("a", [okta("ana@example.com")])).await;
    assert_eq!(second.alerts[0].id, first.alerts[0].id);
    assert_eq!(second.alerts[0].jobs[0].id, first.alerts[0].jobs[0].id);
    assert_eq!(second.alerts[0].jobs[0].state, JobState::Done);
    assert!(bench.claim("okta", 10).await.is_empty(), "one alert cost a second revocation");
}

async fn a_known_alert_with_a_new_subject_adds_that_job_alone(bench: Bench) {
    let first = bench.admit(&Mail::new("d").alert("a", [okta("ana@example.com")])).await;
    bench.claim_one("okta").await;
    let more = [okta("ana@example.com"), okta("ben@example.com")];
    let second = bench.admit(&Mail::new("e").alert("a", more)).await;
    assert_eq!(second.alerts[0].jobs[0].id, first.alerts[0].jobs[0].id);
    assert_eq!(bench.all_jobs().await.len(), 2);
    let claim = bench.claim_one("okta").await;
    assert_eq!(claim.subject.email.as_deref(), Some("ben@example.com"));
}

async fn a_new_alert_is_absorbed_by_a_queued_job(bench: Bench) {
    let calm = okta("ana@example.com").severity(Severity::Low).scope(Scope::Web);
    let first = bench.admit(&Mail::new("d").alert("a", [calm])).await;
    let job = first.alerts[0].jobs[0].id;
    let claim = bench.claim_one("okta").await;
    let later = Next::Retry { due_at: bench.now() + 100 * SECOND, failed: true };
    bench.settle(&claim, later).await;
    let grave = okta("ana@example.com").severity(Severity::Critical).scope(Scope::Mobile);
    let second = bench.admit(&Mail::new("e").alert("b", [grave])).await;
    assert_eq!(second.alerts[0].jobs[0].id, job);
    let view = bench.view(job).await;
    assert_eq!((view.severity, view.scope), (Severity::Critical, ScopeKind::All));
    assert_eq!(view.due_at, Some(bench.now()), "the earlier time counts");
    assert_eq!(view.alert_ids, [first.alerts[0].id, second.alerts[0].id]);
    assert_eq!(bench.all_jobs().await.len(), 1);
    let milder = okta("ana@example.com").severity(Severity::Informational);
    bench.admit(&Mail::new("f").alert("c", [milder])).await;
    assert_eq!(bench.view(job).await.severity, Severity::Critical, "the higher severity stays");
}

async fn lists_of_sessions_unite(bench: Bench) {
    let job = bench.job("a", okta("ana@example.com").scope(sessions(&["s1", "s2"]))).await;
    bench.job("b", okta("ana@example.com").scope(sessions(&["s2", "s3"]))).await;
    assert_eq!(Scope::Sessions(bench.view(job).await.sessions), sessions(&["s1", "s2", "s3"]));
}

async fn a_job_that_is_worked_on_absorbs_nothing(bench: Bench) {
    let first = bench.job("a", okta("ana@example.com")).await;
    bench.claim_one("okta").await;
    let second = bench.job("b", okta("ana@example.com")).await;
    assert_ne!(first, second);
}

async fn dry_and_real_jobs_stay_apart(bench: Bench) {
    let dry = bench.job("a", okta("ana@example.com").dry()).await;
    let real = bench.job("b", okta("ana@example.com")).await;
    assert_ne!(dry, real);
    assert!(bench.view(dry).await.dry_run && !bench.view(real).await.dry_run);
    let receipt = bench.admit(&Mail::new("c").alert("a", [okta("ana@example.com")])).await;
    assert_ne!(receipt.alerts[0].jobs[0].id, dry, "a dry run stands for a real revocation");
}

async fn other_providers_stay_apart(bench: Bench) {
    let okta_job = bench.job("a", okta("ana@example.com")).await;
    let slack = at("slack", Subject { email: Some("ana@example.com".to_owned()), ..Subject::default() });
    assert_ne!(bench.job("b", slack).await, okta_job);
}

async fn held_and_dead_origins_are_kept_as_they_are(bench: Bench) {
    let held = Origin::Held(HoldReason::Approval, "a rule asks".to_owned());
    let dead = Origin::Dead(DeadReason::Protected, "protected by x".to_owned());
    let held = bench.view(bench.job("a", okta("ana@example.com").origin(held)).await).await;
    let dead = bench.view(bench.job("b", okta("ben@example.com").origin(dead)).await).await;
    assert_eq!((held.state, held.hold_reason, held.due_at), (JobState::Held, Some(HoldReason::Approval), None));
    assert_eq!(held.note.as_deref(), Some("a rule asks"));
    assert_eq!((dead.state, dead.dead_reason), (JobState::Dead, Some(DeadReason::Protected)));
    assert!(dead.finished_at.is_some() && held.finished_at.is_none());
    assert!(bench.claim("okta", 10).await.is_empty());
}

async fn a_held_job_absorbs_nothing_and_is_not_let_go_by_an_alert(bench: Bench) {
    let held = Origin::Held(HoldReason::Approval, "a rule asks".to_owned());
    let job = bench.job("a", okta("ana@example.com").origin(held)).await;
    let other = bench.job("b", okta("ana@example.com")).await;
    assert_ne!(job, other);
    assert_eq!(bench.state(job).await, JobState::Held);
}

async fn an_alert_without_jobs_is_ignored_and_kept(bench: Bench) {
    let receipt = bench.admit(&Mail::new("d").alert("a", [])).await;
    assert_eq!(receipt.status, ReceiptStatus::Ignored);
    assert_eq!(bench.repeat(&Mail::new("d").alert("a", [])).await.alerts[0].id, receipt.alerts[0].id);
    assert_eq!(bench.ops().alerts(None, 10).await.expect("alerts").items.len(), 1);
}

async fn what_cannot_be_decoded_is_kept_in_quarantine(bench: Bench) {
    let receipt = bench.admit(&Mail::new("d").body(b"{").quarantined("not JSON")).await;
    assert_eq!(receipt.status, ReceiptStatus::Quarantined);
    let listed = bench.ops().quarantine(None, 10).await.expect("a page").items;
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].reason.as_str(), listed[0].size_bytes), ("not JSON", 1));
    assert_eq!(bench.ops().status().await.expect("a status").quarantine.values().sum::<u64>(), 1);
    assert!(matches!(
        bench.try_admit(&Mail::new("d").body(b"{").quarantined("not JSON")).await,
        Ok(Admitted::Duplicate(_))
    ));
}

async fn quarantine_is_capped_in_entries_per_source(bench: Bench) {
    for id in ["1", "2", "3"] {
        bench.admit(&Mail::new(id).quarantined("no")).await;
    }
    let full = Mail::new("4").alert("a", []).quarantined("one rule failed");
    let error = bench.try_admit(&full).await.expect_err("a refusal");
    assert!(matches!(error, StoreError::QuarantineFull(source) if source.as_str() == "edr"));
    assert!(bench.ops().alerts(None, 10).await.expect("alerts").items.is_empty(), "a refused delivery left an alert");
    bench.admit(&Mail::new("4").through("soc-queue").quarantined("no")).await;
    bench.admit(&Mail::new("5").alert("b", [okta("ben@example.com")])).await;
    assert_eq!(bench.ops().quarantine(None, 10).await.expect("a page").items.len(), 4);
    // Nothing of it is remembered as delivered: it may come again.
    assert!(matches!(bench.try_admit(&full).await, Err(StoreError::QuarantineFull(_))));
}

async fn a_full_quarantine_keeps_no_job_from_acting(bench: Bench) {
    for id in ["1", "2", "3"] {
        bench.admit(&Mail::new(id).quarantined("no")).await;
    }
    let mail = Mail::new("4").alert("a", [okta("ana@example.com")]).quarantined("rule \"broken\": No such key: score");
    let mail = mail.bad_element(7, "id: is empty");
    let receipt = bench.admit(&mail).await;
    assert_eq!((receipt.status, receipt.alerts[0].jobs.len()), (ReceiptStatus::Accepted, 1));
    assert!(receipt.quarantined.is_empty(), "{receipt:?}");
    let told = serde_json::to_value(&receipt).expect("JSON")["not_kept"].clone();
    assert_eq!(told, "the quarantine is full: rule \"broken\": No such key: score; element 7: id: is empty");
    assert_eq!(bench.claim_one("okta").await.subject.email.as_deref(), Some("ana@example.com"));
    assert_eq!(bench.ops().quarantine(None, 10).await.expect("a page").items.len(), 3);
    assert_eq!(bench.jobs().backlog().await.expect("a backlog").quarantine[0].1, 3);
    assert!(matches!(bench.try_admit(&mail).await, Ok(Admitted::Duplicate(_))));

    // The record says so, and the delivery is still there to be planned again.
    let stored = bench.ops().delivery_of(receipt.alerts[0].id).await.expect("read").expect("there");
    assert_eq!(stored.reason.as_deref(), told.as_str());
    let admitted = bench.audit().await.into_iter().rfind(|row| row.event == "admitted").expect("a row");
    assert_eq!(admitted.detail["reason"], told);
}

async fn quarantine_is_capped_in_bytes(bench: Bench) {
    bench.admit(&Mail::new("1").body(&[b'x'; 900]).quarantined("no")).await;
    let error = bench.try_admit(&Mail::new("2").body(&[b'x'; 101]).quarantined("no")).await.expect_err("a refusal");
    assert!(matches!(error, StoreError::QuarantineFull(_)));
    bench.admit(&Mail::new("3").body(&[b'x'; 100]).quarantined("no")).await;
    assert_eq!(
        bench.jobs().backlog().await.expect("a backlog").quarantine,
        [("edr".parse().expect("a name"), 2, 1000)]
    );
}

async fn a_refused_delivery_leaves_its_neighbours_in_the_commit_intact(bench: Bench) {
    let bench = Arc::new(bench);
    let send = |number: usize| {
        let bench = Arc::clone(&bench);
        async move {
            let mail = Mail::new(&format!("d{number}"));
            let mail = if number.is_multiple_of(3) {
                mail.alert(&format!("a{number}"), []).quarantined("one rule failed")
            } else {
                mail.alert(&format!("a{number}"), [okta(&format!("p{number}@x"))])
            };
            (number, bench.try_admit(&mail).await)
        }
    };
    let mut tasks = tokio::task::JoinSet::new();
    (0..60).for_each(|number| {
        tasks.spawn(send(number));
    });
    let (mut stored, mut refused) = (0, 0);
    while let Some(answer) = tasks.join_next().await {
        match answer.expect("an answer") {
            (_, Ok(Admitted::New(_))) => stored += 1,
            (number, Err(StoreError::QuarantineFull(_))) if number.is_multiple_of(3) => refused += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((stored, refused), (43, 17), "the cap is 3");
    assert_eq!(bench.all_jobs().await.len(), 40);
    let counted: u64 = bench.jobs().backlog().await.expect("a backlog").jobs.iter().map(|(.., count)| count).sum();
    assert_eq!(counted, 40);
    assert_eq!(crate::support::store::first_break(&bench.audit().await), None);
}

async fn hundred_copies_at_once_are_one_delivery(bench: Bench) {
    let bench = Arc::new(bench);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let bench = Arc::clone(&bench);
        tasks.spawn(async move { bench.try_admit(&Mail::new("d").alert("a", [okta("ana@example.com")])).await });
    }
    let answers = tasks.join_all().await;
    let new = answers.iter().filter(|answer| matches!(answer, Ok(Admitted::New(_)))).count();
    assert_eq!(new, 1);
    assert_eq!(bench.all_jobs().await.len(), 1);
}

async fn one_alert_under_an_id_and_an_email_is_two_jobs_until_the_account_is_known(bench: Bench) {
    let receipt = bench.admit(&Mail::new("d").alert("a", [okta("ana@example.com"), okta_id("00u1")])).await;
    assert_eq!(receipt.alerts[0].jobs.len(), 2);
    assert_eq!(bench.claim(name("okta").as_str(), 10).await.len(), 2);
}

async fn people_whose_names_fold_to_the_same_are_two_people(bench: Bench) {
    let pair = ["max@strasse.example", "max@straße.example"];
    let receipt = bench.admit(&Mail::new("d").alert("a", pair.map(okta))).await;
    assert_ne!(receipt.alerts[0].jobs[0].id, receipt.alerts[0].jobs[1].id, "one of them keeps every session");
    let first = bench.job("b", okta(pair[0])).await;
    let second = bench.job("c", okta(pair[1])).await;
    assert_ne!(first, second);
}

async fn people_without_a_name_at_the_provider_are_not_one_person(bench: Bench) {
    let nameless = |names: &str| {
        let note = format!("the alert gives {names}, which names nobody at okta");
        at("okta", Subject::default()).origin(Origin::Held(HoldReason::Account, note))
    };
    let both = [nameless("ids.slack W1"), nameless("ids.slack W2")];
    let receipt = bench.admit(&Mail::new("d").alert("a", both.clone())).await;
    assert_ne!(receipt.alerts[0].jobs[0].id, receipt.alerts[0].jobs[1].id, "the second person was left out");
    let again = bench.admit(&Mail::new("e").through("soc-queue").alert("a", both)).await;
    assert_eq!(again.alerts[0].jobs, receipt.alerts[0].jobs);
}

async fn an_absorbed_alert_makes_no_second_look_come_early(bench: Bench) {
    bench.job("a", okta("ana@example.com")).await;
    let claim = bench.claim_one("okta").await;
    bench.settle(&claim, Next::LookAgain { due_at: bench.now() + 2 * SECOND, absent: Absence::Account }).await;
    bench.job("b", okta("ana@example.com")).await;
    let claim = bench.claim_one("okta").await;
    assert_eq!(claim.absence, None, "two looks at one instant would be taken for proof");
}

async fn an_absorbed_alert_has_its_full_time(bench: Bench) {
    bench.job("a", okta("ana@example.com")).await;
    bench.advance(DAY - SECOND);
    bench.job("b", okta("ana@example.com")).await;
    let claim = bench.claim_one("okta").await;
    assert_eq!(claim.created_at, bench.now(), "given up a second after the alert came");
}

contract_tests!(
    an_absorbed_alert_makes_no_second_look_come_early,
    an_absorbed_alert_has_its_full_time,
    people_whose_names_fold_to_the_same_are_two_people,
    people_without_a_name_at_the_provider_are_not_one_person,
    a_new_delivery_becomes_jobs,
    an_exact_repeat_tells_the_jobs_as_they_are_now,
    a_known_delivery_id_with_another_body_is_another_delivery,
    the_same_id_from_another_source_is_another_delivery,
    an_alert_through_a_second_door_shows_the_job_of_the_first,
    a_known_alert_with_a_new_subject_adds_that_job_alone,
    a_new_alert_is_absorbed_by_a_queued_job,
    lists_of_sessions_unite,
    a_job_that_is_worked_on_absorbs_nothing,
    dry_and_real_jobs_stay_apart,
    other_providers_stay_apart,
    held_and_dead_origins_are_kept_as_they_are,
    a_held_job_absorbs_nothing_and_is_not_let_go_by_an_alert,
    an_alert_without_jobs_is_ignored_and_kept,
    what_cannot_be_decoded_is_kept_in_quarantine,
    quarantine_is_capped_in_entries_per_source,
    a_full_quarantine_keeps_no_job_from_acting,
    quarantine_is_capped_in_bytes,
    a_refused_delivery_leaves_its_neighbours_in_the_commit_intact,
    hundred_copies_at_once_are_one_delivery,
    one_alert_under_an_id_and_an_email_is_two_jobs_until_the_account_is_known,
);
