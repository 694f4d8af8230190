//! Alerts made of any JSON by CEL expressions: a user's own mapping, or a product's preset, which is the same thing.
//!
//! An expression that cannot be evaluated is never "no alert": the element goes to quarantine under the field's name.

use std::sync::OnceLock;

use cel::Context;
use cel::common::types::{CelMap, CelString};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::error::{DecodeError, Problems};
use super::helpers::{of_delivery, of_element};
use super::settings::MappingSettings;
use super::strict::read_json;
use super::{Element, Fate, FieldTrace, sever};
use crate::expression::{
    Checked, Dialect, Kind, LONGEST_LIST, Read, Size, Sizes, Time, guarded, json_map, json_value, shortened, to_json,
};

/// The largest body that is mapped, and the most that an expression may give.
pub(super) const LARGEST_BODY_BYTES: usize = 1 << 20;

/// What all expressions together may cost for one delivery, in the unit of [`Size::total`]. About half a second, for what
/// nobody sends by accident: 10,000 elements and twenty fields that read all of each cost a third of it.
const MOST_COST: usize = 100_000_000;

/// Values that are not text count more than they are long in JSON.
const RESULT_BUDGET: usize = 4 * LARGEST_BODY_BYTES;

/// Long enough for an address, short enough to stay on a line.
const LONGEST_SHOWN_CHARS: usize = 200;

/// What the fields of an alert may give. Those that are not needed may also give `null`.
const FIELDS: [(&str, &[Kind]); 8] = [
    ("id", &[Kind::Text]),
    ("kind", &[Kind::Text]),
    ("severity", &[Kind::Text]),
    ("occurred_at", &[Kind::Time, Kind::Text]),
    ("subjects", &[Kind::List]),
    ("reason", &[Kind::Text, Kind::Null]),
    ("attributes", &[Kind::Map, Kind::Null]),
    ("dry_run", &[Kind::Bool, Kind::Null]),
];

/// A compiled mapping.
#[derive(Debug)]
pub(super) struct Mapping {
    each: Option<Field>,
    skip_when: Option<Field>,
    fields: Vec<Field>,
}

#[derive(Debug)]
struct Field {
    name: &'static str,
    checked: Checked,
}

impl Mapping {
    /// Compiles every field, or tells all that is wrong, each with the field's name.
    pub(super) fn new(settings: &MappingSettings) -> Result<Self, Vec<(String, String)>> {
        let mut problems = Vec::new();
        let inside = if settings.each.is_some() { of_element() } else { of_delivery() };
        let mut compile =
            |name: &'static str, source: Option<&String>, dialect: &Dialect, wanted: &[Kind]| match Checked::new(
                source?, dialect, wanted, name,
            ) {
                Ok(checked) => Some(Field { name, checked }),
                Err(found) => {
                    problems.extend(found.into_iter().map(|message| (name.to_owned(), message)));
                    None
                }
            };
        let each = compile("each", settings.each.as_ref(), of_delivery(), &[Kind::List]);
        let skip_when = compile("skip_when", settings.skip_when.as_ref(), inside, &[Kind::Bool]);
        let fields =
            FIELDS.iter().filter_map(|(name, wanted)| compile(name, source(settings, name), inside, wanted)).collect();
        if problems.is_empty() { Ok(Self { each, skip_when, fields }) } else { Err(problems) }
    }

    /// Whether `occurred_at` comes of the body alone: a repeat is received later, and may have other headers.
    pub(super) fn dates_alerts(&self) -> bool {
        let when = self.fields.iter().filter(|field| field.name == "occurred_at").chain(&self.each);
        let others = ["received_at", "headers", "event"];
        when.into_iter().all(|field| !others.iter().any(|name| field.checked.names(name)))
    }

    /// Reads the alerts of one body. `budget` is what evaluating may still cost.
    pub(super) fn read(
        &self,
        body: &[u8],
        given: &Given<'_>,
        budget: &mut Budget,
    ) -> Result<Vec<Element>, DecodeError> {
        if body.len() > LARGEST_BODY_BYTES {
            return Err(DecodeError::of(".", "is larger than 1 MiB, and more is not mapped"));
        }
        let payload = read_json(body).map_err(|error| DecodeError::of(".", error))?;
        let facts = Facts::new(given, &payload);
        let Some(each) = &self.each else {
            return Ok(vec![self.element(None, &facts, None, budget)?]);
        };
        let items = each.list(&facts, budget)?;
        let read = |(position, item): (usize, &Value)| self.element(Some(position), &facts, Some(item), budget);
        items.iter().enumerate().map(read).collect()
    }

    /// One element. The error is about the whole delivery: it costs too much.
    fn element(
        &self,
        position: Option<usize>,
        facts: &Facts<'_>,
        item: Option<&Value>,
        budget: &mut Budget,
    ) -> Result<Element, DecodeError> {
        let scope = Scope { facts, item, item_value: OnceLock::new() };
        let mut reading = Reading { scope: &scope, budget, problems: Problems::default(), traces: Vec::new() };
        let skipped = match &self.skip_when {
            Some(field) => reading.value(field)?,
            None => Some(Value::Bool(false)),
        };
        let fate = match skipped {
            Some(Value::Bool(true)) => Fate::Skipped,
            Some(Value::Bool(false)) => reading.alert(&self.fields)?,
            Some(_) => Fate::Bad(DecodeError::of("skip_when", "gives neither true nor false")),
            None => reading.bad(),
        };
        Ok(Element { position, fate, fields: reading.traces })
    }
}

fn source<'s>(settings: &'s MappingSettings, field: &str) -> Option<&'s String> {
    match field {
        "id" => Some(&settings.id),
        "kind" => Some(&settings.kind),
        "severity" => Some(&settings.severity),
        "occurred_at" => Some(&settings.occurred_at),
        "subjects" => Some(&settings.subjects),
        "reason" => settings.reason.as_ref(),
        "attributes" => settings.attributes.as_ref(),
        "dry_run" => settings.dry_run.as_ref(),
        _ => None,
    }
}

/// What there is besides the body.
pub(super) struct Given<'a> {
    pub(super) headers: &'a Map<String, Value>,
    pub(super) event: &'a Map<String, Value>,
    pub(super) received_at: Timestamp,
    /// Whether what the fields give is noted.
    pub(super) traced: bool,
}

/// What evaluating may still cost.
pub(super) struct Budget(usize);

impl Default for Budget {
    fn default() -> Self {
        Self(MOST_COST)
    }
}

impl Budget {
    fn take(&mut self, cost: usize, field: &str) -> Result<(), DecodeError> {
        let too_much =
            || DecodeError::of(field, "would take too long over so large a body; read less of it, or in parts");
        self.0 = self.0.checked_sub(cost).ok_or_else(too_much)?;
        Ok(())
    }
}

/// What is the same for all elements, turned into CEL values at most once.
struct Facts<'a> {
    given: &'a Given<'a>,
    payload: &'a Value,
    payload_value: OnceLock<Box<dyn Val + 'a>>,
    headers: OnceLock<CelMap<'a>>,
    event: OnceLock<CelMap<'a>>,
    /// How large what is read of them is: the same expression is evaluated for each element.
    sizes: Sizes,
}

impl<'a> Facts<'a> {
    fn new(given: &'a Given<'a>, payload: &'a Value) -> Self {
        Self {
            given,
            payload,
            payload_value: OnceLock::new(),
            headers: OnceLock::new(),
            event: OnceLock::new(),
            sizes: Sizes::default(),
        }
    }

    fn size(&self, read: &Read) -> Size {
        self.sizes.of(read, || match read.root {
            "payload" => Size::at(self.payload, &read.path),
            "event" => Size::of_path(self.given.event, &read.path),
            _ => Size::of_path(self.given.headers, &read.path),
        })
    }
}

/// What one element's fields may look at.
struct Scope<'f, 'a> {
    facts: &'f Facts<'a>,
    item: Option<&'f Value>,
    item_value: OnceLock<Box<dyn Val + 'f>>,
}

impl Scope<'_, '_> {
    fn size(&self, read: &Read) -> Size {
        match self.item {
            Some(item) if read.root == "item" => Size::at(item, &read.path),
            _ => self.facts.size(read),
        }
    }
}

impl VariableResolver for Scope<'_, '_> {
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        let facts = self.facts;
        Some(match name {
            "payload" => CowVal::Borrowed(facts.payload_value.get_or_init(|| json_value(facts.payload)).as_ref()),
            "headers" => CowVal::Borrowed(facts.headers.get_or_init(|| json_map(facts.given.headers))),
            "event" => CowVal::Borrowed(facts.event.get_or_init(|| json_map(facts.given.event))),
            "received_at" => Time(facts.given.received_at).value(),
            "item" => {
                let item = self.item?;
                CowVal::Borrowed(self.item_value.get_or_init(|| json_value(item)).as_ref())
            }
            _ => return None,
        })
    }
}

impl Field {
    /// What it gives as JSON. The outer error is about the whole delivery.
    fn evaluate(&self, scope: &Scope<'_, '_>, budget: &mut Budget) -> Result<Result<Value, String>, DecodeError> {
        match self.checked.work.cost(|read| scope.size(read)) {
            Ok(cost) => budget.take(cost, self.name)?,
            Err(reason) => return Ok(Err(reason)),
        }
        let root = if scope.item.is_some() { of_element() } else { of_delivery() };
        Ok(guarded(|| {
            let shared: &Context<'_, '_> = root.root();
            let mut context = shared.new_inner_scope();
            context.set_variable_resolver(scope);
            let value = self.checked.evaluate(&context)?;
            self.fitting(value.as_ref())
        }))
    }

    /// As JSON, if it is of a kind that fits the field.
    fn fitting(&self, value: &dyn Val) -> Result<Value, String> {
        let json = to_json(value, &mut RESULT_BUDGET.clone())?;
        let is_text_for_time = self.name == "occurred_at" && value.downcast_ref::<CelString>().is_some();
        let wanted = FIELDS.iter().find(|(name, _)| *name == self.name).map_or(&[][..], |(_, wanted)| wanted);
        let fits = wanted.is_empty() || is_text_for_time || wanted.iter().any(|kind| is_of(*kind, &json));
        if fits {
            return Ok(json);
        }
        let hint = if wanted.contains(&Kind::Text) && json.is_number() { "; write string(...) around it" } else { "" };
        let wanted: Vec<_> = wanted.iter().map(|kind| kind.as_str()).collect();
        Err(format!("gives {}, and needs {}{hint}", word(&json), wanted.join(" or ")))
    }

    /// The elements of `each`.
    fn list(&self, facts: &Facts<'_>, budget: &mut Budget) -> Result<Vec<Value>, DecodeError> {
        let scope = Scope { facts, item: None, item_value: OnceLock::new() };
        match self.evaluate(&scope, budget)? {
            Ok(Value::Array(list)) if list.len() <= LONGEST_LIST => Ok(list),
            Ok(Value::Array(_)) => {
                Err(DecodeError::of(self.name, format_args!("gives more than {LONGEST_LIST} elements")))
            }
            Ok(other) => Err(DecodeError::of(self.name, format_args!("gives {}, and needs a list", word(&other)))),
            Err(message) => Err(DecodeError::of(self.name, message)),
        }
    }
}

fn is_of(kind: Kind, json: &Value) -> bool {
    match kind {
        Kind::Bool => json.is_boolean(),
        Kind::Number => json.is_number(),
        Kind::Text | Kind::Time => json.is_string(),
        Kind::List => json.is_array(),
        Kind::Map => json.is_object(),
        Kind::Null => json.is_null(),
    }
}

fn word(json: &Value) -> &'static str {
    match json {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

/// The reading of one element.
struct Reading<'r, 'f, 'a> {
    scope: &'r Scope<'f, 'a>,
    budget: &'r mut Budget,
    problems: Problems,
    traces: Vec<FieldTrace>,
}

impl Reading<'_, '_, '_> {
    /// What a field gives; `None` where it gives nothing and a problem was noted.
    fn value(&mut self, field: &Field) -> Result<Option<Value>, DecodeError> {
        let came = field.evaluate(self.scope, self.budget)?;
        if self.scope.facts.given.traced {
            let shown = match &came {
                Ok(value) => Ok(shortened(&value.to_string(), LONGEST_SHOWN_CHARS)),
                Err(message) => Err(message.clone()),
            };
            self.traces.push(FieldTrace {
                field: field.name,
                expression: field.checked.text().to_owned(),
                came: shown,
            });
        }
        Ok(came.map_err(|message| self.problems.add(field.name, message)).ok())
    }

    fn alert(&mut self, fields: &[Field]) -> Result<Fate, DecodeError> {
        let mut values = Map::new();
        for field in fields {
            match self.value(field)? {
                Some(Value::Null) | None => {}
                Some(value) => drop(values.insert(field.name.to_owned(), value)),
            }
        }
        if !self.problems.is_empty() {
            return Ok(self.bad());
        }
        Ok(match sever::from_fields(Value::Object(values)) {
            Ok(alert) => Fate::Alert(Box::new(alert)),
            Err(error) => Fate::Bad(error),
        })
    }

    /// Of what was found to be wrong.
    fn bad(&mut self) -> Fate {
        Fate::Bad(std::mem::take(&mut self.problems).into_error())
    }
}
