//! What the service speaks about. Imports nothing from the other stages.

mod account;
mod alert;
mod budget;
mod circuit;
mod delivery;
mod id;
mod job;
mod notice;
mod outcome;
mod proof;
mod scope;
mod subject;
mod trace;

pub use account::Account;
pub use alert::{Alert, Severity};
pub use budget::{Budget, Reserve, account_mark, person_marks};
pub use circuit::CircuitState;
pub use delivery::{Delivery, HttpRequest};
pub use id::{AlertId, JobId, NameError, ProviderName, SourceName, TargetName};
pub use job::{Attempt, AttemptClass, Claim, DeadReason, HoldReason, JobState, NewJob, Origin};
pub use notice::NoticeKind;
pub use outcome::{Absence, Disposition, Next, Outcome, Revocation, Settlement};
pub use proof::{Device, Look, Proof, Session};
pub use scope::{RevokeRequest, Scope, ScopeKind, SessionRef, TeamSession};
pub use subject::{AlertSubject, IdentifierError, Subject, check_identifier, fold};
pub use trace::{TraceContext, Traces};
