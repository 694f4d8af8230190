//! Each stand-in as the control API sees it.

use serde_json::{Value, json};

use super::super::faults::Faults;
use super::super::ledger::Call;
use super::super::{HuaweiSandbox, MattermostSandbox, OktaSandbox, SlackSandbox, TtsSandbox};
use super::super::{huawei, mattermost, okta, slack, the_things_stack};
use super::{Controlled, Newcomer};

/// What differs: the module, the stand-in, how a newcomer is made of a login, and what is left of a person. Every
/// stand-in has the rest under the same names.
macro_rules! controlled {
    ($module:ident, $stand_in:ident, $newcomer:expr, $left:expr) => {
        impl Controlled for $stand_in {
            type Operation = $module::Operation;

            fn switches(&self) -> &Faults<Self::Operation> {
                self.faults()
            }

            fn calls(&self) -> Vec<Call> {
                self.ledger()
            }

            fn forget_calls(&self) {
                self.clear_ledger();
            }

            fn everybody(&self) -> Vec<Value> {
                self.people().iter().map(|person| described(self, person, &person.id, $left)).collect()
            }

            fn move_in(&self, newcomer: Newcomer) -> Value {
                let person: $module::Person = $newcomer(newcomer);
                self.add_person(person.clone());
                described(self, &person, &person.id, $left)
            }

            fn open_session(&self, name: &str) -> Option<String> {
                self.person(name).map(|person| self.sign_in(&person.id))
            }
        }
    };
}

controlled!(
    okta,
    OktaSandbox,
    |it: Newcomer| {
        let person = okta::Person::new(&it.login);
        let person = it.id.iter().fold(person, |person, id| person.id(id));
        it.email.iter().fold(person, |person, email| person.email(email))
    },
    |okta: &OktaSandbox, id: &str| {
        json!({"sessions": okta.sessions_of(id), "tokens": okta.tokens_of(id),
            "remembered_devices": okta.remembered_devices_of(id)})
    }
);
controlled!(
    slack,
    SlackSandbox,
    |it: Newcomer| {
        let person = slack::Person::new(it.email.as_deref().unwrap_or(&it.login)).name(&it.login);
        it.id.iter().fold(person, |person, id| person.id(id))
    },
    |slack: &SlackSandbox, id: &str| json!({"sessions": slack.sessions_of(id)})
);
controlled!(
    mattermost,
    MattermostSandbox,
    |it: Newcomer| {
        let person = mattermost::Person::new(&it.login);
        let person = it.id.iter().fold(person, |person, id| person.id(id));
        it.email.iter().fold(person, |person, email| person.email(email))
    },
    |chat: &MattermostSandbox, id: &str| json!({"sessions": chat.sessions_of(id), "tokens": chat.tokens_of(id)})
);
controlled!(
    huawei,
    HuaweiSandbox,
    |it: Newcomer| {
        let person = huawei::Person::new(&it.login);
        let person = it.id.iter().fold(person, |person, id| person.id(id));
        it.email.iter().fold(person, |person, email| person.email(email))
    },
    |cloud: &HuaweiSandbox, id: &str| json!({"sessions": cloud.sessions_of(id)})
);
controlled!(
    the_things_stack,
    TtsSandbox,
    |it: Newcomer| {
        let person = the_things_stack::Person::new(&it.login);
        let person = it.id.iter().fold(person, |person, id| person.id(id));
        it.email.iter().fold(person, |person, email| person.email(email))
    },
    |things: &TtsSandbox, id: &str| json!({"sessions": things.sessions_of(id)})
);

/// The person as the stand-in has them, and what is left of them.
fn described<S>(stand_in: &S, person: &impl serde::Serialize, id: &str, left: impl Fn(&S, &str) -> Value) -> Value {
    let mut described = json!(person);
    if let (Some(fields), Value::Object(left)) = (described.as_object_mut(), left(stand_in, id)) {
        fields.extend(left);
    }
    described
}
