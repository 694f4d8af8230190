//! What Huawei's documents leave open or what its services do in some places only, as switches.

use serde::{Deserialize, Serialize};

/// The documents name no largest batch; a client that keeps to this one is safe.
const LARGEST_BATCH: usize = 20;

/// How the stand-in behaves where the documents leave it open. The default is the strictest reading.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quirks {
    /// What ending sessions does with ids that are gone.
    pub gone_sessions: GoneSessions,
    /// Most ids in one batch; more are refused with 400 `IIC.400`.
    pub largest_batch: usize,
    /// The body of a success without content.
    pub success_body: SuccessBody,
    /// How a person without sessions looks.
    pub empty_sessions: EmptySessions,
    /// Listings of sessions show how things stood this many seconds ago.
    pub list_lag_s: i64,
    /// Listings of sessions also show those that ran out.
    pub expired_listed: bool,
    /// Times of sessions are milliseconds; the documented sample is in seconds.
    pub times_in_milliseconds: bool,
    /// `user_name` of a listing also finds names that only begin so, in any case.
    pub fuzzy_user_names: bool,
    /// The one `attribute_path` by which a user id can be asked for.
    pub attribute_path: String,
    /// How the last page of a listing says that it is the last.
    pub last_page: LastPage,
    /// Most users on a page, whatever `limit` says.
    pub page_cap: Option<usize>,
    /// Between two pages somebody joins at the front: each page repeats the last user of the page before.
    pub pages_move: bool,
    /// Before each page comes an empty one, which names the next nevertheless.
    pub empty_pages: bool,
    /// The last page names itself as the next.
    pub endless_pages: bool,
    /// The field names and nesting of errors.
    pub error_shape: ErrorShape,
    /// A signature that is too old or too new is refused as of an app, with `APIGW.0303`.
    pub skew_as_app_error: bool,
    /// Identity Center was never enabled in this region: no instance, no identity store.
    pub not_enabled: bool,
}

impl Default for Quirks {
    fn default() -> Self {
        Self {
            gone_sessions: GoneSessions::default(),
            largest_batch: LARGEST_BATCH,
            success_body: SuccessBody::default(),
            empty_sessions: EmptySessions::default(),
            list_lag_s: 0,
            expired_listed: false,
            times_in_milliseconds: false,
            fuzzy_user_names: true,
            attribute_path: "user_name".to_owned(),
            last_page: LastPage::default(),
            page_cap: None,
            pages_move: false,
            empty_pages: false,
            endless_pages: false,
            error_shape: ErrorShape::default(),
            skew_as_app_error: false,
            not_enabled: false,
        }
    }
}

/// What ending sessions does with ids that are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GoneSessions {
    /// 404 `IIC.404`, and nothing is done.
    #[default]
    Refused,
    /// 404 `IIC.404`, and the others are ended.
    RefusedAfterTheOthers,
    /// 404 `IIC.400`, and nothing is done.
    BadRequest,
    /// They are passed over.
    Ignored,
}

/// The body of a success without content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SuccessBody {
    /// None, as in the documented example.
    #[default]
    None,
    /// `{}`
    EmptyObject,
}

/// How a person without sessions looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmptySessions {
    /// `{"session_list": []}`
    #[default]
    List,
    /// `{"session_list": null}`
    Null,
    /// `{}`
    Absent,
}

/// How the last page says that it is the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LastPage {
    /// `"next_marker": null`
    #[default]
    Null,
    /// Without `next_marker`.
    Absent,
    /// `"next_marker": ""`
    Empty,
}

/// The field names and nesting of errors: the official SDKs read all of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorShape {
    /// `error_code`, `error_msg`
    #[default]
    Plain,
    /// `errorCode`, `errorMsg`
    CamelCase,
    /// `code`, `message`
    Short,
    /// The plain one inside `error`.
    Nested,
}
