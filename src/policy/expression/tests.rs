//! What is refused at load, and what evaluations come to.

use serde_json::{Value as Json, json};

use super::super::facts::{AlertFacts, Effort};
use super::*;
use crate::domain::{Alert, AlertSubject, Severity};

fn alert(attributes: Json) -> Alert {
    Alert {
        id: "edr-1".to_owned(),
        kind: "session_stolen".to_owned(),
        severity: Severity::High,
        occurred_at: "2026-11-21T22:14:07Z".parse().expect("a time"),
        subjects: vec![AlertSubject {
            email: Some("Ana@example.com".to_owned()),
            ids: [("okta".parse().expect("a name"), "00u1".to_owned())].into(),
            ..AlertSubject::default()
        }],
        reason: None,
        attributes: attributes.as_object().cloned().unwrap_or_default(),
        dry_run: false,
    }
}

fn evaluate(source: &str, attributes: Json) -> Evaluation {
    let expression = Expression::compile(source).unwrap_or_else(|errors| panic!("{source}: {errors:?}"));
    let alert = alert(attributes);
    let facts = AlertFacts::new(&alert, "edr");
    expression.evaluate(dialect().root(), &Facts { alert: &facts, subject: &alert.subjects[0] }, &mut Effort::default())
}

#[test]
fn slips_are_refused_with_their_column() {
    let table = [
        ("alert.severity >= ", "column 19: Syntax error"),
        ("alert.severity >= hihg", "column 19: unknown variable \"hihg\"; did you mean \"high\"?"),
        ("alert.severty >= high", "column 6: alert has no field \"severty\"; did you mean \"severity\"?"),
        ("subject.mail == 'x'", "subject has no field \"mail\"; did you mean \"email\"?"),
        ("source.name == 'x'", "a string has no field \"name\""),
        ("alert == 1", "column 1: alert is used through its fields"),
        ("alert['kind'] == 'x'", "alert is used through its fields"),
        ("alert.?kind.orValue('') == 'x'", "alert is used through its fields"),
        ("has(alert.reason)", "alert.reason is always there"),
        ("has(subject.email)", "subject.email is always there"),
        ("payload.x == 1", "column 1: unknown variable \"payload\""),
        ("'ü' == source && hihg", "column 18: unknown variable"),
        ("source == 'x' &&\n  hihg", "line 2, column 3: unknown variable"),
        ("siez(source) > 1", "unknown function \"siez\"; did you mean \"size\"?"),
        ("source.startWith('x')", "column 17: unknown method \"startWith\"; did you mean \"startsWith\"?"),
        ("optional.of(1).hasValue()", "unknown variable \"optional\""),
        ("alert.severity", "gives a number, but a rule needs true or false"),
        ("'true'", "gives a string"),
        ("alert.attributes", "gives a map"),
        ("[1].map(x, x)", "gives a list"),
        (
            "alert.severity == 'critical'",
            "compares a number with a string, which are never equal; write severities without",
        ),
        ("alert.severity in ['critical', 'high']", "compares a number with a string"),
        ("alert.kind == 3", "compares a string with a number"),
        ("alert.occurred_at > '2026-11-21T00:00:00Z'", "compares a timestamp with a string"),
        ("alert.occurred_at > timestamp('yesterday')", "is not a time"),
        ("alert.kind.matches(source)", "takes its pattern as a literal only"),
        ("alert.kind.matches('(')", "not a valid regex"),
        ("alert.kind.matches('(((((x{500}){500}){500}){500}))')", "not a valid regex"),
        ("[1].exists(x, [2].exists(y, x == y))", "may not be nested"),
        ("[1].filter(x, x > 0).exists(y, y == 1)", "may not be nested"),
        ("[1].exists(alert, alert == 1)", "would hide another"),
        ("(alert.attributes.a + alert.attributes.b).exists(x, x == 1)", "not over a sum of lists"),
        ("['a'].exists(x, x.matches('a'))", "too slow inside"),
        ("x.exists(x, x == 1)", "unknown variable \"x\""),
        ("Foo{a: 1} == 1", "makes a message"),
    ];
    for (source, expected) in table {
        let errors = Expression::compile(source).err().unwrap_or_else(|| panic!("{source} was taken")).join("\n");
        assert!(errors.contains(expected), "{source}: {expected:?} is not in {errors:?}");
    }
}

#[test]
fn all_slips_are_told_at_once() {
    let errors = Expression::compile("alert.knd == 'x' && hihg > 1 && fro(1)").expect_err("three slips");
    assert_eq!(errors.len(), 3, "{errors:?}");
}

#[test]
fn size_is_bounded() {
    let long = format!("{}true", "true && ".repeat(400));
    let wide = format!("1 in [{}]", "1,".repeat(600));
    let deep = format!("1 == {}1", "1 + ".repeat(150));
    for source in [&long, &wide, &deep] {
        let errors = Expression::compile(source).expect_err("too large");
        assert!(errors[0].contains("is too large"), "{errors:?}");
        assert!(errors.len() < 5, "{} errors", errors.len());
    }
    assert!(Expression::compile(&" ".repeat(5000)).expect_err("too long")[0].contains("longer than 4096"));
    for opening in ["(", "[", "!", "-", "{1:", "a(", "a[", "a?", "a?b:", "a.b(", "a||", "[1].all(x,"] {
        let source = opening.repeat(4096 / opening.len());
        assert!(Expression::compile(&source).is_err(), "{opening}");
    }
}

#[test]
fn expressions_see_the_alert_the_subject_and_the_source() {
    let attributes = json!({"ip": "203.0.113.9", "tags": ["edr", "vip"], "n": 3, "nested": {"a": [1, {"b": true}]}});
    let table = [
        "true",
        "alert.id == 'edr-1' && alert.kind in ['session_stolen', 'x'] && alert.severity >= high",
        "alert.severity < critical && alert.severity != medium && !alert.dry_run",
        "alert.occurred_at > timestamp('2026-11-21T00:00:00Z') && alert.occurred_at <= timestamp('2026-11-21T23:14:07+01:00')",
        "alert.reason == '' && subject.username == ''",
        "subject.email.endsWith('@example.com') && subject.email.lowerAscii() == 'ana@example.com'",
        "subject.ids.okta == '00u1' && 'okta' in subject.ids && !('slack' in subject.ids)",
        "has(subject.ids.okta) && !has(subject.sessions.okta)",
        "source == 'edr' || source == 'siem'",
        "alert.attributes.ip.startsWith('203.') && alert.attributes.n == 3 && alert.attributes['n'] > 2.5",
        "alert.attributes.tags.exists(tag, tag == 'vip') && size(alert.attributes.tags) == 2",
        "alert.attributes.nested.a[1].b && has(alert.attributes.nested) && !has(alert.attributes.absent)",
        "alert.attributes.?absent.orValue('none') == 'none'",
        "alert.attributes.tags.filter(tag, tag.contains('v')) == ['vip']",
        "alert.kind.matches('^session_')",
        "type(alert.attributes.ip) == string",
        "alert.severity >= high ? source == 'edr' : false",
        "size(alert.attributes.nested.a) == 2 && 'ü' != source",
    ];
    for source in table {
        assert_eq!(evaluate(source, attributes.clone()), Evaluation::Match, "{source}");
    }
}

#[test]
fn the_part_that_was_false_is_named() {
    let source = "alert.severity >= high && (source == 'ü' || source == \"siem\") && alert.attributes.ip == 'x'";
    let expression = Expression::compile(source).expect("compiles");
    let alert = alert(json!({"ip": "y"}));
    let facts = AlertFacts::new(&alert, "edr");
    let facts = Facts { alert: &facts, subject: &alert.subjects[0] };
    assert_eq!(expression.evaluate(dialect().root(), &facts, &mut Effort::default()), Evaluation::NoMatch(1));
    let texts: Vec<&str> = expression.parts.iter().map(|part| part.text.as_str()).collect();
    assert_eq!(
        texts,
        ["alert.severity >= high", "(source == 'ü' || source == \"siem\")", "alert.attributes.ip == 'x'"]
    );
    let values = expression.part(2).expect("the third").values(dialect().root(), &facts);
    assert_eq!(values, [("alert.attributes.ip".to_owned(), "\"y\"".to_owned())]);
}

#[test]
fn what_cannot_be_evaluated_is_never_false() {
    let table = [
        ("alert.attributes.absent == 'x'", "No such key: absent"),
        ("alert.attributes.n > 'x'", "no matching overload"),
        ("alert.attributes.n", "gives int, and neither true nor false"),
        ("alert.attributes.n && true", "gives int"),
        ("true && alert.attributes.absent", "No such key"),
        ("1 / (alert.attributes.n - 3) == 1", "Division by zero"),
        ("alert.attributes.tags[9] == 'x'", "out of bounds"),
        ("timestamp(alert.attributes.ip) > alert.occurred_at", "Error executing function 'timestamp'"),
        ("alert.occurred_at > alert.attributes.ip", "no matching overload"),
        ("alert.attributes.tags.exists(tag, tag > 1)", "no matching overload"),
    ];
    for (source, expected) in table {
        let came = evaluate(source, json!({"ip": "203.0.113.9", "tags": ["edr"], "n": 3}));
        assert!(matches!(&came, Evaluation::Failed(message) if message.contains(expected)), "{source}: {came:?}");
    }
    // CEL's own meaning of `&&`: what is false decides, whatever stands beside it.
    assert_eq!(evaluate("alert.attributes.absent && source == 'x'", json!({})), Evaluation::NoMatch(1));
}

#[test]
fn long_lists_are_an_error_only_for_those_who_look() {
    let long = json!({"a": {"ips": vec!["203.0.113.9"; 10_001]}});
    let came = evaluate("alert.attributes.a.ips.exists(ip, ip == 'x')", long.clone());
    assert!(matches!(&came, Evaluation::Failed(message) if message.contains("more than 10000 elements")), "{came:?}");
    assert_eq!(evaluate("alert.severity >= high", long), Evaluation::Match);
    let largest = json!({"ips": vec!["203.0.113.9"; 10_000]});
    assert_eq!(evaluate("alert.attributes.ips.exists(ip, ip == 'x')", largest), Evaluation::NoMatch(0));
}

#[test]
fn loops_over_everything_for_everything_are_an_error() {
    let source = "alert.attributes.a.exists(x, x in alert.attributes.b)";
    let came = evaluate(source, json!({"a": vec![1; 9_000], "b": vec![2; 9_000]}));
    assert!(matches!(&came, Evaluation::Failed(message) if message.contains("too large to be read")), "{came:?}");
    assert_eq!(evaluate(source, json!({"a": vec![1; 90], "b": vec![2; 900]})), Evaluation::NoMatch(0));
    // Read once, the same is cheap.
    let source = "alert.attributes.a.exists(x, x == 2) || 3 in alert.attributes.b";
    assert_eq!(evaluate(source, json!({"a": vec![1; 9_000], "b": vec![2; 9_000]})), Evaluation::NoMatch(0));
}

#[test]
fn messages_do_not_grow_with_the_alert() {
    let came = evaluate("alert.attributes.x < alert.attributes.y", json!({"x": "a".repeat(100_000), "y": 1}));
    assert!(matches!(&came, Evaluation::Failed(message) if message.chars().count() <= 241), "{came:?}");
}

#[test]
fn the_deepest_that_is_taken_fits_on_an_ordinary_stack() {
    let (mut values, mut terms) = (json!(1), 0);
    (0..120).for_each(|_| values = json!([values.take()]));
    for count in 1..150 {
        let source = format!("1 < {}1", "1 + ".repeat(count));
        if Expression::compile(&source).is_ok() {
            assert_eq!(evaluate(&source, json!({})), Evaluation::Match);
            terms = count;
        }
    }
    assert!((20..150).contains(&terms), "{terms}");
    assert_eq!(evaluate("alert.attributes.deep == alert.attributes.deep", json!({"deep": values})), Evaluation::Match);
}
