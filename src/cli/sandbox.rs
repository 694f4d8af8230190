//! `sever sandbox`: the strict stand-ins of the providers alone, to try alerts and clients against.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::{Args, ValueEnum};
use serde_json::json;

use super::init::{SECRET_MODE, random_word, write_new};
use super::place::{self, Place};
use super::stop::Stop;
use super::{Failure, Outcome, block_on, out};
use crate::clock::SystemClock;
use crate::sandbox::Sandbox;
use crate::sandbox::faults::{Fault, Injection};
use crate::sandbox::okta::Operation;

/// What each person begins with.
const SESSIONS: usize = 2;

/// People who are shown by name; the control API lists all of them.
const SHOWN: usize = 3;

/// Arguments of `sever sandbox`.
#[derive(Debug, Args)]
pub(super) struct SandboxArgs {
    /// Address of the control API; Okta, Slack, Mattermost, Huawei Cloud and The Things Stack get the ports after it.
    /// Port 0 gives each any free port
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// How many people there are, each with two sessions
    #[arg(long, value_name = "N", default_value_t = 10)]
    people: usize,
    /// Carry each call out this much later, for example 20ms
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    latency: Option<Duration>,
    /// Misbehave: so many times, or until told otherwise over the control API. May be given several times
    #[arg(long, value_name = "throttle|error|lost-call|lost-answer|lie[:TIMES]")]
    fail: Vec<Failing>,
    /// The API token that Okta takes; left out, a fresh one
    #[arg(long, value_name = "TOKEN")]
    okta_token: Option<String>,
    /// Write the `providers:` of a config to this file, with the credentials that the stand-ins take
    #[arg(long, value_name = "FILE")]
    providers_file: Option<PathBuf>,
    /// Print the addresses as one line of JSON, for programs
    #[arg(long)]
    json: bool,
}

/// A way to misbehave, and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Failing {
    way: Way,
    times: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Way {
    /// 429 that names a time five seconds away.
    Throttle,
    /// 503.
    Error,
    /// A revocation is not carried out, and the connection is closed.
    LostCall,
    /// A revocation is carried out, and the connection is closed.
    LostAnswer,
    /// A revocation is not carried out, and success is reported.
    Lie,
}

impl FromStr for Failing {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (way, times) = match text.split_once(':') {
            Some((way, times)) => {
                let times = times.parse().map_err(|_| format!("{times:?} is not a number of times"))?;
                (way, Some(times))
            }
            None => (text, None),
        };
        let way = Way::from_str(way, false)
            .map_err(|_| format!("{way:?} is none of throttle, error, lost-call, lost-answer, lie"))?;
        Ok(Self { way, times })
    }
}

impl Failing {
    fn injection(self) -> Injection<Operation> {
        let ending = |fault| Injection::once(fault).on(Operation::RevokeUserSessions);
        let injection = match self.way {
            Way::Throttle => Injection::once(Fault::RateLimit { reset_in_s: 5 }),
            Way::Error => Injection::once(Fault::Error { status: 503, code: "E0000010".to_owned() }),
            Way::LostCall => ending(Fault::LostBefore),
            Way::LostAnswer => ending(Fault::LostAfter),
            Way::Lie => ending(Fault::LyingSuccess),
        };
        match self.times {
            Some(times) => injection.times(times),
            None => injection.until_cleared(),
        }
    }
}

pub(super) fn run(args: SandboxArgs) -> Outcome {
    block_on(serve(args))?
}

async fn serve(args: SandboxArgs) -> Outcome {
    let mut stop = Stop::new()?;
    let token = match &args.okta_token {
        Some(token) if token.is_empty() => return Err(Failure::Usage(anyhow!("--okta-token is empty; name a token"))),
        Some(token) => token.clone(),
        None => random_word()?,
    };
    let sandbox = Sandbox::start(args.listen, Arc::new(SystemClock::new()))
        .await
        .with_context(|| format!("cannot listen on {} and the ports after it; choose --listen", args.listen))?;
    let places = Place::all(&sandbox);
    let mut described = json!({"control": sandbox.control_url()});
    let mut config = String::from("providers:\n");
    for place in &places {
        let mut secrets = place.admit_us()?;
        if matches!(place, Place::Okta(_)) {
            secrets = vec![token.clone()];
        }
        populate(place, args.people);
        let secrets: Vec<String> = secrets.iter().map(|secret| format!("{{value: {secret}}}")).collect();
        config.push_str(&place.settings(&secrets));
        described[place.name()] = json!({"url": place.url()});
    }
    misbehave(&sandbox, &args, &token);
    if let Some(file) = &args.providers_file {
        write_new(file, &config, SECRET_MODE).context("choose another --providers-file, or remove the old one")?;
    }
    described["okta"]["api_token"] = json!(token);
    described["providers"] = json!(config);
    if args.json {
        out(&described.to_string());
    } else {
        describe(&sandbox, &config);
    }
    stop.told().await;
    sandbox.shutdown().await;
    Ok(())
}

fn populate(place: &Place, people: usize) {
    for number in 1..=people {
        let email = format!("person{number}@example.com");
        place.move_in(&place::Person { email: &email, login: &email, sessions: SESSIONS });
    }
}

fn misbehave(sandbox: &Sandbox, args: &SandboxArgs, token: &str) {
    let okta = sandbox.okta();
    okta.accept_ssws(token, place::ADMIN);
    if let Some(latency) = args.latency {
        let duration_ms = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
        okta.faults().inject(Injection::once(Fault::Latency { duration_ms }).until_cleared());
    }
    args.fail.iter().for_each(|failing| okta.faults().inject(failing.injection()));
}

fn describe(sandbox: &Sandbox, config: &str) {
    let (okta, control) = (sandbox.okta(), sandbox.control_url());
    out("For a config:");
    out("");
    out(config);
    out(&format!("control   {control}"));
    let people = okta.people();
    for person in people.iter().take(SHOWN + 1) {
        let sessions = okta.sessions_of(&person.id);
        out(&format!("person    {}  {}  {sessions} sessions", person.id, person.login));
    }
    out(&format!("          {} people in all", people.len()));
    out("");
    out("Whom it knows, and who is signed in, at Okta; slack/people and so on for the others:");
    out(&format!("  curl {control}/_sandbox/people"));
    out("What was called, and what that changed:");
    out(&format!("  curl {control}/_sandbox/ledger"));
    out("Sign somebody in again:");
    let signed_in = r#"{"user":"person1@example.com","count":3}"#;
    out(&format!("  {}", post(&control, "sessions", signed_in)));
    for (what, body) in SWITCHES {
        out(&format!("{what}:"));
        out(&format!("  {}", post(&control, "faults", body)));
    }
    out("Behave again:");
    out(&format!("  curl -X DELETE {control}/_sandbox/faults"));
    out("");
    out("Ctrl-C ends it.");
}

fn post(control: &str, what: &str, body: &str) -> String {
    format!("curl -H 'content-type: application/json' -d '{body}' {control}/_sandbox/{what}")
}

/// Each switch with the body that sets it.
const SWITCHES: [(&str, &str); 6] = [
    (
        "Answer half a second later, from now on",
        r#"{"fault":{"kind":"latency","duration_ms":500},"until_cleared":true}"#,
    ),
    ("Throttle the next two calls for 5 seconds", r#"{"fault":{"kind":"rate_limit","reset_in_s":5},"times":2}"#),
    ("Answer the next call with 503", r#"{"fault":{"kind":"error","status":503,"code":"E0000010"}}"#),
    ("Lose the next revocation on its way in", r#"{"fault":{"kind":"lost_before"},"on":"revokeUserSessions"}"#),
    ("Lose the answer of the next revocation", r#"{"fault":{"kind":"lost_after"},"on":"revokeUserSessions"}"#),
    ("Lie about the next revocation", r#"{"fault":{"kind":"lying_success"},"on":"revokeUserSessions"}"#),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_to_fail_are_read_with_their_number() {
        assert_eq!("lie".parse(), Ok(Failing { way: Way::Lie, times: None }));
        assert_eq!("lost-answer:3".parse(), Ok(Failing { way: Way::LostAnswer, times: Some(3) }));
        for wrong in ["", "lies", "lie:", "lie:x", ":3"] {
            assert!(wrong.parse::<Failing>().is_err(), "{wrong:?} was taken");
        }
    }
}
