//! The scripts that complete commands in a shell.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::process::sever;
use crate::support::tools::run;

fn script(shell: &str) -> String {
    run(sever().args(["completions", shell])).expect(shell)
}

/// Runs it in bash, and returns what bash would offer after these words.
fn offered(words: &[&str]) -> String {
    let list = words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
    let (last, before) = (words.len() - 1, words[words.len() - 2]);
    let ask = format!(
        "{}\nCOMP_WORDS=({list}); COMP_CWORD={last}; _sever sever '{}' '{before}'; echo \"${{COMPREPLY[*]}}\"",
        script("bash"),
        words[last]
    );
    run(Command::new("bash").args(["--norc", "-c", &ask])).expect("bash")
}

#[test]
fn every_shell_has_a_script() {
    for (shell, mark) in [("bash", "complete -F _sever"), ("zsh", "#compdef sever"), ("fish", "complete -c sever")] {
        let script = script(shell);
        assert!(script.contains(mark) && script.contains("quarantine"), "{shell}: {script}");
    }
    let unknown = run(sever().args(["completions", "tcsh"]));
    assert!(!unknown.fine && unknown.err.contains("bash"), "{}", unknown.err);
}

#[test]
fn bash_can_read_its_script() {
    let mut bash =
        Command::new("bash").arg("-n").stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("bash runs");
    bash.stdin.take().expect("stdin").write_all(script("bash").as_bytes()).expect("written");
    let ended = bash.wait_with_output().expect("ended");
    assert!(ended.status.success() && ended.stderr.is_empty(), "{}", String::from_utf8_lossy(&ended.stderr));
}

#[test]
fn bash_offers_what_fits() {
    let commands = offered(&["sever", "qua"]);
    assert_eq!(commands.trim(), "quarantine");
    let options = offered(&["sever", "serve", "--"]);
    assert!(options.contains("--config") && options.contains("--log-format"), "{options}");
    let words = offered(&["sever", "serve", "--log-format", ""]);
    assert!(words.contains("json") && words.contains("text"), "{words}");
}
