//! Query strings: how the gateway reads them and what the API then makes of the values.
//!
//! The gateway's own refusals carry no details, those of the API do. An unknown parameter is refused here although
//! the gateway skips it: a misspelt one would otherwise look as if it worked. The same goes for a name without `=`.

use percent_encoding::percent_decode_str;
use serde_json::json;

use super::super::parameters::Parameters;
use super::operation::Operation;
use super::person::State;
use super::refusal::Refusal;

/// The largest page (`user_services.proto`).
const LARGEST_PAGE: u32 = 1000;

/// Stands for any key in the brackets.
const ATTRIBUTES: &str = "attributes_contain[";

/// The parameters of one call.
#[derive(Debug)]
pub(super) struct Query {
    single: Parameters,
    /// Repeated ones add up.
    pub(super) states: Vec<State>,
    /// Key and substring.
    pub(super) attributes: Vec<(String, String)>,
}

/// Which rows of a listing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page {
    pub(super) skip: usize,
    pub(super) take: usize,
}

/// By what a listing is sorted; without a field, by id.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order {
    pub(super) field: &'static str,
    pub(super) descending: bool,
}

impl Query {
    pub(super) fn parse(raw: &str, operation: Operation) -> Result<Self, Refusal> {
        let known = operation.parameters();
        let mut query = Self { single: empty(), states: Vec::new(), attributes: Vec::new() };
        let mut single = Vec::new();
        for pair in raw.split('&').filter(|_| !raw.is_empty()) {
            let name = pair.split_once('=').map(|(name, _)| decoded(name)).unwrap_or_default();
            match name.strip_prefix(ATTRIBUTES).and_then(|rest| rest.strip_suffix(']')) {
                Some(key) if known.contains(&"attributes_contain[string]") => {
                    query.attributes.push((key.to_owned(), one(pair, &name)?));
                }
                None if name == "state" && known.contains(&"state") => query.states.push(state(&one(pair, &name)?)?),
                _ => single.push(pair),
            }
        }
        query.single = Parameters::parse(&single.join("&"), known).map_err(|reason| Refusal::plain(3, reason))?;
        Ok(query)
    }

    pub(super) fn text(&self, name: &str) -> &str {
        self.single.get(name).unwrap_or_default()
    }

    pub(super) fn boolean(&self, name: &str) -> Result<bool, Refusal> {
        let value = self.single.boolean(name, false);
        value.ok_or_else(|| Refusal::plain(3, format!("type mismatch, parameter: {name}")))
    }

    /// A substring to search for.
    pub(super) fn needle(&self, name: &str) -> Result<String, Refusal> {
        let text = self.text(name);
        short(name, text)?;
        Ok(text.to_lowercase())
    }

    pub(super) fn page(&self, default_limit: u32) -> Result<Page, Refusal> {
        let (limit, page) = (self.number("limit")?, self.number("page")?);
        if limit > LARGEST_PAGE {
            return Err(Refusal::validation("limit", "value must be less than or equal to 1000"));
        }
        let take = if limit == 0 { default_limit } else { limit } as usize;
        Ok(Page { skip: (page.max(1) as usize - 1).saturating_mul(take), take })
    }

    /// One of `fields`, perhaps with a minus in front.
    pub(super) fn order(&self, fields: &'static [&'static str]) -> Result<Order, Refusal> {
        let asked = self.text("order");
        let (name, descending) = asked.strip_prefix('-').map_or((asked, false), |name| (name, true));
        if asked.is_empty() {
            return Ok(Order { field: "", descending: false });
        }
        let known = fields.iter().find(|field| **field == name);
        let field = known.ok_or_else(|| Refusal::validation("order", "value must be in list"))?;
        Ok(Order { field, descending })
    }

    /// The field mask; none asks for nothing beyond what is always there.
    pub(super) fn mask(&self, allowed: &[&str]) -> Result<Vec<String>, Refusal> {
        let Some(mask) = self.single.get("field_mask") else { return Ok(Vec::new()) };
        let paths: Vec<String> = mask.split(',').map(str::to_owned).collect();
        let forbidden: Vec<&String> = paths.iter().filter(|path| !allowed.contains(&path.as_str())).collect();
        match forbidden.is_empty() {
            true => Ok(paths),
            false => Err(Refusal::named("field_mask_paths", json!({"forbidden_paths": forbidden}))),
        }
    }

    fn number(&self, name: &str) -> Result<u32, Refusal> {
        let Some(text) = self.single.get(name) else { return Ok(0) };
        // Go reads no plus sign.
        let number = text.parse().ok().filter(|_| !text.starts_with('+'));
        number.ok_or_else(|| Refusal::plain(3, format!("type mismatch, parameter: {name}: invalid syntax")))
    }
}

/// Search terms have at most 50 characters (`search_services.proto`).
pub(super) fn short(field: &str, text: &str) -> Result<(), Refusal> {
    match text.chars().count() <= 50 {
        true => Ok(()),
        false => Err(Refusal::validation(field, "value length must be at most 50 runes")),
    }
}

fn empty() -> Parameters {
    Parameters::parse("", &[]).expect("no pair is wrong")
}

fn one(pair: &str, name: &str) -> Result<String, Refusal> {
    let parsed = Parameters::parse(pair, &[name]).map_err(|reason| Refusal::plain(3, reason))?;
    Ok(parsed.get(name).unwrap_or_default().to_owned())
}

/// By word or by number.
fn state(text: &str) -> Result<State, Refusal> {
    let known = State::ALL.into_iter().find(|state| state.as_str() == text || state.number().to_string() == text);
    known.ok_or_else(|| Refusal::plain(3, format!("type mismatch, parameter: state: {text} is not a valid value")))
}

fn decoded(raw: &str) -> String {
    percent_decode_str(raw).decode_utf8_lossy().into_owned()
}
