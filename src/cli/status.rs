//! `sever status`: what is still open.

use clap::Args;

use super::client::{Remote, Watch};
use super::text::{Sheet, length, moment, number};
use super::{Outcome, block_on, words};
use crate::domain::{JobState, ProviderName};
use crate::store::{BudgetView, ReplicaView, ShareView, StatusView};

/// Arguments of `sever status`.
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    watch: Watch,
}

pub(super) fn run(args: &StatusArgs) -> Outcome {
    let api = args.remote.api()?;
    block_on(args.watch.show(&args.remote, async || api.get("/v1/status", &[]).await, sheet))?
}

fn sheet(status: &StatusView) -> Sheet {
    let mut sheet = Sheet::of(headline(status));
    jobs(&mut sheet, status);
    held(&mut sheet, status);
    budgets(&mut sheet, status);
    gates(&mut sheet, status);
    circuits(&mut sheet, status);
    quarantine(&mut sheet, status);
    messages(&mut sheet, status);
    replicas(&mut sheet, status);
    sheet
}

/// One process alone shares with nobody.
fn replicas(sheet: &mut Sheet, status: &StatusView) {
    if status.replicas.len() < 2 {
        return;
    }
    let row = |replica: &ReplicaView| {
        let roles: Vec<_> = replica.roles.iter().map(|role| role.as_str()).collect();
        let id = replica.id.clone();
        vec![id, roles.join(", "), replica.version.clone(), moment(replica.started_at), moment(replica.seen_at)]
    };
    sheet.line("Alive:");
    sheet.table(&["REPLICA", "does", "version", "since", "seen"], status.replicas.iter().map(row));
    let row = |(provider, share): (&ProviderName, &ShareView)| {
        let rate = share.rate.map_or("as the provider asks".to_owned(), |rate| rate.to_string());
        vec![provider.to_string(), share.concurrency.to_string(), rate]
    };
    sheet.line(format!("Each of {} takes of the limits:", number(status.workers().into(), "worker", "workers")));
    sheet.table(&["PROVIDER", "at once", "calls"], status.shares.iter().map(row));
}

fn messages(sheet: &mut Sheet, status: &StatusView) {
    let rows = status.notify.iter().map(|(target, found)| {
        let since = found.waiting_since.map(moment).unwrap_or_default();
        let note = found.note.clone().unwrap_or_default();
        vec![target.to_string(), found.waiting.to_string(), found.dead.to_string(), since, note]
    });
    sheet.table(&["NOT TOLD", "waiting", "given up", "since", "what went wrong last"], rows);
}

fn headline(status: &StatusView) -> String {
    let open: u64 = JobState::ALL.iter().filter(|state| !state.is_final()).map(|state| count(status, *state)).sum();
    let kept: u64 = status.quarantine.values().sum();
    let dead = match count(status, JobState::Dead) {
        0 => String::new(),
        dead => format!(" Given up: {dead} (`sever jobs --state dead`)."),
    };
    if open == 0 && kept == 0 && status.gates.is_empty() && status.circuits.is_empty() {
        format!("Nothing is open.{dead}")
    } else {
        let jobs = number(open, "job", "jobs");
        let gates = number(status.gates.len() as u64, "closed gate", "closed gates");
        let kept = number(kept, "delivery", "deliveries");
        format!("Open: {jobs}, {gates}, {kept} in quarantine.{dead}")
    }
}

fn count(status: &StatusView, state: JobState) -> u64 {
    status.jobs.values().filter_map(|states| states.get(&state)).sum()
}

fn jobs(sheet: &mut Sheet, status: &StatusView) {
    let mut head = vec!["PROVIDER"];
    head.extend(JobState::ALL.iter().map(|state| state.as_str()));
    head.push("oldest due");
    let rows = status.jobs.iter().map(|(provider, states)| {
        let count = |state| states.get(state).copied().unwrap_or_default().to_string();
        // Below a second it is nobody's concern.
        let due = status.oldest_due_seconds.get(provider).filter(|seconds| **seconds >= 1.0);
        let mut row = vec![provider.to_string()];
        row.extend(JobState::ALL.iter().map(count));
        row.push(due.map(|seconds| length(*seconds as u64)).unwrap_or_default());
        row
    });
    sheet.table(&head, rows);
}

fn held(sheet: &mut Sheet, status: &StatusView) {
    let rows = status.held.iter().flat_map(|(provider, reasons)| {
        reasons.iter().map(move |(reason, count)| vec![provider.to_string(), reason.to_string(), count.to_string()])
    });
    let rows: Vec<_> = rows.collect();
    if !rows.is_empty() {
        sheet.line("Held (`sever jobs --state held`):");
    }
    sheet.table(&["PROVIDER", "WAITS FOR", "JOBS"], rows);
}

/// Those that nothing was counted by are nobody's concern.
fn budgets(sheet: &mut Sheet, status: &StatusView) {
    let used: Vec<_> = status.budgets.iter().filter(|budget| budget.used > 0).collect();
    if !used.is_empty() {
        sheet.line("People counted by budgets:");
    }
    let row = |budget: &&BudgetView| {
        let reserve = budget.reserve.as_ref();
        let kept = reserve.map(|it| format!("{} of them for {} and above", it.users, it.severity.as_str()));
        vec![format!("{} of {}", budget.used, budget.users), words::budget(budget), kept.unwrap_or_default()]
    };
    sheet.table(&[], used.iter().map(row));
}

fn gates(sheet: &mut Sheet, status: &StatusView) {
    if !status.gates.is_empty() {
        sheet.line("Not called:");
    }
    let rows = status.gates.iter().map(|gate| {
        let provider = gate.provider.as_ref().map_or("every provider".to_owned(), ToString::to_string);
        vec![provider, words::gate(gate), format!("since {}", moment(gate.since))]
    });
    sheet.table(&[], rows);
}

fn circuits(sheet: &mut Sheet, status: &StatusView) {
    if !status.circuits.is_empty() {
        sheet.line("Failing, tried again by one job at a time:");
    }
    let rows = status.circuits.iter().map(|circuit| {
        vec![circuit.provider.to_string(), circuit.note.clone(), format!("since {}", moment(circuit.since))]
    });
    sheet.table(&[], rows);
}

fn quarantine(sheet: &mut Sheet, status: &StatusView) {
    let kept: Vec<_> = status.quarantine.iter().filter(|(_, count)| **count > 0).collect();
    if !kept.is_empty() {
        sheet.line("In quarantine (`sever quarantine list`):");
    }
    sheet.table(&["SOURCE", "DELIVERIES"], kept.iter().map(|(source, n)| vec![source.to_string(), n.to_string()]));
}
