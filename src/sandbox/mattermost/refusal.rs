//! What Mattermost says no with: its error body, or a web page from beside the API.

use serde_json::json;

use super::super::answer::Answer;
use super::super::ledger::Effect;
use super::id;
use super::settings::Settings;

pub(super) const PERMISSIONS: &str = "api.context.permissions.app_error";
pub(super) const SESSION_EXPIRED: &str = "api.context.session_expired.app_error";
pub(super) const URL_PARAM: &str = "api.context.invalid_url_param.app_error";
pub(super) const BODY_PARAM: &str = "api.context.invalid_body_param.app_error";
pub(super) const MISSING_ACCOUNT: &str = "app.user.missing_account.const";
pub(super) const UNKNOWN_PATH: &str = "api.context.404.app_error";

/// Ids with their usual status and their words in English and in German, for the server translates them. The words
/// were not verified, which is one more reason not to match on them; a fault states its status itself.
///
/// Ids that begin with `sandbox.` are not Mattermost's: it lets pass what they refuse.
const ERRORS: [(&str, u16, &str, &str); 22] = [
    ("app.session.get.app_error", 400, "We encountered an error getting the session.", "Sitzung nicht gefunden."),
    (URL_PARAM, 400, "Invalid or missing parameter in request URL.", "Ungültiger Parameter in der URL."),
    (BODY_PARAM, 400, "Invalid or missing parameter in request body.", "Ungültiger Parameter im Inhalt."),
    (SESSION_EXPIRED, 401, "Invalid or expired session, please login again.", "Ungültige oder abgelaufene Sitzung."),
    ("api.context.token_provided.app_error", 401, "Session is not OAuth.", "Die Sitzung ist keine von OAuth."),
    ("api.user.login.invalid_credentials_email_username", 401, "Enter a valid email or username and/or password.", ""),
    ("api.user.login.inactive.app_error", 401, "Login failed because your account has been deactivated.", ""),
    ("api.user.login.bot_login_forbidden.app_error", 401, "Bot login is forbidden.", ""),
    ("mfa.validate_token.authenticate.app_error", 401, "Invalid MFA token.", "Ungültiger MFA-Code."),
    ("api.user.login.blank_pwd.app_error", 400, "Password field must not be blank", ""),
    ("api.user.login.use_auth_service.app_error", 400, "Please sign in using another service.", ""),
    (PERMISSIONS, 403, "You do not have the appropriate permissions.", "Ihnen fehlen die Berechtigungen."),
    ("api.context.mfa_required.app_error", 403, "Multi-factor authentication is required.", "MFA ist nötig."),
    ("api.user.get_user_by_email.permissions.app_error", 403, "Unable to get user by email.", ""),
    (MISSING_ACCOUNT, 404, "Unable to find the user.", "Benutzer nicht gefunden."),
    ("app.user.get_by_username.app_error", 404, "Unable to find an existing account matching your username.", ""),
    ("app.user_access_token.get_by_user.app_error", 404, "Unable to get the personal access tokens by user.", ""),
    (UNKNOWN_PATH, 404, "Sorry, we could not find the page.", "Die Seite wurde nicht gefunden."),
    ("api.context.request_body_too_large.app_error", 413, "The request body is too large.", ""),
    ("basic_security_check.url.too_long_error", 414, "URL is too long", "Die URL ist zu lang"),
    ("sandbox.accept.not_json", 406, "The stand-in wants Accept: application/json.", ""),
    ("sandbox.content_type.not_json", 415, "The stand-in wants Content-Type: application/json with a body.", ""),
];

/// A refusal on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Mattermost's own error body.
    Api { status: u16, id: String, detail: String, effect: Effect },
    /// A web page: the request went past the API.
    Page { status: u16 },
    /// 302 to a path of this server.
    Moved { to: String },
}

impl Refusal {
    /// With the status that the id usually has.
    pub(super) fn api(id: &str) -> Self {
        Self::detailed(id, "")
    }

    /// With what the server says in developer mode alone.
    pub(super) fn detailed(id: &str, detail: impl Into<String>) -> Self {
        let status = ERRORS.iter().find(|(known, ..)| *known == id).map_or(500, |(_, status, ..)| *status);
        Self::with_status(status, id, detail)
    }

    pub(super) fn with_status(status: u16, id: &str, detail: impl Into<String>) -> Self {
        Self::Api { status, id: id.to_owned(), detail: detail.into(), effect: Effect::None }
    }

    /// The same refusal, of a call that the ledger is to tell apart.
    pub(super) fn recorded_as(self, recorded: Effect) -> Self {
        match self {
            Self::Api { status, id, detail, .. } => Self::Api { status, id, detail, effect: recorded },
            other => other,
        }
    }

    /// `language` is the `Accept-Language` of the call.
    pub(super) fn into_answer(self, settings: &Settings, language: &str) -> Answer {
        match self {
            Self::Api { status, id, detail, effect } => {
                api_answer(settings, language, status, &id, &detail).effect(effect)
            }
            Self::Page { status } => Answer::page(status, "Mattermost"),
            Self::Moved { to } => Answer::empty(302).header("location", &to),
        }
    }
}

fn api_answer(settings: &Settings, language: &str, status: u16, id: &str, detail: &str) -> Answer {
    let detail = if settings.developer { detail } else { "" };
    let message = message(id, language);
    // Hardened mode hides what went wrong, and which of the 5xx it was.
    let (status, id, message, detail) = match settings.hardened && status >= 500 {
        true => (500, "", "Internal Server Error", ""),
        false => (status, id, message, detail),
    };
    let request_id = id::fresh();
    let body = json!({
        "id": id, "message": message, "detailed_error": detail, "request_id": request_id, "status_code": status,
    });
    Answer::json(status, &body).coded(id)
}

fn message(id: &str, language: &str) -> &'static str {
    let row = ERRORS.iter().find(|(known, ..)| *known == id);
    match row {
        None => "We encountered an error.",
        Some((.., german)) if language.starts_with("de") && !german.is_empty() => german,
        Some((_, _, english, _)) => english,
    }
}
