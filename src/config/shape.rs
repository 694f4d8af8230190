//! What a JSON schema allows at one place, as a flat list of alternatives.
//!
//! Reads what `schemars` writes: `$ref`, `allOf`, `oneOf`, `anyOf`, `const`, `enum`, `properties`, `required`,
//! `additionalProperties`, `patternProperties`, `items` and `type`. Anything else is left to typed decoding.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// References followed in a row. A schema that needs more is a loop.
const MAX_REFERENCES: usize = 32;

/// One alternative.
#[derive(Debug, Clone, Default)]
pub(super) struct Shape<'s> {
    /// JSON types; `None`: any.
    pub(super) types: Option<Vec<&'s str>>,
    /// Known keys, each with the schemas of which its value has to fit one.
    pub(super) properties: BTreeMap<&'s str, Vec<&'s Value>>,
    pub(super) required: Vec<&'s str>,
    /// The schema of keys that are not in `properties`.
    pub(super) others: Option<&'s Value>,
    pub(super) items: Option<&'s Value>,
    /// The only values allowed.
    pub(super) values: Option<Vec<&'s str>>,
    /// The definition's name, such as `Duration`.
    pub(super) name: Option<&'s str>,
}

/// The alternatives of `schema`, a part of `root`.
pub(super) fn shapes<'s>(schema: &'s Value, root: &'s Value) -> Vec<Shape<'s>> {
    expand(schema, root, 0)
}

fn expand<'s>(schema: &'s Value, root: &'s Value, depth: usize) -> Vec<Shape<'s>> {
    let Value::Object(schema) = schema else {
        return if schema == &Value::Bool(false) { Vec::new() } else { vec![Shape::default()] };
    };
    if depth > MAX_REFERENCES {
        return vec![Shape::default()];
    }
    let mut found = vec![own(schema)];
    if let Some((name, target)) = reference(schema, root) {
        found = combine(found, &named(name, expand(target, root, depth + 1)));
    }
    for part in list(schema, "allOf") {
        found = combine(found, &expand(part, root, depth + 1));
    }
    for choice in ["oneOf", "anyOf"].into_iter().filter(|choice| schema.contains_key(*choice)) {
        let choices: Vec<_> = list(schema, choice).flat_map(|part| expand(part, root, depth + 1)).collect();
        found = combine(found, &choices);
    }
    found
}

/// What the schema says by itself.
fn own(schema: &Map<String, Value>) -> Shape<'_> {
    let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    let patterns = schema.get("patternProperties").and_then(Value::as_object).and_then(|all| all.values().next());
    let others = schema.get("additionalProperties").or(schema.get("unevaluatedProperties"));
    Shape {
        types: types(schema),
        properties: properties.map(|(key, value)| (key.as_str(), vec![value])).collect(),
        required: list(schema, "required").filter_map(Value::as_str).collect(),
        others: others.filter(|schema| **schema != Value::Bool(false)).or(patterns),
        items: schema.get("items"),
        values: values(schema),
        name: None,
    }
}

fn types(schema: &Map<String, Value>) -> Option<Vec<&str>> {
    match schema.get("type")? {
        Value::String(one) => Some(vec![one.as_str()]),
        Value::Array(many) => Some(many.iter().filter_map(Value::as_str).collect()),
        _ => None,
    }
}

/// Only texts: no setting has a constant of another type.
fn values(schema: &Map<String, Value>) -> Option<Vec<&str>> {
    if let Some(constant) = schema.get("const") {
        return constant.as_str().map(|text| vec![text]);
    }
    schema.contains_key("enum").then(|| list(schema, "enum").filter_map(Value::as_str).collect())
}

fn reference<'s>(schema: &'s Map<String, Value>, root: &'s Value) -> Option<(&'s str, &'s Value)> {
    let pointer = schema.get("$ref")?.as_str()?.strip_prefix('#')?;
    let name = pointer.rsplit('/').next().unwrap_or_default();
    Some((name, root.pointer(pointer)?))
}

fn list<'s>(schema: &'s Map<String, Value>, key: &str) -> impl Iterator<Item = &'s Value> {
    schema.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn named<'s>(name: &'s str, mut shapes: Vec<Shape<'s>>) -> Vec<Shape<'s>> {
    shapes.iter_mut().for_each(|shape| shape.name = shape.name.or(Some(name)));
    shapes
}

fn combine<'s>(left: Vec<Shape<'s>>, right: &[Shape<'s>]) -> Vec<Shape<'s>> {
    left.iter().flat_map(|one| right.iter().map(|other| both(one, other))).collect()
}

fn both<'s>(left: &Shape<'s>, right: &Shape<'s>) -> Shape<'s> {
    let mut shape = left.clone();
    for (key, schemas) in &right.properties {
        shape.properties.entry(key).or_default().extend(schemas);
    }
    shape.required.extend(&right.required);
    shape.types = meet(shape.types, right.types.as_ref());
    shape.values = meet(shape.values, right.values.as_ref());
    shape.others = shape.others.or(right.others);
    shape.items = shape.items.or(right.items);
    shape.name = shape.name.or(right.name);
    shape
}

fn meet<'s>(left: Option<Vec<&'s str>>, right: Option<&Vec<&'s str>>) -> Option<Vec<&'s str>> {
    match (left, right) {
        (Some(left), Some(right)) => Some(left.into_iter().filter(|item| right.contains(item)).collect()),
        (left, right) => left.or_else(|| right.cloned()),
    }
}

impl<'s> Shape<'s> {
    /// Keys that tell alternatives apart, each with the text that it has in this one: `kind: okta`.
    pub(super) fn tags(&self, root: &'s Value) -> Vec<(&'s str, &'s str)> {
        // A key with several alternatives, such as an enum whose words are documented, tells nothing apart.
        let constant = |schema: &&'s Value| match shapes(schema, root).as_slice() {
            [Shape { values: Some(values), .. }] if values.len() == 1 => values.first().copied(),
            _ => None,
        };
        let required = self.properties.iter().filter(|(key, _)| self.required.contains(key));
        required.filter_map(|(key, schemas)| Some((*key, schemas.iter().find_map(constant)?))).collect()
    }

    /// Whether any key may stand here.
    pub(super) fn is_open(&self) -> bool {
        let says_nothing = self.properties.is_empty() && self.others.is_none();
        says_nothing || self.others.is_some_and(|schema| *schema == Value::Bool(true))
    }

    /// Whether a value of this JSON type may stand here.
    pub(super) fn takes(&self, kind: &str) -> bool {
        let fits = |allowed: &&str| *allowed == kind || (*allowed == "number" && kind == "integer");
        let has_keys = !self.properties.is_empty() || self.others.is_some();
        self.types.as_ref().map_or(!has_keys || kind == "object", |types| types.iter().any(fits))
    }
}
