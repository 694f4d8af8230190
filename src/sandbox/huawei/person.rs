//! The people of the identity store.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A user, as tests set them up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Person {
    /// At most 47 characters.
    pub id: String,
    /// Unique in the store.
    pub user_name: String,
    /// The name that is shown.
    pub display_name: String,
    /// Family name.
    pub family_name: String,
    /// Given name.
    pub given_name: String,
    /// Need not be unique, and there may be none or several.
    pub emails: Vec<Email>,
    /// What another identity provider calls this person.
    pub external_id: Option<ExternalId>,
    /// Whether they may sign in anew.
    pub enabled: bool,
}

/// An e-mail address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Email {
    /// The address.
    pub value: String,
    /// Whether it is the main one.
    pub primary: bool,
}

/// What another identity provider calls a person.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExternalId {
    /// The id there.
    pub id: String,
    /// Which provider.
    pub issuer: String,
}

impl Person {
    /// An enabled person with a fresh id. The e-mail address is the user name, at example.com if it has no domain.
    #[must_use]
    pub fn new(user_name: &str) -> Self {
        let short = user_name.split('@').next().unwrap_or(user_name);
        let (given, family) = short.split_once('.').unwrap_or((short, "Example"));
        let email = if user_name.contains('@') { user_name.to_owned() } else { format!("{user_name}@example.com") };
        Self {
            id: Uuid::new_v4().to_string(),
            user_name: user_name.to_owned(),
            display_name: short.to_owned(),
            family_name: family.to_owned(),
            given_name: given.to_owned(),
            emails: vec![Email { value: email, primary: true }],
            external_id: None,
            enabled: true,
        }
    }

    /// The same person under a given id.
    #[must_use]
    pub fn id(mut self, id: &str) -> Self {
        id.clone_into(&mut self.id);
        self
    }

    /// The same person with this e-mail address alone.
    #[must_use]
    pub fn email(mut self, email: &str) -> Self {
        self.emails = vec![Email { value: email.to_owned(), primary: true }];
        self
    }

    /// The same person with one more e-mail address.
    #[must_use]
    pub fn second_email(mut self, email: &str) -> Self {
        self.emails.push(Email { value: email.to_owned(), primary: false });
        self
    }

    /// The same person without an e-mail address.
    #[must_use]
    pub fn without_email(mut self) -> Self {
        self.emails.clear();
        self
    }

    /// The same person under another name.
    #[must_use]
    pub fn name(mut self, given: &str, family: &str) -> Self {
        given.clone_into(&mut self.given_name);
        family.clone_into(&mut self.family_name);
        self
    }

    /// The same person, known to another identity provider.
    #[must_use]
    pub fn external_id(mut self, id: &str, issuer: &str) -> Self {
        self.external_id = Some(ExternalId { id: id.to_owned(), issuer: issuer.to_owned() });
        self
    }

    /// The same person, disabled.
    #[must_use]
    pub fn disabled(mut self) -> Self {
        self.enabled = false;
        self
    }
}
