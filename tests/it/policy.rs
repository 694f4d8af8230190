//! Rules, guardrails and merging together: what an alert comes to.

use proptest::prelude::*;
use serde_json::json;
use sever::domain::{
    Account, Alert, AlertSubject, DeadReason, HoldReason, NewJob, Origin, ProviderName, RevokeRequest, Scope,
    ScopeKind, SessionRef, Severity, SourceName,
};
use sever::policy::{Effort, KnownProviders, Plan, Policy, PolicySettings, Seen, Verdict};

const ALL: [ScopeKind; 4] = [ScopeKind::All, ScopeKind::Web, ScopeKind::Mobile, ScopeKind::Sessions];

fn known() -> KnownProviders {
    [
        (provider("okta"), vec![ScopeKind::All, ScopeKind::Sessions]),
        (provider("slack"), ALL.to_vec()),
        (provider("chat"), vec![ScopeKind::All, ScopeKind::Sessions]),
    ]
    .into()
}

fn provider(name: &str) -> ProviderName {
    name.parse().expect("a name")
}

fn edr() -> SourceName {
    "edr".parse().expect("a name")
}

fn settings(value: serde_json::Value) -> PolicySettings {
    serde_json::from_value(value).expect("settings")
}

fn policy(value: serde_json::Value) -> Policy {
    Policy::new(&settings(value), &known()).expect("a policy")
}

fn alert(subjects: Vec<AlertSubject>) -> Alert {
    Alert {
        id: "edr-1".to_owned(),
        kind: "session_stolen".to_owned(),
        severity: Severity::Critical,
        occurred_at: "2026-11-21T22:14:07Z".parse().expect("a time"),
        subjects,
        reason: None,
        attributes: serde_json::Map::new(),
        dry_run: false,
    }
}

fn email(address: &str) -> AlertSubject {
    AlertSubject { email: Some(address.to_owned()), ..AlertSubject::default() }
}

fn id(at: &str, id: &str) -> AlertSubject {
    AlertSubject { ids: [(provider(at), id.to_owned())].into(), ..AlertSubject::default() }
}

fn plan(policy: &Policy, subjects: Vec<AlertSubject>) -> Plan {
    policy.plan(&edr(), &alert(subjects), false)
}

fn only(plan: &Plan) -> &NewJob {
    match &plan.jobs[..] {
        [job] => job,
        jobs => panic!("{} jobs: {jobs:?}", jobs.len()),
    }
}

fn skipped(plan: &Plan) -> Vec<(&str, &str)> {
    plan.skipped.iter().map(|skipped| (skipped.rule.as_str(), skipped.reason.as_str())).collect()
}

#[test]
fn jobs_merge_across_rules_and_across_subjects_with_the_same_names() {
    let policy = policy(json!({"rules": [
        {"name": "web", "when": "true", "revoke": [{"provider": "slack", "scope": "web"}]},
        {"name": "mobile", "when": "alert.severity >= high", "revoke": [
            {"provider": "slack", "scope": "mobile"}, {"provider": "okta", "oauth_tokens": true}]},
    ]}));
    // `straße` and `strasse` may be two people: that two spellings are one account shows when they are resolved.
    assert_eq!(self::plan(&policy, vec![email("ana@example.com"), email("ANA@Example.com")]).jobs.len(), 4);
    let plan = plan(&policy, vec![email("ana@example.com"), email("ana@example.com")]);
    assert_eq!(plan.jobs.len(), 2);
    assert_eq!(plan.jobs[0].request, RevokeRequest::new(Scope::All));
    assert_eq!(plan.jobs[0].rules, ["web", "mobile"]);
    assert_eq!((plan.jobs[0].severity, &plan.jobs[0].origin), (Severity::Critical, &Origin::Due));
    assert_eq!(plan.jobs[1].request.oauth_tokens, Some(true));
    assert_eq!(plan.jobs[1].rules, ["mobile"]);
    assert!(plan.skipped.is_empty() && plan.errors.is_empty());
}

#[test]
fn different_people_stay_apart_also_those_without_a_name_at_the_provider() {
    let policy = policy(json!({"rules": [{"name": "all", "when": "true", "revoke": [{"provider": "slack"}]}]}));
    let plan =
        plan(&policy, vec![email("ana@example.com"), email("bob@example.com"), id("okta", "00u1"), id("okta", "00u2")]);
    assert_eq!(plan.jobs.len(), 4);
    for (job, name) in plan.jobs[2..].iter().zip(["00u1", "00u2"]) {
        assert!(
            matches!(&job.origin, Origin::Held(HoldReason::Account, why) if why.contains(name)),
            "{:?}",
            job.origin
        );
    }
}

#[test]
fn given_sessions_unite_and_a_subject_without_any_is_skipped_aloud() {
    let policy = policy(json!({"rules": [
        {"name": "given", "when": "true", "revoke": [{"provider": "chat", "scope": "sessions"}]},
    ]}));
    let with = |sessions: &[&str]| AlertSubject {
        sessions: [(provider("chat"), sessions.iter().map(|id| SessionRef::Id((*id).to_owned())).collect())].into(),
        ..email("ana@example.com")
    };
    let plan = plan(&policy, vec![with(&["b", "a", "b"]), with(&["c"]), with(&[]), email("bob@example.com")]);
    let expected = ["a", "b", "c"].map(|id| SessionRef::Id(id.to_owned()));
    assert_eq!(only(&plan).request.scope, Scope::Sessions(expected.to_vec()));
    assert_eq!(skipped(&plan), [("given", "subjects[2] names no session at chat")]);
}

#[test]
fn any_approval_holds_the_merged_job() {
    let rule = |name: &str, approval: bool| json!({"name": name, "when": "true", "revoke": [{"provider": "okta"}], "approval": approval});
    for rules in [[rule("a", false), rule("b", true)], [rule("a", true), rule("b", false)]] {
        let plan = plan(&policy(json!({"rules": rules})), vec![email("ana@example.com")]);
        assert!(matches!(only(&plan).origin, Origin::Held(HoldReason::Approval, _)));
    }
}

#[test]
fn dry_and_real_never_merge_and_anyone_may_make_it_dry() {
    let rules = json!([
        {"name": "real", "when": "true", "revoke": [{"provider": "slack", "scope": "web"}]},
        {"name": "trial", "when": "true", "revoke": [{"provider": "slack"}], "dry_run": true},
    ]);
    let mixed = policy(json!({"rules": rules}));
    let jobs = plan(&mixed, vec![email("ana@example.com")]).jobs;
    let told: Vec<_> = jobs.iter().map(|job| (job.dry_run, job.request.scope.clone())).collect();
    assert_eq!(told, [(false, Scope::Web), (true, Scope::All)]);

    let all_dry = |plan: Plan| assert!(only(&plan).dry_run && only(&plan).rules.len() == 2);
    all_dry(mixed.plan(&edr(), &alert(vec![email("ana@example.com")]), true));
    all_dry(mixed.plan(&edr(), &Alert { dry_run: true, ..alert(vec![email("ana@example.com")]) }, false));
    let guarded = policy(json!({"rules": rules, "guardrails": {"dry_run": true}}));
    all_dry(plan(&guarded, vec![email("ana@example.com")]));
}

fn guarded() -> Policy {
    policy(json!({
        "rules": [
            {"name": "all", "when": "true", "revoke": [{"provider": "okta"}]},
            {"name": "careful", "when": "true", "revoke": [{"provider": "okta"}], "approval": true},
        ],
        "guardrails": {"protected": [
            {"email": "breakglass-*@acme.com"}, {"username": "root"}, {"provider": "okta", "id": "00uBoss"}]},
    }))
}

#[test]
fn protected_people_are_dead_on_arrival_whatever_names_them() {
    let table = [
        email("BreakGlass-7@ACME.com"),
        email("\u{ff42}reakglass-7@acme.com"),
        AlertSubject { username: Some("ROOT".to_owned()), ..email("ana@example.com") },
        AlertSubject { username: Some("breakglass-1@acme.com".to_owned()), ..AlertSubject::default() },
        id("okta", "00UBOSS"),
        id("slack", "breakglass-1@acme.com"),
    ];
    for subject in table {
        let plan = plan(&guarded(), vec![subject.clone()]);
        assert!(matches!(only(&plan).origin, Origin::Dead(DeadReason::Protected, _)), "{subject:?}: {:?}", plan.jobs);
    }
    // The name in another subject with the same key protects the merged job too.
    let other = AlertSubject { ids: [(provider("slack"), "root".to_owned())].into(), ..email("ana@example.com") };
    let plan = plan(&guarded(), vec![email("ana@example.com"), other]);
    assert!(matches!(only(&plan).origin, Origin::Dead(DeadReason::Protected, _)));
}

#[test]
fn a_look_alike_waits_for_a_person() {
    let plan = plan(&guarded(), vec![email("bre\u{430}kglass-7@acme.com")]);
    assert!(matches!(&only(&plan).origin, Origin::Held(HoldReason::Approval, why) if why.contains("looks like")));
}

#[test]
fn the_account_is_judged_by_every_name_it_turns_out_to_have() {
    let policy = guarded();
    let judge = |at: &str, name: &str| {
        let account = Account::new("00u9", vec!["ana".to_owned(), name.to_owned()]);
        policy.guardrails().judge(&provider(at), &account)
    };
    assert!(matches!(judge("chat", "Breakglass-1@acme.com"), Verdict::Protected { .. }));
    assert!(matches!(judge("okta", "00uboss"), Verdict::Protected { .. }));
    assert_eq!(judge("chat", "00uboss"), Verdict::Clear);
    assert!(matches!(judge("chat", "r\u{43e}ot"), Verdict::LookAlike { .. }));
}

#[test]
fn a_rule_that_fails_is_told_and_the_others_act() {
    let policy = policy(json!({"rules": [
        {"name": "broken", "when": "alert.attributes.score > 3", "revoke": [{"provider": "slack"}]},
        {"name": "sound", "when": "true", "revoke": [{"provider": "okta"}]},
        {"name": "other", "when": "source == 'siem' && alert.severity >= high", "revoke": [{"provider": "chat"}]},
    ]}));
    let plan = plan(&policy, vec![email("ana@example.com")]);
    assert_eq!(only(&plan).provider, provider("okta"));
    assert_eq!(plan.errors.len(), 1);
    assert_eq!(
        (plan.errors[0].rule.as_str(), plan.errors[0].message.as_str()),
        ("broken", "subjects[0]: No such key: score")
    );
    assert_eq!(skipped(&plan), [("other", "source == 'siem' is false")]);
}

#[test]
fn what_rules_cost_is_counted_over_the_whole_delivery() {
    let reads = "alert.attributes.xs.all(x, alert.attributes.xs.size() > 0)";
    let policy = |when: &str| {
        policy(json!({"rules": [
            {"name": "costly", "when": when, "revoke": [{"provider": "okta"}]},
            {"name": "cheap", "when": "subject.email != '' && alert.attributes.xs.size() > 0", "revoke": [{"provider": "slack"}]},
        ]}))
    };
    let of = |people: usize, entries: usize| {
        let subjects = (0..people).map(|number| email(&format!("p{number}@example.com"))).collect();
        let xs = vec![json!(1); entries];
        Alert { attributes: json!({"xs": xs}).as_object().expect("an object").clone(), ..alert(subjects) }
    };
    let jobs = |plan: &Plan, at: &str| plan.jobs.iter().filter(|job| job.provider == provider(at)).count();

    // It looks at no subject, so it is asked once.
    let plan = policy(reads).plan(&edr(), &of(200, 2000), false);
    assert_eq!((plan.errors.len(), jobs(&plan, "okta"), jobs(&plan, "slack")), (0, 200, 200), "{:?}", plan.errors);

    let each = policy(&format!("subject.email != '' && {reads}"));
    let plan = each.plan(&edr(), &of(200, 2000), false);
    assert_eq!((plan.errors.len(), plan.errors[0].rule.as_str()), (1, "costly"));
    assert!(plan.errors[0].message.contains("is read too often"), "{:?}", plan.errors);
    assert!((1..200).contains(&jobs(&plan, "okta")), "{}", jobs(&plan, "okta"));
    assert_eq!(jobs(&plan, "slack"), 200, "the cheap rule acts");

    // As many alerts with one subject each cost as much.
    let mut effort = Effort::default();
    let failed = (0..200).filter(|_| !each.plan_within(&edr(), &of(1, 2000), false, &mut effort).errors.is_empty());
    assert!((1..200).contains(&failed.count()));
}

#[test]
fn a_plan_is_explained_from_the_same_evaluations() {
    let policy = policy(json!({
        "rules": [
            {"name": "vip", "when": "alert.severity >= high && subject.email == 'bob@example.com'", "revoke": [{"provider": "okta"}]},
            {"name": "broken", "when": "alert.attributes.score > 3", "revoke": [{"provider": "slack"}]},
        ],
        "guardrails": {"protected": [{"email": "bob@example.com"}]},
    }));
    let alert = alert(vec![email("ana@example.com"), email("bob@example.com")]);
    let explanation = policy.explain(&edr(), &alert, false);
    let seen: Vec<_> =
        explanation.rules.iter().map(|trace| (trace.rule.as_str(), trace.subject, &trace.seen)).collect();
    let because = Seen::NotMatched {
        because: "subject.email == 'bob@example.com'".to_owned(),
        values: vec![("subject.email".to_owned(), "\"ana@example.com\"".to_owned())],
    };
    assert_eq!(seen[0], ("vip", 0, &because));
    assert_eq!(seen[1], ("vip", 1, &Seen::Matched));
    assert!(matches!(seen[2], ("broken", 0, Seen::Failed { .. })));
    let plan = policy.plan(&edr(), &alert, false);
    assert_eq!(
        (explanation.errors, explanation.skipped, explanation.jobs.len()),
        (plan.errors, plan.skipped, plan.jobs.len())
    );
    let job = serde_json::to_value(&explanation.jobs[0]).expect("serialises");
    assert_eq!((&job["state"], &job["dead_reason"]), (&json!("dead"), &json!("protected")));
    assert!(job["why"].as_str().is_some_and(|why| why.contains("bob@example.com")));
}

#[test]
fn every_problem_of_the_config_is_told_at_once() {
    let settings = settings(json!({
        "rules": [
            {"name": "", "when": "alert.severty >= high", "revoke": []},
            {"name": "a", "when": "true &&", "revoke": [{"provider": "okat"}]},
            {"name": "a", "when": "true", "revoke": [{"provider": "okta", "scope": "web"}]},
        ],
        "guardrails": {"protected": [
            {}, {"email": "a@b", "id": "x"}, {"email": "a@b", "provider": "okta"}, {"id": "x", "provider": "slak"}, {"email": "**"}]},
    }));
    let problems = Policy::new(&settings, &known()).expect_err("all of it is wrong");
    let expected = [
        ("rules[0].name", "is empty"),
        ("rules[0].revoke", "is empty"),
        ("rules[0].when", "column 6: alert has no field \"severty\"; did you mean \"severity\"?"),
        ("rules[1].revoke[0].provider", "\"okat\" is not configured; did you mean \"okta\"?"),
        ("rules[1].when", "column 8: Syntax error"),
        ("rules[2].name", "is the name of another rule"),
        ("rules[2].revoke[0].scope", "okta has no scope \"web\"; it has all, sessions"),
        ("guardrails.protected[0]", "exactly one of"),
        ("guardrails.protected[1]", "exactly one of"),
        ("guardrails.protected[2]", "goes with id only"),
        ("guardrails.protected[3]", "did you mean \"slack\"?"),
        ("guardrails.protected[4]", "protects everyone"),
    ];
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    for ((path, message), (expected_path, expected)) in problems.iter().zip(expected) {
        assert_eq!(path, expected_path, "{message}");
        assert!(message.contains(expected), "{path}: {expected:?} is not in {message:?}");
    }
    let unknown = serde_json::from_value::<PolicySettings>(json!({"guardrails": {"budget": []}}));
    assert!(unknown.is_err_and(|error| error.to_string().contains("unknown field `budget`")));
}

proptest! {
    #[test]
    fn no_spelling_of_a_protected_address_yields_a_job_that_acts(
        upper in proptest::collection::vec(any::<bool>(), 21),
        wide in proptest::collection::vec(any::<bool>(), 21),
        place in 0..3_usize,
    ) {
        let spelt: String = "breakglass-1@acme.com".chars().zip(upper.into_iter().zip(wide)).map(|(c, (upper, wide))| {
            let c = if upper { c.to_ascii_uppercase() } else { c };
            // The full-width forms are U+FF01 to U+FF5E, in the order of ASCII.
            if wide { char::from_u32(c as u32 + 0xfee0).expect("a full-width form") } else { c }
        }).collect();
        let subject = match place {
            0 => email(&spelt),
            1 => AlertSubject { username: Some(spelt), ..email("ana@example.com") },
            _ => id("okta", &spelt),
        };
        for job in plan(&guarded(), vec![subject]).jobs {
            prop_assert!(matches!(job.origin, Origin::Dead(DeadReason::Protected, _)), "{:?}", job);
        }
    }
}
