//! A drain that is written down, at best: the bare client of `drain.rs`, and one thread that writes what the service writes of
//! each job, in group commits: the claim, the moment before the call with the person whom budgets count, the end, and
//! the record of the first and the last.
//!
//! The texts are those of a job that the service did. Nothing is decided: nobody is looked up, no name compared, no
//! budget asked and no digest chained.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::{Connection, Statement, params};
use tempfile::TempDir;
use tokio::sync::oneshot;

use crate::cpu::WRITER;
use crate::limit::LARGEST_BATCH;
use crate::rows::mixed;
use crate::service::Service;

/// Due jobs that are looked up at once.
const LOOKED_UP: i64 = 64;

/// What is written of a job.
enum Step {
    Claim,
    Call { row: i64, account: String },
    End { row: i64 },
}

/// With whoever waits for it: a claim is answered with its row at once, all else when it is on disk.
type Queued = (Step, oneshot::Sender<Option<i64>>);

/// The texts of a job that is done, each as the service has it.
#[derive(Clone)]
pub(crate) struct Texts {
    claimed: String,
    ended: String,
    note: Option<String>,
    accounts: String,
    names: Vec<u8>,
    uses: Vec<u8>,
}

impl Texts {
    /// Of a job of this store.
    pub(crate) fn of(store: &Path) -> Self {
        let connection = Connection::open(store).expect("a store");
        let text = |sql: &str| connection.query_row(sql, [], |row| row.get(0)).expect("a text");
        let bytes = |sql: &str| connection.query_row(sql, [], |row| row.get(0)).expect("bytes");
        Self {
            claimed: text("SELECT detail FROM audit WHERE event = 'claimed'"),
            ended: text("SELECT detail FROM audit WHERE event = 'done'"),
            note: connection.query_row("SELECT note FROM jobs", [], |row| row.get(0)).expect("a note"),
            accounts: text("SELECT accounts FROM budget_people"),
            names: bytes("SELECT names FROM budget_people"),
            uses: bytes("SELECT uses FROM budget_people"),
        }
    }
}

/// Takes steps to the thread that writes.
#[derive(Clone)]
pub(crate) struct Desk(SyncSender<Queued>);

impl Desk {
    /// The next job; `None`: there is none.
    pub(crate) async fn claim(&self) -> Option<i64> {
        self.ask(Step::Claim).await
    }

    /// Returns once it is on disk.
    pub(crate) async fn call(&self, row: i64, account: String) {
        self.ask(Step::Call { row, account }).await;
    }

    /// Returns once it is on disk.
    pub(crate) async fn end(&self, row: i64) {
        self.ask(Step::End { row }).await;
    }

    async fn ask(&self, step: Step) -> Option<i64> {
        let (reply, answer) = oneshot::channel();
        self.0.try_send((step, reply)).expect("room for every job in hand");
        answer.await.expect("an answer")
    }
}

/// The thread that writes, and its file.
pub(crate) struct Writer {
    pub(crate) desk: Desk,
    thread: JoinHandle<()>,
    file: PathBuf,
    _folder: TempDir,
}

impl Writer {
    /// Takes over what the service has queued.
    pub(crate) async fn take_over(service: Service, texts: Texts) -> Self {
        let (folder, file) = service.stop().await;
        let (desk, steps) = sync_channel(10_000);
        let path = file.clone();
        // By its name its time is told apart, as that of the service's own.
        let thread = std::thread::Builder::new().name(WRITER[0].to_owned());
        let thread = thread.spawn(move || write(&path, &texts, &steps)).expect("a thread");
        Self { desk: Desk(desk), thread, file, _folder: folder }
    }

    /// How large its store is in the end, in bytes. Every job has to be done there.
    pub(crate) fn finish(self, jobs: usize) -> u64 {
        drop(self.desk);
        self.thread.join().expect("the writer ended");
        let connection = Connection::open(&self.file).expect("a file");
        let done = "SELECT count(*) FROM jobs JOIN budget_people USING (seq) WHERE state = 4";
        let done: usize = connection.query_row(done, [], |row| row.get(0)).expect("counted");
        assert_eq!(done, jobs, "jobs that are done");
        std::fs::metadata(&self.file).expect("a file").len()
    }
}

fn write(file: &Path, texts: &Texts, steps: &Receiver<Queued>) {
    // The service's settings, but that each commit syncs by itself.
    let connection = Connection::open(file).expect("a file");
    connection.pragma_update(None, "synchronous", "full").expect("set");
    connection.pragma_update(None, "wal_autocheckpoint", 50_000).expect("set");
    connection.pragma_update(None, "cache_size", -16_000).expect("set");
    let mut begin = connection.prepare("BEGIN IMMEDIATE").expect("prepared");
    let mut commit = connection.prepare("COMMIT").expect("prepared");
    let mut statements = Statements::prepare(&connection, texts);
    let mut waiting = Vec::with_capacity(LARGEST_BATCH);
    while let Ok(first) = steps.recv() {
        begin.execute([]).expect("begun");
        let rest = std::iter::from_fn(|| steps.try_recv().ok());
        let (mut claims, mut ends) = (0, 0);
        for (step, reply) in std::iter::once(first).chain(rest).take(LARGEST_BATCH) {
            match step {
                Step::Claim => {
                    let row = statements.claim();
                    claims += i64::from(row.is_some());
                    let _ = reply.send(row);
                    continue;
                }
                Step::Call { row, account } => statements.call(row, &account),
                Step::End { row } => {
                    statements.end(row);
                    ends += 1;
                }
            }
            waiting.push(reply);
        }
        statements.count(claims, ends);
        commit.execute([]).expect("committed");
        for reply in waiting.drain(..) {
            let _ = reply.send(None);
        }
    }
    drop((statements, begin, commit));
    let _ = connection.pragma_update(None, "wal_checkpoint", "truncate");
}

/// The statements, ready.
struct Statements<'c> {
    texts: &'c Texts,
    due: VecDeque<(i64, Vec<u8>)>,
    /// Ids of those in hand, for the record.
    ids: HashMap<i64, Vec<u8>>,
    record: i64,
    look: Statement<'c>,
    lease: Statement<'c>,
    open: Statement<'c>,
    person: Statement<'c>,
    end: Statement<'c>,
    tell: Statement<'c>,
    count: Statement<'c>,
}

impl<'c> Statements<'c> {
    fn prepare(connection: &'c Connection, texts: &'c Texts) -> Self {
        let prepare = |sql: &str| connection.prepare(sql).expect("prepared");
        let record = connection.query_row("SELECT max(seq) FROM audit", [], |row| row.get(0)).expect("a record");
        Self {
            texts,
            due: VecDeque::new(),
            ids: HashMap::new(),
            record,
            // All jobs of the measurement are critical ones, and due.
            look: prepare(
                "SELECT seq, id, subject, request FROM jobs WHERE provider = 'okta' AND lane = 4 AND wake_at <= 4000000000000000
                 ORDER BY wake_at LIMIT ?1",
            ),
            lease: prepare("UPDATE jobs SET state = 1, lane = 6, wake_at = wake_at + 60000000, attempts = 1 WHERE seq = ?1"),
            open: prepare("UPDATE jobs SET account_id = ?2, call_open = 1, counted = 1 WHERE seq = ?1"),
            person: prepare("INSERT INTO budget_people (seq, accounts, names, uses) VALUES (?1, ?2, ?3, ?4)"),
            end: prepare(
                "UPDATE jobs SET state = 4, lane = severity, wake_at = NULL, outcome = 'confirmed', record = ?2, said = ?2,
                 note = ?3, call_open = 0, finished_at = received_at WHERE seq = ?1",
            ),
            tell: prepare(
                "INSERT INTO audit (seq, at, writer, event, job, actor, detail, hash)
                 VALUES (?1, 1800000000000000, 'bare', ?2, ?3, 'system', ?4, ?5)",
            ),
            count: prepare(
                "INSERT INTO job_counts (provider, state, jobs) VALUES ('okta', ?1, ?2)
                 ON CONFLICT DO UPDATE SET jobs = jobs + ?2",
            ),
        }
    }

    fn claim(&mut self) -> Option<i64> {
        if self.due.is_empty() {
            // What a worker has to know of a job is read, and comes no further.
            let read = |row: &rusqlite::Row<'_>| {
                let _: (String, String) = (row.get(2)?, row.get(3)?);
                Ok((row.get(0)?, row.get(1)?))
            };
            let rows = self.look.query_map([LOOKED_UP], read).expect("looked up");
            self.due.extend(rows.map(|row| row.expect("a job")));
        }
        let (row, id) = self.due.pop_front()?;
        self.lease.execute([row]).expect("leased");
        let texts = self.texts;
        self.tell("claimed", &id, &texts.claimed);
        self.ids.insert(row, id);
        Some(row)
    }

    fn call(&mut self, row: i64, account: &str) {
        self.open.execute(params![row, account]).expect("opened");
        // Digests are in no order.
        let names: Vec<u8> = (0..).flat_map(|place| mixed(row, place)).take(self.texts.names.len()).collect();
        self.person.execute(params![row, self.texts.accounts, names, self.texts.uses]).expect("counted");
    }

    fn end(&mut self, row: i64) {
        self.end.execute(params![row, self.record + 1, self.texts.note]).expect("ended");
        let id = self.ids.remove(&row).expect("in hand");
        let texts = self.texts;
        self.tell("done", &id, &texts.ended);
    }

    fn tell(&mut self, event: &str, job: &[u8], detail: &str) {
        self.record += 1;
        self.tell.execute(params![self.record, event, job, detail, mixed(self.record, 0)]).expect("told");
    }

    fn count(&mut self, claims: i64, ends: i64) {
        for (state, by) in [(0, -claims), (1, claims - ends), (4, ends)].into_iter().filter(|(_, by)| *by != 0) {
            self.count.execute([state, by]).expect("counted");
        }
    }
}
