//! `sever revoke`: ends a person's sessions now, without an alert, and waits for what comes of it.

use std::collections::BTreeMap;
use std::str::FromStr;

use anyhow::anyhow;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::client::Remote;
use super::wait::{self, Stopwatch};
use super::{Failure, Outcome, block_on, out, receipt};
use crate::domain::{AlertSubject, ProviderName, ScopeKind, SessionRef, TeamSession};
use crate::settings;
use crate::store::Receipt;

/// Arguments of `sever revoke`.
#[derive(Debug, Args)]
pub(super) struct RevokeArgs {
    /// The e-mail address
    #[arg(long, required_unless_present_any = ["username", "id"])]
    email: Option<String>,
    /// The user name
    #[arg(long)]
    username: Option<String>,
    /// The account's id at a provider, as okta=00ub0oNGTSWTBKOLGLNR; may be given for several
    #[arg(long, value_name = "PROVIDER=ID")]
    id: Vec<Named<String>>,
    /// Where; may be given several times [default: every provider that has the scope]
    #[arg(long, value_name = "PROVIDER")]
    provider: Vec<ProviderName>,
    /// Which sessions [default: all, or sessions where --session is given]
    #[arg(long, value_enum)]
    scope: Option<ScopeWord>,
    /// One session, as chat=a1b2c3 or, with its workspace, slack=4026531840001@T0123ABCD; may be given several times
    #[arg(long, value_name = "PROVIDER=SESSION[@TEAM]")]
    session: Vec<Named<SessionRef>>,
    /// Whether OAuth tokens end too (Okta) [default: as the config says]
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    oauth_tokens: Option<bool>,
    /// Whether remembered devices are forgotten too (Okta) [default: as the config says]
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    forget_devices: Option<bool>,
    /// Find the account and judge it, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// Why, for the audit record
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// The same for repeats of one request, so that they count once [default: a new one]
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Wait until every job is done, dead, held or cancelled; fail unless every one is done well
    #[arg(long)]
    wait: bool,
    /// How long to wait at most
    #[arg(long, value_name = "TIME", default_value = "60s", requires = "wait")]
    timeout: settings::Duration,
    #[command(flatten)]
    remote: Remote,
}

/// The words of [`ScopeKind`], for the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum ScopeWord {
    All,
    Web,
    Mobile,
    Sessions,
}

impl From<ScopeWord> for ScopeKind {
    fn from(word: ScopeWord) -> Self {
        match word {
            ScopeWord::All => Self::All,
            ScopeWord::Web => Self::Web,
            ScopeWord::Mobile => Self::Mobile,
            ScopeWord::Sessions => Self::Sessions,
        }
    }
}

/// Something at a provider.
#[derive(Debug, Clone)]
struct Named<T> {
    provider: ProviderName,
    what: T,
}

fn split(text: &str) -> Result<(ProviderName, &str), String> {
    let (provider, what) = text.split_once('=').ok_or("write it as PROVIDER=…, for example okta=00u1")?;
    let provider = provider.parse().map_err(|error: crate::domain::NameError| error.to_string())?;
    Ok((provider, what))
}

impl FromStr for Named<String> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (provider, id) = split(text)?;
        Ok(Self { provider, what: id.to_owned() })
    }
}

impl FromStr for Named<SessionRef> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (provider, session) = split(text)?;
        let what = match session.rsplit_once('@') {
            Some((id, team_id)) => SessionRef::InTeam(TeamSession { id: id.to_owned(), team_id: team_id.to_owned() }),
            None => SessionRef::Id(session.to_owned()),
        };
        Ok(Self { provider, what })
    }
}

pub(super) fn run(args: &RevokeArgs) -> Outcome {
    let request = request(args)?;
    block_on(revoke(args, &request))?
}

async fn revoke(args: &RevokeArgs, request: &Value) -> Outcome {
    let api = args.remote.api()?;
    let watch = Stopwatch::start(args.timeout.0);
    let key = args.idempotency_key.as_deref();
    let headers: Vec<_> = key.map(|key| ("idempotency-key", key)).into_iter().collect();
    let answer = api.post_with("/v1/revocations", request, &headers).await?;
    let receipt: Receipt = answer.read()?;
    if args.remote.is_json() {
        out(&answer.json());
    } else {
        receipt::sheet(&receipt).print();
    }
    if args.wait { wait::until_settled(&api, &receipt, &watch, args.remote.is_json()).await } else { Ok(()) }
}

fn request(args: &RevokeArgs) -> Result<Value, Failure> {
    let mut sessions: BTreeMap<ProviderName, Vec<SessionRef>> = BTreeMap::new();
    for session in &args.session {
        sessions.entry(session.provider.clone()).or_default().push(session.what.clone());
    }
    let scope = match args.scope {
        Some(scope) => scope.into(),
        None if sessions.is_empty() => ScopeKind::All,
        None => ScopeKind::Sessions,
    };
    if scope != ScopeKind::Sessions && !sessions.is_empty() {
        return Err(Failure::Usage(anyhow!("--session names what ends; leave --scope out, or use --scope sessions")));
    }
    let mut ids = BTreeMap::new();
    for id in &args.id {
        if ids.insert(id.provider.clone(), id.what.clone()).is_some() {
            return Err(Failure::Usage(anyhow!(
                "--id is given twice for {}; revoke for one person at a time",
                id.provider
            )));
        }
    }
    let subject = AlertSubject { email: args.email.clone(), username: args.username.clone(), ids, sessions };
    let mut body = json!({"subject": subject, "scope": scope, "dry_run": args.dry_run, "reason": args.reason});
    if !args.provider.is_empty() {
        body["providers"] = json!(args.provider);
    }
    for (name, flag) in [("oauth_tokens", args.oauth_tokens), ("forget_devices", args.forget_devices)] {
        if let Some(flag) = flag {
            body[name] = json!(flag);
        }
    }
    Ok(body)
}
