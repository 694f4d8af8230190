//! The dialect of CEL that rules are written in: the alert, one of its subjects, the source, and the severities as numbers.

use std::sync::LazyLock;

use cel::common::types::CelInt;
use cel::common::value::Val;

use crate::domain::Severity;
use crate::expression::{Dialect, Kind, Name, Variable};

/// What is known of an alert.
const ALERT: [Name; 7] = [
    Name::small("id", Kind::Text),
    Name::small("kind", Kind::Text),
    Name { note: "write severities without quotes", ..Name::small("severity", Kind::Number) },
    Name::small("occurred_at", Kind::Time),
    Name::small("reason", Kind::Text),
    Name::large("attributes", ATTRIBUTES, Some(Kind::Map)),
    Name::small("dry_run", Kind::Bool),
];

/// What is known of a person.
const SUBJECT: [Name; 4] = [
    Name::small("email", Kind::Text),
    Name::small("username", Kind::Text),
    Name::small("ids", Kind::Map),
    Name::small("sessions", Kind::Map),
];

/// The one thing in an alert that a sender can make as large as it likes.
pub(super) const ATTRIBUTES: &str = "alert.attributes";

static DIALECT: LazyLock<Dialect> = LazyLock::new(|| {
    let variables = vec![
        Variable::Plain(Name::small("source", Kind::Text)),
        Variable::Record("alert", &ALERT),
        Variable::Record("subject", &SUBJECT),
    ];
    let rank = |severity: Severity| Box::new(CelInt::from(i64::from(severity.rank()))) as Box<dyn Val>;
    let constants = Severity::ALL.map(|severity| (severity.as_str(), Kind::Number, rank(severity)));
    Dialect::new(variables, constants.into(), Vec::new())
});

/// What rules are written in.
pub(super) fn dialect() -> &'static Dialect {
    &DIALECT
}
