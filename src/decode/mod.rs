//! Authentic bytes to alerts.
//!
//! Whatever comes out of here has names that are someone's: every identifier went through
//! [`check_identifier`](crate::domain::check_identifier). What does not fit is refused with every problem and its place:
//! the delivery as a whole, or the element of a batch, so that half an alert never acts.

mod cloudevents;
mod error;
mod helpers;
mod mapping;
mod settings;
pub mod sever;
mod strict;
mod time;

use http::HeaderMap;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

pub use cloudevents::header_name;
pub use error::{DecodeError, Problem};
pub use settings::{AlertFormat, MappingSettings};

use crate::domain::Alert;
use crate::verify::Verified;
use cloudevents::{Contents, Event};
use mapping::{Budget, Given, Mapping};

/// How a source spells its alerts, ready to read them.
#[derive(Debug)]
pub struct Decoder(Spelling);

#[derive(Debug)]
enum Spelling {
    Sever,
    Mapped(Box<Mapping>),
}

/// Something wrong in the config: its path below the source, for example `alert.severity`, and what it is.
pub type MappingProblem = (String, String);

/// What a delivery holds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Decoded {
    /// Its alerts. None where each of its elements is skipped.
    pub alerts: Vec<Found>,
    /// Its elements that are no alerts.
    pub bad: Vec<BadElement>,
    /// How many of its elements are skipped.
    pub skipped: usize,
}

/// An alert, and where it was.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The position of its element, from 0; `None` for what is not one of several.
    pub element: Option<usize>,
    /// The alert.
    pub alert: Alert,
}

/// An element of a batch that is kept for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadElement {
    /// Its position, from 0.
    pub element: usize,
    /// What is wrong with it, in words.
    pub problem: String,
}

/// An element of a delivery, and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Element {
    /// Its position, from 0; `None` for what is not one of several.
    pub position: Option<usize>,
    /// What became of it.
    pub fate: Fate,
    /// What the mapping's fields gave, where that was asked for and there is a mapping.
    pub fields: Vec<FieldTrace>,
}

/// What became of an element.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    /// It is an alert.
    Alert(Box<Alert>),
    /// The mapping's `skip_when` says that it never acts.
    Skipped,
    /// It is kept for a person.
    Bad(DecodeError),
}

/// A field of a mapping, and what it gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldTrace {
    /// The field.
    pub field: &'static str,
    /// The expression, as the config writes it.
    pub expression: String,
    /// What it gave, as JSON; or what went wrong.
    #[serde(serialize_with = "came")]
    pub came: Result<String, String>,
}

fn came<S: serde::Serializer>(came: &Result<String, String>, serializer: S) -> Result<S::Ok, S::Error> {
    let (key, text) = match came {
        Ok(value) => ("value", value),
        Err(error) => ("error", error),
    };
    serializer.collect_map([(key, text)])
}

impl Decoder {
    /// Of a source that names a format, gives a mapping, or neither: then it is our own format.
    pub fn new(format: Option<AlertFormat>, mapping: Option<&MappingSettings>) -> Result<Self, Vec<MappingProblem>> {
        match (format, mapping) {
            (Some(_), Some(_)) => {
                let message = "format and alert exclude each other: give the name of a format or a mapping of your own";
                Err(vec![("alert".to_owned(), message.to_owned())])
            }
            (None, Some(mapping)) => Self::mapped(mapping),
            (None, None) => Ok(Self(Spelling::Sever)),
            (Some(format), None) => match format.preset() {
                Some(preset) => {
                    Self::mapped(&preset_mapping(preset).map_err(|error| vec![("format".to_owned(), error)])?)
                }
                None => Ok(Self(Spelling::Sever)),
            },
        }
    }

    fn mapped(mapping: &MappingSettings) -> Result<Self, Vec<MappingProblem>> {
        match Mapping::new(mapping) {
            Ok(mapping) => Ok(Self(Spelling::Mapped(Box::new(mapping)))),
            Err(found) => Err(found.into_iter().map(|(field, message)| (format!("alert.{field}"), message)).collect()),
        }
    }

    /// Reads the alerts of one authentic delivery: those that are some, or the reasons why none is taken.
    pub fn decode(&self, delivery: &Verified) -> Result<Decoded, DecodeError> {
        let elements = self.read(delivery.body(), delivery.headers(), delivery.received_at(), false)?;
        Decoded::of(elements)
    }

    /// The largest alert or list of alerts that is read, where there is a limit besides the source's.
    #[must_use]
    pub fn most_bytes(&self) -> Option<usize> {
        match &self.0 {
            Spelling::Sever => None,
            Spelling::Mapped(_) => Some(mapping::LARGEST_BODY_BYTES),
        }
    }

    /// Whether the body itself says when it happened, so that a repeat is as old as what it repeats.
    #[must_use]
    pub fn dates_alerts(&self) -> bool {
        match &self.0 {
            Spelling::Sever => true,
            Spelling::Mapped(mapping) => mapping.dates_alerts(),
        }
    }

    /// Reads bytes that nobody vouches for, as `sever plan` does, and tells how. Nothing may act on what comes of it.
    pub fn explain(
        &self,
        body: &[u8],
        headers: &HeaderMap,
        received_at: Timestamp,
    ) -> Result<Vec<Element>, DecodeError> {
        self.read(body, headers, received_at, true)
    }

    fn read(
        &self,
        body: &[u8],
        headers: &HeaderMap,
        received_at: Timestamp,
        traced: bool,
    ) -> Result<Vec<Element>, DecodeError> {
        let mut budget = Budget::default();
        let kept = match &self.0 {
            Spelling::Sever => Map::new(),
            Spelling::Mapped(_) => header_texts(headers),
        };
        let mut read = |event: &Event<'_>| match &self.0 {
            Spelling::Sever => sever::decode(&event.data).map(|alert| vec![whole(Fate::Alert(Box::new(alert)))]),
            Spelling::Mapped(mapping) => {
                let given = Given { headers: &kept, event: &event.attributes, received_at, traced };
                mapping.read(&event.data, &given, &mut budget)
            }
        };
        match cloudevents::open(body, headers)? {
            Contents::Single(event) => read(&event),
            Contents::Batch(events) => {
                let mut elements = Vec::new();
                for (position, event) in events.into_iter().enumerate() {
                    let found = event.and_then(|event| read(&event));
                    let found = found.unwrap_or_else(|error| vec![whole(Fate::Bad(error))]);
                    elements.extend(found.into_iter().map(|element| inside(position, element)));
                }
                Ok(elements)
            }
        }
    }
}

impl Decoded {
    fn of(elements: Vec<Element>) -> Result<Self, DecodeError> {
        let mut decoded = Self::default();
        for Element { position, fate, .. } in elements {
            match (fate, position) {
                (Fate::Alert(alert), element) => decoded.alerts.push(Found { element, alert: *alert }),
                (Fate::Skipped, _) => decoded.skipped += 1,
                (Fate::Bad(error), Some(element)) => decoded.bad.push(BadElement { element, problem: error.brief() }),
                (Fate::Bad(error), None) => return Err(error),
            }
        }
        Ok(decoded)
    }

    /// Whether it has elements, and a person has to look at each.
    #[must_use]
    pub fn is_all_bad(&self) -> bool {
        !self.bad.is_empty() && self.alerts.is_empty() && self.skipped == 0
    }
}

/// The mapping in the text of a preset.
pub fn preset_mapping(text: &str) -> Result<MappingSettings, String> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Preset {
        alert: MappingSettings,
    }
    serde_saphyr::from_str::<Preset>(text).map(|preset| preset.alert).map_err(|error| error.to_string())
}

fn whole(fate: Fate) -> Element {
    Element { position: None, fate, fields: Vec::new() }
}

/// An element of an event in a batch goes by the event's position; what is wrong with it by its own as well.
fn inside(event: usize, element: Element) -> Element {
    let fate = match (element.fate, element.position) {
        (Fate::Bad(error), Some(position)) => Fate::Bad(error.below(format_args!("each[{position}]"))),
        (fate, _) => fate,
    };
    Element { position: Some(event), fate, ..element }
}

fn header_texts(headers: &HeaderMap) -> Map<String, Value> {
    let text = |value: &http::HeaderValue| value.to_str().ok().map(|text| Value::String(text.to_owned()));
    headers.iter().filter_map(|(name, value)| Some((name.to_string(), text(value)?))).collect()
}
