//! Commands, configs and links of every page.

use std::path::Path;

use clap::error::ErrorKind;
use serde_json::Value;

use super::{blocks, pages};

/// The words of each `sever` command in a script: quotes are taken off, and a command ends where the shell would end it.
fn commands(script: &str) -> Vec<Vec<String>> {
    let script = script.replace("\\\n", " ");
    let mut commands = Vec::new();
    let mut here_document: Option<String> = None;
    for line in script.lines() {
        if let Some(end) = &here_document {
            if line.trim() == end {
                here_document = None;
            }
            continue;
        }
        if let Some((_, end)) = line.split_once("<<") {
            here_document = Some(end.trim_matches(|c: char| c == '-' || c == '\'' || c == '"').trim().to_owned());
        }
        for part in simple_commands(line) {
            let mut words = part.into_iter().skip_while(|word| is_assignment(word)).peekable();
            if words.peek().is_some_and(|word| word == "sever") {
                commands.push(words.collect());
            }
        }
    }
    commands
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=')
        .is_some_and(|(name, _)| !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
}

/// A line's commands, each as its words. What is redirected is left out.
fn simple_commands(line: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let (mut word, mut quote, mut begun) = (String::new(), None, false);
    let mut ended = false;
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), c) => word.push(c),
            (None, '\'' | '"') => (quote, begun) = (Some(c), true),
            (None, '#') if !begun => break,
            (None, '|' | ';' | '&' | '(' | ')' | '>' | '<') => {
                if begun && !ended {
                    commands.last_mut().expect("one").push(std::mem::take(&mut word));
                }
                (word, begun) = (String::new(), false);
                // Behind a redirection come no words of the command.
                ended = matches!(c, '>' | '<');
                if !ended {
                    commands.push(Vec::new());
                }
            }
            (None, c) if c.is_whitespace() => {
                if begun && !ended {
                    commands.last_mut().expect("one").push(std::mem::take(&mut word));
                }
                (word, begun) = (String::new(), false);
            }
            (None, c) => {
                word.push(c);
                begun = true;
            }
        }
    }
    if begun && !ended {
        commands.last_mut().expect("one").push(word);
    }
    commands
}

#[test]
fn every_sever_command_on_a_page_is_one() {
    let mut found = 0;
    let mut faults = Vec::new();
    for (path, text) in pages() {
        for block in blocks(&text).into_iter().filter(|block| matches!(&block.language[..], "sh" | "bash" | "console"))
        {
            for command in commands(&block.text) {
                found += 1;
                if let Err(error) = sever::cli::command().try_get_matches_from(&command)
                    && error.use_stderr()
                {
                    let problem = error.to_string();
                    let problem = problem.lines().next().unwrap_or_default();
                    faults.push(format!("{}:{}: {}: {problem}", path.display(), block.line, command.join(" ")));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(found > 20, "only {found} commands were found");
}

/// Commands that a sentence names. They may leave out what has to be given.
#[test]
fn every_sever_command_in_a_sentence_is_one() {
    let mut faults = Vec::new();
    for (path, text) in pages() {
        let spans =
            text.split('`').skip(1).step_by(2).filter(|span| span.starts_with("sever ") && !span.contains('\n'));
        for words in spans.flat_map(simple_commands).filter(|words| words.first().is_some_and(|word| word == "sever")) {
            let words: Vec<_> = words.into_iter().filter(|word| !matches!(&word[..], "…" | "..." | "[DIR]")).collect();
            let Err(error) = sever::cli::command().try_get_matches_from(&words) else { continue };
            if matches!(error.kind(), ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand) {
                faults.push(format!("{}: {}", path.display(), words.join(" ")));
            }
        }
    }
    assert!(faults.is_empty(), "there are no such commands:\n{}", faults.join("\n"));
}

#[test]
fn commands_are_taken_apart_as_a_shell_would() {
    let script = "A=1 sever send -c x.yaml \\\n  'a b.json' | cat\nsever jobs > out # note\ncat <<'E'\nsever nonsense\nE\n(sever status)";
    let expected = ["sever send -c x.yaml a b.json", "sever jobs", "sever status"];
    assert_eq!(commands(script).iter().map(|words| words.join(" ")).collect::<Vec<_>>(), expected);
}

/// What is a part of `sever.yaml` by its top-level keys has to fit the schema.
#[test]
fn every_config_on_a_page_fits_the_schema() {
    let schema: Value = serde_json::from_str(include_str!("../../../schemas/config.schema.json")).expect("JSON");
    let keys: Vec<&String> = schema["properties"].as_object().expect("keys").keys().collect();
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let (mut found, mut faults) = (0, Vec::new());
    for (path, text) in pages() {
        for block in blocks(&text).into_iter().filter(|block| block.language == "yaml") {
            let at = format!("{}:{}", path.display(), block.line);
            let value: Value = match serde_saphyr::from_str(&block.text) {
                Ok(value) => value,
                Err(error) => {
                    faults.push(format!("{at}: {error}"));
                    continue;
                }
            };
            let Some(object) = value.as_object() else { continue };
            if !object.keys().all(|key| keys.contains(&key)) {
                continue;
            }
            found += 1;
            let problems = validator.iter_errors(&value);
            faults.extend(problems.map(|problem| format!("{at}: {}: {problem}", problem.instance_path())));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(found > 5, "only {found} configs were found");
}

#[test]
fn every_link_to_a_file_leads_somewhere() {
    let mut faults = Vec::new();
    for (path, text) in pages() {
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.contains("://") && !target.starts_with('#')) {
            let file = target.split('#').next().unwrap_or_default();
            if !path.parent().expect("a folder").join(Path::new(file)).exists() {
                faults.push(format!("{}: {target}", path.display()));
            }
        }
    }
    assert!(faults.is_empty(), "links lead nowhere:\n{}", faults.join("\n"));
}

/// A promise names its attackers, and they are there.
#[test]
fn every_test_that_the_architecture_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let mut sources = vec![root.clone()];
    let mut text = String::new();
    while let Some(folder) = sources.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                sources.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                text.push_str(&std::fs::read_to_string(&path).expect("text"));
            }
        }
    }
    let page = include_str!("../../../docs/ARCHITECTURE.md");
    let (_, promises) = page.split_once("## Promises, and the tests that attack them").expect("the table");
    let named: Vec<_> = promises.split('`').skip(1).step_by(2).filter_map(|span| span.rsplit("::").next()).collect();
    let tests: Vec<_> = named.into_iter().filter(|name| name.matches('_').count() >= 3).collect();
    assert!(tests.len() >= 12, "{tests:?}");
    for name in tests {
        assert!(text.contains(&format!("fn {name}(")), "there is no test {name}");
    }
}
