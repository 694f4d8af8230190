//! `docs/reference/` says what the code says. After a change: `SEVER_UPDATE_REFERENCE=1 cargo test --test it docs::reference`.

use std::fmt::Write;

use serde_json::{Map, Value};

const HEAD: &str = "<!-- Made from the code by tests/it/docs/reference.rs; a test keeps it in step. -->\n\n";

fn keep(name: &str, text: &str) {
    let path = format!("{}/docs/reference/{name}.md", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("SEVER_UPDATE_REFERENCE").is_some() {
        std::fs::write(&path, text).expect("written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == text,
        "docs/reference/{name}.md has fallen behind; run: SEVER_UPDATE_REFERENCE=1 cargo test --test it docs::reference"
    );
}

/// A description in one line of a table.
fn line(value: &Value) -> String {
    let text = value.as_str().unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

/// The page as far as it is written, and what need not be told again.
#[derive(Default)]
struct Page {
    text: String,
    told: std::collections::HashSet<String>,
}

/// Follows references to where something is described.
struct Schema(Value);

impl Schema {
    fn resolve<'s>(&'s self, mut value: &'s Value) -> &'s Value {
        loop {
            let target = value["$ref"].as_str().and_then(|path| self.0.pointer(path.trim_start_matches('#')));
            // `null` beside a type only says that it may be left out.
            let only = ["anyOf", "oneOf"].iter().find_map(|word| {
                let rest: Vec<_> = value[*word].as_array()?.iter().filter(|it| it["type"] != "null").collect();
                if let [one] = rest[..] { Some(one) } else { None }
            });
            match target.or(only) {
                Some(next) => value = next,
                None => return value,
            }
        }
    }

    fn kind(&self, value: &Value) -> String {
        if self.is_secret(value) {
            return "secret".to_owned();
        }
        let value = self.resolve(value);
        if let Some(word) = value["const"].as_str() {
            return format!("`{word}`");
        }
        if let Some(words) = value["enum"].as_array() {
            return words
                .iter()
                .map(|word| format!("`{}`", word.as_str().unwrap_or_default()))
                .collect::<Vec<_>>()
                .join(", ");
        }
        if let Some(choices) = value["oneOf"].as_array().or(value["anyOf"].as_array()) {
            if choices.len() > 3 && choices.iter().all(|it| self.resolve(it)["properties"].is_object()) {
                return "one of those below".to_owned();
            }
            let mut kinds: Vec<_> = choices.iter().map(|it| self.kind(it)).collect();
            kinds.dedup();
            return kinds.join(", ");
        }
        if value["properties"].is_object() {
            return self.flow(value);
        }
        match (&value["type"], &value["items"], &value["additionalProperties"]) {
            (Value::String(kind), items, _) if kind == "array" => format!("list of {}", self.kind(items)),
            (Value::String(kind), _, more) if kind == "object" && more.is_object() => {
                format!("map of {}", self.kind(more))
            }
            (Value::String(kind), ..) => value["description"]
                .as_str()
                .filter(|_| kind == "string" && value["pattern"].is_string())
                .and_then(|it| it.split([':', '.']).next())
                .map_or(kind.clone(), |it| it.to_lowercase()),
            (Value::Array(kinds), ..) => {
                kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null").collect::<Vec<_>>().join(", ")
            }
            _ => "any".to_owned(),
        }
    }

    /// A reference to a secret: the same three forms everywhere.
    fn is_secret(&self, value: &Value) -> bool {
        let text = value.to_string();
        ["SecretRef", "BrokerUrl"].iter().any(|name| text.contains(&format!("#/$defs/{name}\"")))
            && value["items"].is_null()
    }

    /// What several places refer to, by its reference.
    fn shared<'v>(&self, value: &'v Value) -> Option<&'v str> {
        let target = value["$ref"].as_str()?;
        (self.0.to_string().matches(&format!("\"{target}\"")).count() > 1).then_some(target)
    }

    /// The keys of a small object, as it is written in one line.
    fn flow(&self, value: &Value) -> String {
        let keys: Vec<_> = value["properties"].as_object().into_iter().flat_map(Map::keys).cloned().collect();
        format!("`{{{}}}`", keys.join(", "))
    }

    /// A table of the keys of an object, and behind it those of the objects in it.
    fn table(&self, path: &str, value: &Value, page: &mut Page) {
        let value = self.resolve(value);
        let required: Vec<_> = value["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let Some(properties) = value["properties"].as_object() else { return };
        let text = &mut page.text;
        let _ = write!(text, "\n## `{path}`\n\n{}\n\n| key | type | |\n|---|---|---|\n", line(&value["description"]));
        for (key, property) in properties {
            let told = if property["description"].is_string() { property } else { self.resolve(property) };
            let must = if required.contains(&key.as_str()) { "**Required.** " } else { "" };
            let _ = writeln!(text, "| `{key}` | {} | {must}{} |", self.kind(property), line(&told["description"]));
        }
        for (key, property) in properties {
            self.below(format!("{path}.{key}").trim_start_matches("sever.yaml."), property, page);
        }
    }

    fn below(&self, path: &str, property: &Value, page: &mut Page) {
        if self.is_secret(property) {
            return;
        }
        // What several kinds of a thing have in common is told once.
        let path = &match self.shared(property) {
            Some(target) if !page.told.insert(target.to_owned()) => return,
            Some(_) => path.split(" (kind: ").map(|part| part.split_once(')').map_or(part, |(_, rest)| rest)).collect(),
            None => path.to_owned(),
        };
        let property = self.resolve(property);
        if property["properties"].is_object() {
            self.table(path, property, page);
        } else if property["items"].is_object() {
            self.below(&format!("{path}[]"), &property["items"], page);
        } else if property["additionalProperties"].is_object() {
            self.below(&format!("{path}.NAME"), &property["additionalProperties"], page);
        } else if let Some(choices) = property["oneOf"].as_array().or(property["anyOf"].as_array()) {
            for choice in choices {
                let kind = self.resolve(choice)["properties"]["kind"]["const"].as_str();
                self.below(&kind.map_or(path.to_owned(), |kind| format!("{path} (kind: {kind})")), choice, page);
            }
        }
    }
}

#[test]
fn the_config_reference_is_that_of_the_types() {
    let schema = Schema(serde_json::from_str(include_str!("../../../schemas/config.schema.json")).expect("JSON"));
    let head = format!(
        "# Config reference\n\n{HEAD}Every key of `sever.yaml`. Unknown keys are errors. A secret is `{{env: NAME}}` or `{{file: PATH}}` (without its trailing \
         newline); `{{value: …}}` works and warns. Lengths of \
         time are written `250ms`, `5m`, `24h`, `90d`, sizes `64KiB`, `1MiB`, rates `500/1s`.\n"
    );
    let mut page = Page { text: head, ..Page::default() };
    schema.table("sever.yaml", &schema.0, &mut page);
    keep("config", &page.text);
}

#[test]
fn the_command_reference_is_that_of_the_program() {
    let mut page = format!(
        "# Command reference\n\n{HEAD}Exit status: 0 fine, 1 it failed, 2 wrong usage or config. Errors go to stderr in one sentence with \
         the mend.\n"
    );
    let mut program = sever::cli::command().term_width(100);
    program.build();
    for command in program.get_subcommands_mut().filter(|it| it.get_name() != "help") {
        describe(command, &mut page);
    }
    keep("commands", &page);
}

fn describe(command: &mut clap::Command, page: &mut String) {
    let help = command.clone().term_width(100).render_long_help().to_string();
    let name = command.get_bin_name().unwrap_or(command.get_name()).to_owned();
    let help: Vec<_> = help.trim_end().lines().map(str::trim_end).collect();
    let _ = write!(page, "\n## `{name}`\n\n```text\n{}\n```\n", help.join("\n"));
    for inner in command.get_subcommands_mut().filter(|it| it.get_name() != "help") {
        describe(inner, page);
    }
}

#[test]
fn the_api_reference_is_that_of_the_document() {
    let document: Value = serde_json::from_str(include_str!("../../../schemas/openapi.json")).expect("JSON");
    let mut page = format!(
        "# Operator API reference\n\n{HEAD}On the admin listener. `GET /openapi.json` has the same with every schema. Every request carries \
         `Authorization: Bearer` and a token; errors are `application/problem+json` (RFC 9457).\n"
    );
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in
            methods.as_object().expect("methods").iter().filter(|(name, _)| *name != "parameters")
        {
            endpoint(path, method, operation, &mut page);
        }
    }
    keep("api", &page);
}

fn endpoint(path: &str, method: &str, operation: &Value, page: &mut String) {
    let _ = write!(page, "\n## `{} {path}`\n\n{}", method.to_uppercase(), line(&operation["summary"]));
    let _ = writeln!(page, " {}", line(&operation["description"]));
    let parameters: Vec<_> = operation["parameters"].as_array().into_iter().flatten().collect();
    if !parameters.is_empty() {
        let _ = write!(page, "\n| parameter | in | |\n|---|---|---|\n");
    }
    for parameter in parameters {
        let (name, place) = (line(&parameter["name"]), line(&parameter["in"]));
        let _ = writeln!(page, "| `{name}` | {place} | {} |", line(&parameter["description"]));
    }
    let body = &operation["requestBody"]["content"]["application/json"]["schema"]["$ref"];
    if let Some(name) = body.as_str().and_then(|path| path.rsplit('/').next()) {
        let _ = write!(page, "\nBody: `{name}`.\n");
    }
    let _ = write!(page, "\n| answer | |\n|---|---|\n");
    for (status, answer) in operation["responses"].as_object().expect("answers") {
        let _ = writeln!(page, "| {status} | {} |", line(&answer["description"]));
    }
}
