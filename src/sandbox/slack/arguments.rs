//! The arguments of a call, from a form, a JSON object or a query, under the rules that Slack names in its common errors.

use axum::http::header::CONTENT_TYPE;
use serde_json::Value;

use super::super::exchange::Incoming;
use super::super::parameters::pairs;
use super::operation::Operation;
use super::refusal::Refusal;

/// Longer names are `invalid_arg_name` ("very long names"; the number is chosen).
const LONGEST_NAME: usize = 100;

/// "Up to 1,000 user IDs".
const MOST_IDS: usize = 1000;

/// The arguments by name, `token` taken out.
#[derive(Debug)]
pub(super) struct Arguments {
    values: Vec<(String, Value)>,
    is_json: bool,
    /// The `token` of a form.
    pub(super) token: Option<String>,
    /// What Slack has to remark although the call succeeds.
    pub(super) warning: Option<&'static str>,
}

impl Arguments {
    pub(super) fn read(call: &Incoming, operation: Operation) -> Result<Self, Refusal> {
        if call.method == "GET" {
            return Self::of_query(call);
        }
        // Slack takes a mix of query and body. Refused: what stands in a URL ends up in logs.
        if !call.query.is_empty() {
            return Err(Refusal::arguments("arguments of a POST belong in its body"));
        }
        let Some(content_type) = call.headers.get(CONTENT_TYPE) else {
            return match call.body.is_empty() {
                true => Self::of_form(call, None),
                false => Err(Refusal::code("missing_post_type")),
            };
        };
        let content_type = content_type.to_str().unwrap_or_default().to_ascii_lowercase();
        let (media, charset) = media_and_charset(&content_type)?;
        match media {
            "application/x-www-form-urlencoded" => Self::of_form(call, charset.map(|_| "superfluous_charset")),
            "application/json" if operation.takes_json() => Self::of_json(call, charset),
            // Slack also takes multipart and text bodies, which no description of these methods names.
            _ => Err(Refusal::code("invalid_post_type")),
        }
    }

    /// Apps made since February 2021 may not send their token in a query (Slack changelog 2020-11); it is not looked at.
    fn of_query(call: &Incoming) -> Result<Self, Refusal> {
        if !call.body.is_empty() {
            return Err(Refusal::arguments("a GET has no body"));
        }
        let mut arguments = Self::of_pairs(&call.query)?;
        arguments.token = None;
        Ok(arguments)
    }

    fn of_form(call: &Incoming, warning: Option<&'static str>) -> Result<Self, Refusal> {
        let text = std::str::from_utf8(&call.body).map_err(|_| Refusal::code("invalid_form_data"))?;
        Ok(Self { warning, ..Self::of_pairs(text)? })
    }

    fn of_pairs(text: &str) -> Result<Self, Refusal> {
        let mut pairs = pairs(text).map_err(|_| Refusal::code("invalid_form_data"))?;
        let token = pairs.iter().position(|(name, _)| name == "token").map(|at| pairs.remove(at).1);
        let values = pairs.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
        Ok(Self { values, is_json: false, token, warning: None })
    }

    /// The token must be in the header here, so that one in the body is a stranger among the arguments.
    fn of_json(call: &Incoming, charset: Option<&str>) -> Result<Self, Refusal> {
        let body: Value = serde_json::from_slice(&call.body).map_err(|_| Refusal::code("invalid_json"))?;
        let Value::Object(fields) = body else { return Err(Refusal::code("json_not_object")) };
        let warning = charset.is_none().then_some("missing_charset");
        Ok(Self { values: fields.into_iter().collect(), is_json: true, token: None, warning })
    }

    /// Refuses what the method does not take. (Slack ignores most of it; a client that sends it is wrong all the same.)
    pub(super) fn check_names(&self, allowed: &[&str]) -> Result<(), Refusal> {
        for (name, _) in &self.values {
            if name.contains('[') {
                return Err(Refusal::code("invalid_array_arg"));
            }
            if name.len() > LONGEST_NAME || !name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
            {
                return Err(Refusal::code("invalid_arg_name"));
            }
            if !allowed.contains(&name.as_str()) {
                return Err(Refusal::arguments(&format!("unknown field: {name}")));
            }
        }
        Ok(())
    }

    /// `None` also for an empty one.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, Refusal> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(_) => Err(wrong(name, "a string")),
        }
    }

    pub(super) fn required(&self, name: &str) -> Result<&str, Refusal> {
        self.text(name)?.ok_or_else(|| missing(name))
    }

    /// In forms also as 1 and 0, as Slack's SDKs send them.
    pub(super) fn boolean(&self, name: &str) -> Result<Option<bool>, Refusal> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(Value::String(text)) if !self.is_json && ["true", "1"].contains(&text.as_str()) => Ok(Some(true)),
            Some(Value::String(text)) if !self.is_json && ["false", "0"].contains(&text.as_str()) => Ok(Some(false)),
            Some(_) => Err(wrong(name, "a boolean")),
        }
    }

    /// Whole and of 64 bits; `1e3`, `1000.0` and, in JSON, `"1000"` are none.
    pub(super) fn integer(&self, name: &str) -> Result<Option<i64>, Refusal> {
        let number = match self.get(name) {
            None => return Ok(None),
            Some(Value::Number(number)) => number.as_i64(),
            Some(Value::String(text)) if !self.is_json && text.bytes().all(|byte| byte.is_ascii_digit()) => {
                text.parse().ok()
            }
            Some(_) => None,
        };
        number.map(Some).ok_or_else(|| wrong(name, "an integer"))
    }

    /// An array in JSON, parts between commas in a form. Ids that occur twice count once.
    pub(super) fn ids(&self, name: &str) -> Result<Vec<String>, Refusal> {
        let listed: Option<Vec<String>> = match self.get(name) {
            None => return Err(missing(name)),
            Some(Value::Array(items)) => items.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
            Some(Value::String(text)) if !self.is_json => Some(text.split(',').map(str::to_owned).collect()),
            Some(_) => None,
        };
        let listed = listed.filter(|ids| (1..=MOST_IDS).contains(&ids.len()) && ids.iter().all(|id| !id.is_empty()));
        let mut ids: Vec<String> = Vec::new();
        for id in listed.ok_or_else(|| wrong(name, "a list of 1 to 1000 ids"))? {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        Ok(ids)
    }

    /// As `api.test` shows them.
    pub(super) fn all(&self) -> serde_json::Map<String, Value> {
        self.values.iter().cloned().collect()
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.values.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }
}

/// Slack also takes ISO 8859-1, which nobody needs any more; refused.
fn media_and_charset(content_type: &str) -> Result<(&str, Option<&str>), Refusal> {
    let mut parts = content_type.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default();
    let charset = parts.find_map(|part| part.strip_prefix("charset=")).map(|name| name.trim_matches('"'));
    match charset {
        None | Some("utf-8") => Ok((media, charset)),
        Some(_) => Err(Refusal::code("invalid_charset")),
    }
}

fn missing(name: &str) -> Refusal {
    Refusal::arguments(&format!("missing required field: {name}"))
}

fn wrong(name: &str, expected: &str) -> Refusal {
    Refusal::arguments(&format!("must be {expected} [json-pointer:/{name}]"))
}
