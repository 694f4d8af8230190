//! `sever audit verify`: computes every hash again, and holds the record against what was signed.
//!
//! With `-c` it reads the store itself, beside a running service or without one; otherwise it asks the API for every row,
//! and believes nothing of what it is told but what the keys given here signed.

use std::path::PathBuf;

use anyhow::anyhow;
use clap::Args;
use serde_json::{Value, json};

use super::pages::each;
use super::seals::from_file;
use crate::audit::{Check, PublicKey, PublicKeys, Report, Seal, Signed, Stub};
use crate::cli::client::{Api, ApiError, Remote};
use crate::cli::text::{Sheet, moment, number, plain_json};
use crate::cli::{Failure, Outcome, block_on, out};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Document};
use crate::settings::SecretRef;
use crate::store::{AuditView, Page, read_audit};

/// Old rows may be removed while they are read; then it is begun anew.
const TRIES: u32 = 3;

/// Arguments of `sever audit verify`.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// Read the store that this config names, not the API; its `audit` names the keys
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["url", "token_file"])]
    config: Option<PathBuf>,
    /// A public key to believe, in PEM; may be given several times
    #[arg(long, value_name = "FILE")]
    public_key: Vec<PathBuf>,
    /// A seal that was kept elsewhere: what it vouches for has to be there; may be given several times
    #[arg(long, value_name = "FILE")]
    seal: Vec<PathBuf>,
    #[command(flatten)]
    remote: Remote,
}

pub(super) fn run(args: &VerifyArgs) -> Outcome {
    let mut copies = Vec::new();
    for path in &args.seal {
        copies.extend(from_file(path)?.into_iter().map(|seal| (path.display().to_string(), seal)));
    }
    let given = args.given_keys()?;
    let report = match &args.config {
        Some(path) => block_on(from_store(path, given, &copies))??,
        None => block_on(from_api(&args.remote.api()?, &given, &copies))??,
    };
    tell(args, &report);
    if report.is_fine() {
        return Ok(());
    }
    let findings = number(report.findings.len() as u64 + report.more, "finding", "findings");
    let mend = "keep a copy of the store as it is now, and compare it with a backup and with the seals in shipped logs";
    Err(Failure::Failed(anyhow!("the record is not what was written: {findings}; {mend}")))
}

impl VerifyArgs {
    fn given_keys(&self) -> Result<PublicKeys, Failure> {
        let read = |path: &PathBuf| {
            let text = SecretRef::File(path.clone()).resolve().map_err(|error| Failure::Usage(anyhow!(error)))?;
            let wrong = |error| Failure::Usage(anyhow!("{}: {error}", path.display()));
            PublicKey::from_pem(text.expose()).map_err(wrong)
        };
        self.public_key.iter().map(read).collect()
    }
}

/// Without a key, a seal is a piece of text.
fn need_keys(keys: &PublicKeys, is_sealed: bool) -> Result<(), Failure> {
    if keys.is_empty() && is_sealed {
        let message = "the record is sealed: name the public key with --public-key, or the config with -c";
        return Err(Failure::Usage(anyhow!(message)));
    }
    Ok(())
}

async fn from_store(
    path: &std::path::Path,
    given: PublicKeys,
    copies: &[(String, Signed<Seal>)],
) -> Result<Report, Failure> {
    let usage = |problems| Failure::Usage(anyhow!("{problems}"));
    let document = Document::load(path).map_err(usage)?;
    let config: Config = document.decode().map_err(usage)?;
    let keys = match config.audit.keys() {
        Ok(keys) => keys.believed.and(given),
        // Whoever checks need not be able to sign.
        Err(_) if !given.is_empty() => given,
        Err(problems) => {
            let told: Vec<_> = problems.into_iter().map(|(path, message)| format!("{path}: {message}")).collect();
            return Err(Failure::Usage(anyhow!("{}; or name the public key with --public-key", told.join("; "))));
        }
    };
    let url = config.store.locate().map_err(|message| Failure::Usage(anyhow!("store: {message}")))?;
    let reader = read_audit(&url).await?;
    need_keys(&keys, reader.is_sealed().await? || !copies.is_empty())?;
    let mut check = Check::new(&keys);
    copies.iter().for_each(|(name, seal)| check.copy(seal.clone(), name));
    reader.check(&mut check).await?;
    Ok(check.finish(SystemClock::new().now()))
}

async fn from_api(api: &Api, keys: &PublicKeys, copies: &[(String, Signed<Seal>)]) -> Result<Report, Failure> {
    for _ in 0..TRIES {
        if let Some(report) = read_api(api, keys, copies).await? {
            return Ok(report);
        }
    }
    let message = "old rows are being removed faster than the record can be read; try again, or use -c on its machine";
    Err(Failure::Failed(anyhow!(message)))
}

/// `None`: rows were removed meanwhile. Seals are read before the rows that they vouch for, and those that were made since
/// after them.
async fn read_api(api: &Api, keys: &PublicKeys, copies: &[(String, Signed<Seal>)]) -> Result<Option<Report>, Failure> {
    let mut seals: Vec<Signed<Seal>> = Vec::new();
    let keep = |seal| {
        seals.push(seal);
        true
    };
    each(api, "/v1/audit/seals", &[], "cursor", keep).await?;
    let stubs = stubs(api).await?;
    need_keys(keys, !seals.is_empty() || !stubs.is_empty() || !copies.is_empty())?;
    let newest = seals.first().map_or(0, |seal| seal.statement.number);
    let mut check = Check::new(keys);
    stubs.iter().for_each(|stub| check.stub(stub));
    seals.into_iter().rev().for_each(|seal| check.seal(seal));
    copies.iter().for_each(|(name, seal)| check.copy(seal.clone(), name));
    each(api, "/v1/audit", &[], "after", |row: AuditView| {
        let seq = row.seq;
        match row.row() {
            Some(row) => check.row(&row),
            None => check.unreadable(seq, "its hash is none"),
        }
        true
    })
    .await?;
    each(api, "/v1/audit/seals", &[], "cursor", |seal: Signed<Seal>| {
        let is_later = seal.statement.number > newest;
        if is_later {
            check.later_seal(&seal);
        }
        is_later
    })
    .await?;
    let is_steady = self::stubs(api).await? == stubs;
    Ok(is_steady.then(|| check.finish(SystemClock::new().now())))
}

async fn stubs(api: &Api) -> Result<Vec<Signed<Stub>>, ApiError> {
    let page: Page<Signed<Stub>> = api.get("/v1/audit/stubs", &[]).await?.read()?;
    Ok(page.items)
}

fn tell(args: &VerifyArgs, report: &Report) {
    if args.remote.is_json() {
        out(&plain_json(&as_json(report).to_string()));
    } else {
        sheet(report, args.seal.is_empty()).print();
    }
}

fn as_json(report: &Report) -> Value {
    let findings: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    json!({
        "fine": report.is_fine(),
        "rows": report.rows,
        "removed": report.removed,
        "seals": report.seals,
        "newest_seal": report.newest.map(|(number, at)| json!({"number": number, "at": at})),
        "unsealed_rows": report.unsealed,
        "unsealed_since": report.unsealed_since,
        "findings": findings,
        "more_findings": report.more,
    })
}

fn sheet(report: &Report, without_copy: bool) -> Sheet {
    let rows = number(report.rows, "row", "rows");
    let mut sheet = Sheet::of(if report.is_fine() {
        format!("The record is what was written: {rows}.")
    } else {
        format!("The record is not what was written: {rows}.")
    });
    report.findings.iter().for_each(|finding| sheet.line(format_args!("  {finding}")));
    if report.more > 0 {
        sheet.line(format_args!("  and {} more", report.more));
    }
    let newest = report.newest.map(|(number, at)| format!("{number}, of {}", moment(at)));
    let since = report.unsealed_since.map(|at| format!(", since {}", moment(at))).unwrap_or_default();
    let unsealed = (report.unsealed > 0).then(|| format!("{}{since}", number(report.unsealed, "row", "rows")));
    let removed =
        (report.removed > 0).then(|| format!("{}, with a stub in their place", number(report.removed, "row", "rows")));
    sheet.facts(&[
        ("seals", report.seals.to_string()),
        ("newest seal", newest.unwrap_or_default()),
        ("not sealed yet", unsealed.unwrap_or_default()),
        ("removed by age", removed.unwrap_or_default()),
    ]);
    if report.seals == 0 {
        sheet.line("No seal vouches for it: whoever can write to the store could have made it anew.");
    } else if without_copy {
        sheet.line("Whether the end was cut off since shows only a seal that was kept elsewhere: use --seal.");
    }
    sheet
}
