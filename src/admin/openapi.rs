//! `GET /openapi.json`: the operator API in OpenAPI 3.1, made of the table of routes and of the types themselves.

use axum::Json;
use axum::http::Method;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use super::fault::Fault;
use super::params::{Kind, NoParameters, Parameter};
use super::routes::{Route, said};
use crate::ingest::Problem;

/// Where the shared schemas are in the document.
const SCHEMAS: &str = "/components/schemas";

/// The schema of a type.
pub(super) type Shape = fn(&mut SchemaGenerator) -> Schema;

/// What is said about a route besides its method, path and role.
#[derive(Debug, Clone, Default)]
pub(super) struct Says {
    /// What it does, in a sentence.
    pub(super) summary: &'static str,
    /// What may stand behind the `?`.
    pub(super) query: &'static [Parameter],
    /// Headers that it reads.
    pub(super) headers: &'static [Parameter],
    /// The body that it takes.
    pub(super) body: Option<Shape>,
    /// Its answers when all is well, by status; without a shape it is plain text.
    pub(super) answers: Vec<(u16, Option<Shape>)>,
    /// Whether it asks a provider.
    pub(super) asks_provider: bool,
}

/// The schema of `T`.
pub(super) fn shape<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

pub(super) async fn show(_: NoParameters) -> Result<Json<Value>, Fault> {
    Ok(Json(document()))
}

/// The whole description.
#[must_use]
pub fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.definitions_path = SCHEMAS.into());
    let mut generator = settings.into_generator();
    let mut paths: Map<String, Value> = Map::new();
    for (route, says) in said() {
        let operation = operation(&route, &says, &mut generator);
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.as_str().to_lowercase()] = operation;
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "sever: the operator API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What operators see and do. Every request carries a token of `admin.tokens`.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": generator.take_definitions(true),
        },
    })
}

fn operation(route: &Route, says: &Says, generator: &mut SchemaGenerator) -> Value {
    let mut parameters: Vec<Value> = in_path(route.path).map(path_parameter).collect();
    parameters.extend(says.query.iter().map(|parameter| described(parameter, "query")));
    parameters.extend(says.headers.iter().map(|parameter| described(parameter, "header")));
    let mut responses = Map::new();
    for (status, shape) in &says.answers {
        let content = match shape {
            Some(shape) => json!({"application/json": {"schema": shape(generator)}}),
            None => json!({"application/openmetrics-text": {"schema": {"type": "string"}}}),
        };
        responses.insert(status.to_string(), json!({"description": says.summary, "content": content}));
    }
    let problem = generator.subschema_for::<Problem>();
    for (status, description) in problems(route, says) {
        let content = json!({"application/problem+json": {"schema": problem}});
        responses.insert(status.to_string(), json!({"description": description, "content": content}));
    }
    let mut operation = json!({
        "operationId": operation_id(route), "summary": says.summary,
        "description": format!("Takes a token whose role is at least `{}`.", route.role.as_str()),
        "parameters": parameters, "responses": responses,
    });
    if let Some(body) = says.body {
        operation["requestBody"] = json!({"content": {"application/json": {"schema": body(generator)}}});
    }
    operation
}

/// Everything that can be wrong.
fn problems(route: &Route, says: &Says) -> Vec<(u16, &'static str)> {
    let mut problems = vec![
        (400, "A parameter or the body is wrong"),
        (401, "No token, or none that is known"),
        (403, "The token's role does not suffice, or the request is addressed to someone else"),
        (503, "Not now; try again later"),
    ];
    if route.path.contains('{') {
        problems.push((404, "There is no such thing"));
    }
    if route.method == Method::POST {
        problems.extend([
            (408, "The body took too long to arrive"),
            (409, "What it is about does not allow it now"),
            (413, "The body is too large"),
            (415, "The body is not JSON"),
        ]);
    }
    if says.asks_provider {
        problems.extend([(409, "The name is not clear there"), (502, "The provider did not do what was asked")]);
    }
    problems
}

fn in_path(path: &'static str) -> impl Iterator<Item = &'static str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn path_parameter(name: &str) -> Value {
    json!({"name": name, "in": "path", "required": true, "schema": {"type": "string", "minLength": 1}})
}

fn described(parameter: &Parameter, place: &str) -> Value {
    let schema = match parameter.kind {
        Kind::Text => json!({"type": "string", "minLength": 1}),
        Kind::Number { least, most } => json!({"type": "integer", "minimum": least, "maximum": most}),
        Kind::Word(words) => json!({"type": "string", "enum": words()}),
    };
    json!({"name": parameter.name, "in": place, "description": parameter.about, "schema": schema})
}

/// `get_v1_jobs_id` for `GET /v1/jobs/{id}`.
fn operation_id(route: &Route) -> String {
    let words = route.path.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let words: Vec<&str> = words.collect();
    format!("{}_{}", route.method.as_str().to_lowercase(), words.join("_"))
}
