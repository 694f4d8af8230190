//! The rights of The Things Stack that concern users, and what one right implies.
//!
//! Rights on applications, gateways, clients and organizations are left out: no call of this stand-in asks for one.

use std::collections::BTreeSet;

/// What somebody may do.
pub(super) type Rights = BTreeSet<Right>;

/// A right, in the vendor's numbering (`rights.proto`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the vendor's words")]
pub enum Right {
    UserInfo = 1,
    UserSettingsBasic = 2,
    UserSettingsApiKeys = 3,
    UserDelete = 4,
    UserAuthorizedClients = 5,
    UserApplicationsList = 6,
    UserApplicationsCreate = 7,
    UserGatewaysList = 8,
    UserGatewaysCreate = 9,
    UserClientsList = 10,
    UserClientsCreate = 11,
    UserOrganizationsList = 12,
    UserOrganizationsCreate = 13,
    UserAll = 14,
    All = 55,
}

impl Right {
    /// Every right of this stand-in.
    pub const EVERY: [Self; 15] = [
        Self::UserInfo,
        Self::UserSettingsBasic,
        Self::UserSettingsApiKeys,
        Self::UserDelete,
        Self::UserAuthorizedClients,
        Self::UserApplicationsList,
        Self::UserApplicationsCreate,
        Self::UserGatewaysList,
        Self::UserGatewaysCreate,
        Self::UserClientsList,
        Self::UserClientsCreate,
        Self::UserOrganizationsList,
        Self::UserOrganizationsCreate,
        Self::UserAll,
        Self::All,
    ];

    /// The vendor's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UserInfo => "RIGHT_USER_INFO",
            Self::UserSettingsBasic => "RIGHT_USER_SETTINGS_BASIC",
            Self::UserSettingsApiKeys => "RIGHT_USER_SETTINGS_API_KEYS",
            Self::UserDelete => "RIGHT_USER_DELETE",
            Self::UserAuthorizedClients => "RIGHT_USER_AUTHORIZED_CLIENTS",
            Self::UserApplicationsList => "RIGHT_USER_APPLICATIONS_LIST",
            Self::UserApplicationsCreate => "RIGHT_USER_APPLICATIONS_CREATE",
            Self::UserGatewaysList => "RIGHT_USER_GATEWAYS_LIST",
            Self::UserGatewaysCreate => "RIGHT_USER_GATEWAYS_CREATE",
            Self::UserClientsList => "RIGHT_USER_CLIENTS_LIST",
            Self::UserClientsCreate => "RIGHT_USER_CLIENTS_CREATE",
            Self::UserOrganizationsList => "RIGHT_USER_ORGANIZATIONS_LIST",
            Self::UserOrganizationsCreate => "RIGHT_USER_ORGANIZATIONS_CREATE",
            Self::UserAll => "RIGHT_USER_ALL",
            Self::All => "RIGHT_ALL",
        }
    }

    /// The vendor's number.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }

    /// Admins have no other rights than these, unless the server runs with `is.admin-rights.all`.
    fn belongs_to_plain_admins(self) -> bool {
        !self.as_str().ends_with("_KEYS") && !self.as_str().ends_with("_ALL")
    }
}

/// Every right, or what is left of them for the admins of a server that does not give all.
pub(super) fn of_admins(all: bool) -> Rights {
    Right::EVERY.into_iter().filter(|right| all || right.belongs_to_plain_admins()).collect()
}

/// `rights` with what they imply.
pub(super) fn implied(rights: &Rights) -> Rights {
    if rights.contains(&Right::All) {
        return Right::EVERY.into();
    }
    match rights.contains(&Right::UserAll) {
        true => Right::EVERY.into_iter().filter(|right| *right != Right::All).chain(rights.iter().copied()).collect(),
        false => rights.clone(),
    }
}
