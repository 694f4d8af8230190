//! What must never happen, tried through every door: protected accounts, accounts that are not clear, budgets, four eyes.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use sever::audit::Actor;
use sever::clock::Clock;
use sever::domain::{DeadReason, HoldReason, JobId, JobState, Outcome, ProviderName, ScopeKind, Severity};
use sever::ingest::Order;
use sever::policy::RevokeSettings;
use sever::sandbox::faults::{Fault, Injection};
use sever::sandbox::okta::{Operation, Person};
use sever::store::{Admitted, BulkOrder, Consent, Decision, JobFilter, JobView, StoreError};

use crate::process::{Server, sever};
use crate::service::{OKTA_TOKEN, Setup};
use crate::testapp::{CONFIG, TestApp, by_email, stolen};

/// The protected person, with a login and an address that no pattern names.
const GLASS: &str = "00uglass000000000000";

fn okta() -> ProviderName {
    "okta".parse().expect("a name")
}

fn oncall() -> Actor {
    Actor::operator("oncall")
}

fn agreed() -> Consent {
    Consent { reason: "agreed".to_owned(), ..Consent::default() }
}

fn protecting(more: &str) -> String {
    CONFIG
        .replace("{provider: okta, id: 00uprotected00000000}", &format!("{{provider: okta, id: {GLASS}}}"))
        .replace("guardrails:", &format!("guardrails:\n  budgets: []{more}"))
}

fn protecting_nobody() -> String {
    let (before, _) = CONFIG.split_once("guardrails:").expect("guardrails");
    format!("{before}guardrails:\n  budgets: []\n")
}

async fn glass(app: &TestApp) -> Person {
    let person = Person::new("bg1@corp.example.net").id(GLASS).email("breakglass-1@example.com");
    app.okta().add_person(person.clone());
    app.okta().sign_in(&person.id);
    person
}

/// Ways to name the protected account: itself, written otherwise, by what is seen only once it is read, or disguised.
fn spellings() -> Vec<Value> {
    vec![
        json!({"email": "breakglass-1@example.com"}),
        json!({"email": "BREAKGLASS-1@EXAMPLE.COM"}),
        json!({"email": "\u{ff42}reakglass-1@example.com"}),
        json!({"email": "bre\u{430}kglass-1@example.com"}),
        json!({"email": "bg1@corp.example.net"}),
        json!({"username": "bg1@corp.example.net"}),
        json!({"username": "BG1@Corp.Example.Net"}),
        json!({"username": "Breakglass-1@example.com"}),
        json!({"ids": {"okta": GLASS}}),
        json!({"ids": {"okta": GLASS.to_uppercase()}}),
        json!({"email": "ana@example.com", "ids": {"okta": GLASS}}),
        json!({"email": "ana@example.com", "ids": {"elsewhere": "breakglass-1@example.com"}}),
        json!({"email": "breakglass-1@example.com", "ids": {"okta": "00uana00000000000000"}}),
    ]
}

/// Refused, and shown as what it is.
#[track_caller]
fn assert_stopped(job: &JobView, told: &str) {
    let stopped = matches!(
        (job.state, job.dead_reason, job.hold_reason),
        (JobState::Dead, Some(DeadReason::Protected), _) | (JobState::Held, _, Some(HoldReason::Approval))
    );
    assert!(stopped, "{told}: {job:#?}");
}

/// The jobs of an operator's order, as `sever revoke` sends it.
async fn order(app: &TestApp, subject: &Value, actor: &Actor) -> Vec<JobId> {
    let order = Order {
        subject: serde_json::from_value(subject.clone()).expect("a subject"),
        targets: vec![RevokeSettings {
            provider: okta(),
            scope: ScopeKind::All,
            oauth_tokens: None,
            forget_devices: None,
        }],
        severity: Severity::Critical,
        dry_run: false,
        reason: String::new(),
        key: JobId::new().to_string(),
        body: subject.to_string().into(),
    };
    let (admission, _) = app.app.intake.plan_order(order, actor.as_str(), app.clock.now());
    match app.app.store.order(admission, actor.clone()).await.expect("ordered") {
        Admitted::New(receipt) => receipt.alerts[0].jobs.iter().map(|job| job.id).collect(),
        Admitted::Duplicate(receipt) => panic!("{receipt:?}"),
    }
}

async fn drain_twice(app: &TestApp) {
    app.drain().await;
    app.wait_and_drain(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn no_alert_touches_a_protected_account_whatever_names_it() {
    let app = TestApp::with(&protecting("")).await;
    let glass = glass(&app).await;
    for (number, subject) in spellings().into_iter().enumerate() {
        let answer = app.deliver(stolen(&format!("edr-{number}"), json!([subject]))).await.assert_accepted();
        drain_twice(&app).await;
        assert_stopped(&app.job(answer.job()).await.job, &subject.to_string());
    }
    app.assert_untouched(&glass, 1);
}

#[tokio::test]
async fn no_operator_touches_a_protected_account_whatever_names_it() {
    let app = TestApp::with(&protecting("")).await;
    let glass = glass(&app).await;
    for subject in spellings() {
        for job in order(&app, &subject, &oncall()).await {
            drain_twice(&app).await;
            assert_stopped(&app.job(job).await.job, &subject.to_string());
        }
    }
    app.assert_untouched(&glass, 1);
}

#[tokio::test]
async fn no_rule_that_asks_first_is_a_way_to_a_protected_account() {
    let config = protecting("").replace("revoke: [{provider: okta}]", "revoke: [{provider: okta}]\n    approval: true");
    let app = TestApp::with(&config).await;
    let glass = glass(&app).await;
    for (number, subject) in spellings().into_iter().enumerate() {
        let answer = app.deliver(stolen(&format!("edr-{number}"), json!([subject]))).await.assert_accepted();
        let job = app.job(answer.job()).await.job;
        assert_stopped(&job, &subject.to_string());
        if job.state == JobState::Held {
            app.app.store.approve(job.id, oncall(), agreed()).await.expect("approved");
        }
        drain_twice(&app).await;
        let job = app.job(job.id).await.job;
        // The disguise is nobody's name here; a person agreed that it is not the protected one.
        assert!(
            job.outcome == Some(Outcome::UnknownAccount) || job.dead_reason == Some(DeadReason::Protected),
            "{job:#?}"
        );
    }
    app.assert_untouched(&glass, 1);
}

#[tokio::test]
async fn naming_the_account_is_no_way_to_a_protected_one() {
    let app = TestApp::with(&protecting("")).await;
    let glass = glass(&app).await;
    // The last is no id, so it names nobody.
    let names = [
        GLASS,
        "00UGLASS000000000000",
        "breakglass-1@example.com",
        "\u{ff42}reakglass-1@example.com",
        "bg1@corp.example.net",
    ];
    for (number, name) in names.into_iter().enumerate() {
        let nameless = stolen(&format!("edr-{number}"), json!([{"ids": {"elsewhere": format!("x{number}")}}]));
        let job = app.deliver(nameless).await.assert_accepted().job();
        assert_eq!(app.job(job).await.job.hold_reason, Some(HoldReason::Account));
        let named = Consent { account_id: Some(name.to_owned()), ..agreed() };
        app.app.store.approve(job, oncall(), named).await.expect("approved");
        drain_twice(&app).await;
        let job = app.job(job).await.job;
        let expected = if number < 4 { DeadReason::Protected } else { DeadReason::UnknownAccount };
        assert_eq!((job.state, job.dead_reason), (JobState::Dead, Some(expected)), "{name}: {job:#?}");
    }
    app.assert_untouched(&glass, 1);
}

/// Who is protected from now on is so for everything that is stored already.
#[tokio::test]
async fn neither_requeueing_nor_replaying_nor_waiting_outlives_a_new_protection() {
    let app = TestApp::with(&protecting_nobody()).await;
    let glass = glass(&app).await;
    let done = app.deliver(by_email("edr-1", "bg1@corp.example.net")).await.assert_accepted().job();
    app.drain().await;
    assert_eq!(app.okta().revocations_of(&glass.id), 1, "nobody protects the account yet");
    let queued = app.deliver(by_email("edr-2", "bg1@corp.example.net")).await.assert_accepted().job();
    app.okta().sign_in(&glass.id);
    app.okta().clear_ledger();

    let app = app.restart_with(&protecting("")).await;
    app.app.store.requeue(done, oncall(), String::new()).await.expect("requeued");
    drain_twice(&app).await;
    for job in [done, queued] {
        assert_stopped(&app.job(job).await.job, "known before");
    }
    for alert in app.app.store.alerts(None, 10).await.expect("alerts").items {
        let stored = app.app.store.delivery_of(alert.id).await.expect("read").expect("there");
        let admission = app.app.intake.plan_again(&stored).expect("planned");
        app.app.store.replay(stored.seq, admission, oncall()).await.expect("replayed");
    }
    drain_twice(&app).await;
    app.app.store.requeue(done, oncall(), String::new()).await.expect("requeued");
    drain_twice(&app).await;
    app.assert_untouched(&glass, 1);
    assert!(app.jobs(None).await.iter().all(|job| job.dead_reason == Some(DeadReason::Protected)));
}

#[tokio::test]
async fn somebody_elses_name_is_no_way_to_the_sessions_of_a_protected_account() {
    let config = protecting("").replace("revoke: [{provider: okta}]", "revoke: [{provider: okta, scope: sessions}]");
    let app = TestApp::with(&config).await;
    let (glass, ana) = (glass(&app).await, app.person("ana@example.com", 1));
    let (theirs, hers) = (app.okta().session_ids_of(&glass.id), app.okta().session_ids_of(&ana.id));
    for (number, sessions) in [vec![&theirs[0]], vec![&theirs[0], &hers[0]]].into_iter().enumerate() {
        let subject = json!([{"email": "ana@example.com", "sessions": {"okta": sessions}}]);
        app.deliver(stolen(&format!("edr-{number}"), subject)).await.assert_accepted();
        drain_twice(&app).await;
    }
    assert_eq!((app.okta().sessions_of(&glass.id), app.okta().sessions_of(&ana.id)), (1, 0));
}

#[tokio::test]
async fn jobs_that_turn_out_to_be_one_are_all_stopped() {
    let app = TestApp::with(&protecting("")).await;
    let glass = glass(&app).await;
    let names =
        json!([{"email": "bg1@corp.example.net"}, {"username": "bg1@corp.example.net"}, {"ids": {"okta": GLASS}}]);
    for id in ["edr-1", "edr-2"] {
        app.deliver(stolen(id, names.clone())).await.assert_accepted();
    }
    drain_twice(&app).await;
    for job in app.jobs(None).await {
        assert_stopped(&job, "one of several");
    }
    app.assert_untouched(&glass, 1);
}

#[tokio::test]
async fn consent_to_a_rule_is_no_consent_to_a_disguise_that_shows_later() {
    let config = protecting("").replace("revoke: [{provider: okta}]", "revoke: [{provider: okta}]\n    approval: true");
    let app = TestApp::with(&config).await;
    let odd = Person::new("odd@corp.example.net").email("bre\u{430}kglass-1@example.com");
    app.okta().add_person(odd.clone());
    app.okta().sign_in(&odd.id);
    let job = app.deliver(by_email("edr-1", "odd@corp.example.net")).await.assert_accepted().job();
    app.app.store.approve(job, oncall(), agreed()).await.expect("approved");
    drain_twice(&app).await;
    let view = app.job(job).await.job;
    assert_eq!((view.state, view.hold_reason), (JobState::Held, Some(HoldReason::Approval)), "{view:#?}");
    assert!(view.note.is_some_and(|note| note.contains("looks like")));
    app.assert_untouched(&odd, 1);
    app.app.store.approve(job, oncall(), agreed()).await.expect("approved");
    drain_twice(&app).await;
    assert_eq!(app.okta().sessions_of(&odd.id), 0, "now a person knows");
}

#[tokio::test]
async fn an_account_that_cannot_be_read_waits_for_approval() {
    let app = TestApp::with(&protecting("")).await;
    let ana = app.person("ana@example.com", 1);
    let job = app.deliver(stolen("edr-1", json!([{"ids": {"okta": ana.id}}]))).await.assert_accepted().job();
    for _ in 0..3 {
        // The account cannot be read; who we are ourselves, which is asked right after, can.
        let refused = Fault::Error { status: 403, code: "E0000006".into() };
        app.okta().faults().inject(Injection::once(refused).on(Operation::GetUser));
        app.drain().await;
        let view = app.job(job).await.job;
        assert_eq!((view.state, view.hold_reason), (JobState::Held, Some(HoldReason::Approval)), "{view:#?}");
        app.assert_untouched(&ana, 1);
        // A yes without the account's id is none to act unread.
        app.app.store.approve(job, oncall(), agreed()).await.expect("approved");
    }
}

#[tokio::test]
async fn an_ambiguous_account_waits_for_its_name() {
    let app = TestApp::with(&protecting("")).await;
    let twins =
        ["one@corp.example.net", "two@corp.example.net"].map(|login| Person::new(login).email("team@example.com"));
    for twin in &twins {
        app.okta().add_person(twin.clone());
        app.okta().sign_in(&twin.id);
    }
    let job = app.deliver(by_email("edr-1", "team@example.com")).await.assert_accepted().job();
    for _ in 0..2 {
        drain_twice(&app).await;
        let view = app.job(job).await.job;
        assert_eq!((view.state, view.hold_reason), (JobState::Held, Some(HoldReason::Account)), "{view:#?}");
        for twin in &twins {
            app.assert_untouched(twin, 1);
        }
        app.app.store.approve(job, oncall(), agreed()).await.expect("approved");
    }
    drain_twice(&app).await;
    let named = Consent { account_id: Some(twins[1].id.clone()), ..agreed() };
    app.app.store.approve(job, oncall(), named).await.expect("approved");
    drain_twice(&app).await;
    assert_eq!((app.okta().sessions_of(&twins[0].id), app.okta().sessions_of(&twins[1].id)), (1, 0));
}

/// Every place where a dry run can be asked for holds, through every door.
#[tokio::test]
async fn a_dry_run_sends_nothing_wherever_it_is_asked_for() {
    let plain = protecting("");
    let configs = [
        plain.replace("  edr:\n", "  edr:\n    dry_run: true\n"),
        plain.replace("timeout: 2s", "timeout: 2s\n    dry_run: true"),
        plain.replace("revoke: [{provider: okta}]", "revoke: [{provider: okta}]\n    dry_run: true"),
        plain.replace("guardrails:", "guardrails:\n  dry_run: true"),
    ];
    for (number, config) in configs.iter().enumerate() {
        let app = TestApp::with(config).await;
        let ana = app.person("ana@example.com", 1);
        let job = app.deliver(by_email("edr-1", "ana@example.com")).await.assert_accepted().job();
        app.drain().await;
        assert_eq!(app.job(job).await.job.outcome, Some(Outcome::DryRun), "{number}");
        let stored = app.app.store.alerts(None, 1).await.expect("alerts").items.remove(0).id;
        let stored = app.app.store.delivery_of(stored).await.expect("read").expect("there");
        let admission = app.app.intake.plan_again(&stored).expect("planned");
        app.app.store.replay(stored.seq, admission, oncall()).await.expect("replayed");
        app.app.store.requeue(job, oncall(), String::new()).await.expect("requeued");
        app.drain().await;
        // A source and a rule say nothing about operators; a provider and the guardrails do.
        if number % 2 == 1 || number == 3 {
            order(&app, &json!({"email": "ana@example.com"}), &oncall()).await;
            app.drain().await;
        }
        app.assert_untouched(&ana, 1);
        app.assert_nothing_open().await;
        let used = app.app.store.budget_use(&app.app.intake.budgets()).await.expect("an answer");
        assert!(used.iter().all(|used| *used == 0), "a dry run takes nobody's place");
    }
}

#[tokio::test]
async fn a_pause_stops_calls_and_no_intake() {
    let app = TestApp::with(&protecting("")).await;
    let ana = app.person("ana@example.com", 1);
    app.app.store.pause(None, oncall(), "drill".to_owned()).await.expect("paused");
    let first = app.deliver(by_email("edr-1", "ana@example.com")).await.assert_accepted().job();
    order(&app, &json!({"username": "ana@example.com"}), &oncall()).await;
    drain_twice(&app).await;
    app.assert_untouched(&ana, 1);
    let view = app.job(first).await.job;
    assert_eq!((view.state, view.hold_reason), (JobState::Held, Some(HoldReason::Paused)));
    app.app.store.resume(None, oncall()).await.expect("resumed");
    drain_twice(&app).await;
    assert_eq!(app.okta().sessions_of(&ana.id), 0);
    app.assert_nothing_open().await;
}

fn with_budget(budgets: &str) -> String {
    CONFIG.replace("guardrails:", &format!("guardrails:\n  budgets: {budgets}"))
}

fn held_for_budget() -> JobFilter {
    JobFilter { hold_reason: Some(HoldReason::Budget), limit: 1000, ..JobFilter::default() }
}

#[tokio::test]
async fn a_storm_ends_at_the_budget_until_a_person_releases_it() {
    let app = TestApp::with(&with_budget("[{users: 50, per: 10m}]")).await;
    let people: Vec<Person> = (0..1000).map(|number| app.person(&format!("p{number}@example.com"), 1)).collect();
    for (number, some) in people.chunks(50).enumerate() {
        let subjects: Vec<Value> = some.iter().map(|person| json!({"email": person.login})).collect();
        app.deliver(stolen(&format!("edr-{number}"), json!(subjects))).await.assert_accepted();
        app.wait_and_drain(Duration::from_secs(3)).await;
    }
    let revoked = || people.iter().filter(|person| app.okta().revocations_of(&person.id) == 1).count();
    assert_eq!(revoked(), 50);
    app.wait_and_drain(Duration::from_secs(86_400)).await;
    assert_eq!(revoked(), 50, "no time releases anybody");
    assert_eq!(app.app.store.jobs(held_for_budget()).await.expect("jobs").items.len(), 950);

    let order = |expect_count| BulkOrder {
        decision: Decision::Approve,
        filter: held_for_budget(),
        expect_count,
        actor: oncall(),
        reason: "it is real".to_owned(),
        four_eyes: false,
    };
    let wrong = app.app.store.decide(order(1000)).await;
    assert!(matches!(wrong, Err(StoreError::Miscounted(950))), "{wrong:?}");
    assert_eq!(app.app.store.decide(order(950)).await.expect("approved").changed, 950);
    app.drain().await;
    assert_eq!(revoked(), 1000);
    app.assert_nothing_open().await;
    let used = app.app.store.budget_use(&app.app.intake.budgets()).await.expect("an answer");
    assert_eq!(used, [950], "whoever was let past is counted");
}

#[tokio::test]
async fn the_budget_that_there_is_by_default_holds() {
    let app = TestApp::start().await;
    for number in 0..101 {
        let person = app.person(&format!("p{number}@example.com"), 1);
        app.deliver(by_email(&format!("edr-{number}"), &person.login)).await.assert_accepted();
    }
    app.drain().await;
    assert_eq!(app.app.store.jobs(held_for_budget()).await.expect("jobs").items.len(), 1);
}

#[tokio::test]
async fn an_operator_counts_and_waits_like_an_alert() {
    let app = TestApp::with(&with_budget("[{users: 1, per: 10m}]")).await;
    let (ana, bob) = (app.person("ana@example.com", 1), app.person("bob@example.com", 1));
    order(&app, &json!({"email": "ana@example.com"}), &oncall()).await;
    app.drain().await;
    assert_eq!(app.okta().sessions_of(&ana.id), 0);
    let job = app.deliver(by_email("edr-1", "bob@example.com")).await.assert_accepted().job();
    let own = order(&app, &json!({"username": "bob@example.com"}), &oncall()).await;
    app.drain().await;
    for job in own.into_iter().chain([job]) {
        assert_eq!(app.job(job).await.job.hold_reason, Some(HoldReason::Budget));
    }
    app.assert_untouched(&bob, 1);
}

/// The account is read from the provider, so a sender cannot make many people one.
#[tokio::test]
async fn a_sender_cannot_make_many_people_one() {
    let app = TestApp::with(&with_budget("[{users: 3, per: 10m}]")).await;
    let people: Vec<Person> = (0..10).map(|number| app.person(&format!("p{number}@example.com"), 1)).collect();
    for (number, person) in people.iter().enumerate() {
        let subject = json!([{"email": "shared@example.com", "username": "same", "ids": {"okta": person.id}}]);
        app.deliver(stolen(&format!("edr-{number}"), subject)).await.assert_accepted();
    }
    app.drain().await;
    assert_eq!(people.iter().filter(|person| app.okta().sessions_of(&person.id) == 0).count(), 3);
}

#[tokio::test]
async fn with_four_eyes_an_operator_alone_ends_no_session() {
    let app = TestApp::with(&protecting("\n  four_eyes: true")).await;
    let ana = app.person("ana@example.com", 1);
    let job = order(&app, &json!({"email": "ana@example.com"}), &oncall()).await.remove(0);
    drain_twice(&app).await;
    let view = app.job(job).await.job;
    assert_eq!((view.state, view.hold_reason), (JobState::Held, Some(HoldReason::Approval)));
    assert!(view.note.is_some_and(|note| note.contains("four_eyes")));
    let four_eyes = Consent { four_eyes: app.app.intake.four_eyes(), ..agreed() };
    assert!(app.app.store.approve(job, oncall(), four_eyes.clone()).await.is_err());
    assert!(app.app.store.requeue(job, oncall(), String::new()).await.is_err());
    drain_twice(&app).await;
    app.assert_untouched(&ana, 1);
    app.app.store.approve(job, Actor::operator("second"), four_eyes).await.expect("approved");
    drain_twice(&app).await;
    assert_eq!(app.okta().sessions_of(&ana.id), 0);
}

/// A config around a budget, for `sever check`; what it says.
fn check(guardrails: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let (before, _) = CONFIG.split_once("guardrails:").expect("guardrails");
    let text = format!("{before}guardrails: {guardrails}\n").replace("{okta}", "https://acme.okta.com");
    let file = folder.path().join("sever.yaml");
    std::fs::write(&file, text.replace("{dir}", folder.path().to_str().expect("a path"))).expect("written");
    let told = sever().args(["check", "-c"]).arg(&file).output().expect("it runs");
    (told.status.code(), String::from_utf8_lossy(&told.stderr).into_owned())
}

#[test]
fn check_tells_what_is_wrong_with_budgets() {
    for (budgets, place, words) in [
        ("[{users: 5, per: 1m, source: edrr}]", "budgets[0].source", "edr"),
        ("[{users: 5, per: 1m, provider: oktta}]", "budgets[0].provider", "okta"),
        ("[{users: 5, per: 1m, rule: stolen}]", "budgets[0].rule", "stolen session"),
        ("[{users: 0, per: 1m}]", "budgets[0].users", "dry_run"),
        ("[{users: 5, per: 0s}]", "budgets[0].per", "is 0"),
        ("[{users: 5, per: 1m, reserve: {severity: critical, users: 5}}]", "budgets[0].reserve.users", "fewer than 5"),
        ("[{users: 5, per: 1m, reserve: {severity: critical, users: 0}}]", "budgets[0].reserve.users", "leave"),
        ("[{users: 5, per: 1m}, {users: 6, per: 60s}]", "budgets[1]", "guardrails.budgets[0]"),
        ("[{users: 5}]", "budgets[0]", "`per` is missing"),
        ("[{user: 5, per: 1m}]", "budgets[0]", "users"),
    ] {
        let (status, told) = check(&format!("{{budgets: {budgets}}}"));
        assert_eq!(status, Some(2), "{budgets}: {told}");
        assert!(told.contains(&format!("guardrails.{place}")) && told.contains(words), "{budgets}: {told}");
    }
    let fine = "[{users: 5, per: 1m}, {users: 5, per: 1m, source: operator}, {users: 9, per: 1h, rule: stolen session,
        provider: okta, source: edr, reserve: {severity: high, users: 2}}]";
    assert_eq!(check(&format!("{{budgets: {fine}}}")).0, Some(0));
    let (status, told) = check("{budgets: []}");
    assert!(
        status == Some(0) && told.contains("guardrails.budgets") && told.contains("users: 100, per: 10m"),
        "{told}"
    );
    assert!(!check("{}").1.contains("budgets"), "the default needs no warning");
}

/// The page's blocks of YAML, each around what it needs.
#[test]
fn every_example_of_the_page_is_a_config() {
    let page = include_str!("../../docs/guardrails.md");
    let examples: Vec<&str> = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(examples.len() >= 4);
    let (before, _) = CONFIG.split_once("guardrails:").expect("guardrails");
    let slack = "  slack: {kind: slack, credentials: {token: {value: xoxp-1234567890}}, team_ids: [T0123ABCD]}\nrules:";
    for example in examples {
        let folder = tempfile::tempdir().expect("a folder");
        let text = format!("{}{example}", before.replace("rules:", slack)).replace("{okta}", "https://acme.okta.com");
        let file = folder.path().join("sever.yaml");
        std::fs::write(&file, text.replace("{dir}", folder.path().to_str().expect("a path"))).expect("written");
        let told = sever().args(["check", "-c"]).arg(&file).output().expect("it runs");
        assert!(told.status.success(), "{example}\n{}", String::from_utf8_lossy(&told.stderr));
    }
}

/// A command for operators, against this server; exit status, standard output, standard error.
fn operate(setup: &Setup, server: &Server, args: &[&str]) -> (Option<i32>, String, String) {
    let url = format!("http://{}", server.admin.expect("the admin listener"));
    let token = setup.folder.path().join("secrets/oncall");
    let mut command = sever();
    command.args(args).args(["--url", &url]).arg("--token-file").arg(token).stdin(Stdio::null());
    let told = command.output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (told.status.code(), text(&told.stdout), text(&told.stderr))
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..300 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("in vain: {what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_releases_what_the_budget_held_from_a_terminal_after_a_crash() {
    let setup = Setup::new().await;
    let text = std::fs::read_to_string(setup.config()).expect("the config");
    let usual = "budgets: [{users: 100, per: 10m}]";
    assert!(text.contains(usual), "{text}");
    let text = text.replace(usual, "budgets: [{users: 2, per: 1h}]");
    std::fs::write(setup.config(), text).expect("written");
    let subjects: Vec<Value> = (0..5).map(|number| json!({"email": format!("p{number}@example.com")})).collect();
    let people: Vec<Person> = (0..5).map(|number| Person::new(&format!("p{number}@example.com"))).collect();
    for person in &people {
        setup.sandbox.okta().add_person(person.clone());
        setup.sandbox.okta().sign_in(&person.id);
    }
    let open = || people.iter().filter(|person| setup.sandbox.okta().sessions_of(&person.id) > 0).count();
    let alert = setup.folder.path().join("alert.json");
    let mut body = stolen("edr-1", json!(subjects));
    body["occurred_at"] = sever::clock::SystemClock::new().now().to_string().into();
    std::fs::write(&alert, body.to_string()).expect("written");
    let server = setup.serve(&[]);
    let url = format!("http://{}", server.alerts);
    let mut send = sever();
    send.args(["send", "--url", &url, "--source", "edr", "-c"]).arg(setup.config()).arg(&alert);
    let sent = send.env("OKTA_TOKEN", OKTA_TOKEN).output().expect("it runs");
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    until("two are acted on and three are held", || {
        let (_, told, _) = operate(&setup, &server, &["jobs", "--hold-reason", "budget", "--json"]);
        told.matches("\"hold_reason\":\"budget\"").count() == 3 && open() == 3
    })
    .await;
    let (_, told, _) = operate(&setup, &server, &["status"]);
    assert!(told.contains("2 of 2") && told.contains("in 1h"), "{told}");

    server.kill();
    let server = setup.serve(&[]);
    let (status, _, told) = operate(&setup, &server, &["approve", "--hold-reason", "budget"]);
    assert_eq!(status, Some(2), "{told}");
    assert!(told.contains("3 jobs to approve") && told.contains("--yes"), "{told}");
    let (status, ..) = operate(&setup, &server, &["approve"]);
    assert_eq!((status, open()), (Some(2), 3), "nothing was named");
    let (status, told, _) = operate(&setup, &server, &["jobs", "cancel", "--source", "nobody", "--yes"]);
    assert!(status == Some(0) && told.contains("no such job"), "{told}");
    let (status, told, failed) = operate(&setup, &server, &["approve", "--hold-reason", "budget", "--yes"]);
    assert!(status == Some(0) && told.contains("3 jobs changed"), "{told}{failed}");
    until("everyone is acted on", || open() == 0).await;
}
