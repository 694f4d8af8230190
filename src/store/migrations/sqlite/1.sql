-- Times are microseconds since 1970, UTC. `steady` ones never jump while a process runs (see clock.rs).
-- AUTOINCREMENT: the number of a pruned row is never given to another, so that a list, claim or cursor from before
-- cannot come to mean somebody else.

CREATE TABLE deliveries (
  seq         INTEGER PRIMARY KEY AUTOINCREMENT,
  source      TEXT    NOT NULL,
  delivery_id TEXT    NOT NULL,          -- the sender's id where it is signed, else a digest
  received_at INTEGER NOT NULL,          -- wall
  status      INTEGER NOT NULL,          -- 0 accepted, 1 ignored, 2 quarantined
  reason      TEXT,                      -- why it is in quarantine
  elements    TEXT,                      -- those that are in quarantine while the others act, as JSON; NULL: none
  headers     TEXT    NOT NULL,          -- an allow-list of headers, as JSON
  body        BLOB    NOT NULL,
  alerts      TEXT    NOT NULL           -- rows of alerts, as a JSON list
);
CREATE INDEX deliveries_ignored ON deliveries (received_at) WHERE status = 1;
CREATE INDEX deliveries_quarantined ON deliveries (source, seq) WHERE status = 2;

-- Half the key names the delivery id, half the body: the same id with another body is another delivery.
CREATE TABLE delivery_guards (
  key        BLOB    PRIMARY KEY,
  delivery   INTEGER NOT NULL,
  expires_at INTEGER                     -- wall; NULL where no time is signed: kept for ever
) WITHOUT ROWID;
CREATE INDEX delivery_guards_expiry ON delivery_guards (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE alerts (
  seq         INTEGER PRIMARY KEY AUTOINCREMENT,
  id          BLOB    NOT NULL UNIQUE,
  guard       BLOB    NOT NULL UNIQUE,   -- issuer and the sender's alert id
  issuer      TEXT    NOT NULL,
  source      TEXT    NOT NULL,
  external_id TEXT    NOT NULL,
  kind        TEXT    NOT NULL,
  severity    INTEGER NOT NULL,
  occurred_at INTEGER NOT NULL,          -- the sender's clock
  received_at INTEGER NOT NULL,          -- wall
  reason      TEXT,
  delivery    INTEGER NOT NULL,
  skipped     TEXT    NOT NULL           -- rules that made no job, with reasons, as JSON
);

CREATE TABLE alert_jobs (
  alert INTEGER NOT NULL,
  key   BLOB    NOT NULL,                -- provider, names exactly as given, scope, dry run
  job   INTEGER NOT NULL,
  PRIMARY KEY (alert, key)
) WITHOUT ROWID;
CREATE INDEX alert_jobs_by_job ON alert_jobs (job);

CREATE TABLE jobs (
  seq         INTEGER PRIMARY KEY AUTOINCREMENT,
  id          BLOB    NOT NULL UNIQUE,
  provider    TEXT    NOT NULL,
  state       INTEGER NOT NULL,          -- 0 queued, 1 leased, 2 proving, 3 held, 4 done, 5 dead, 6 cancelled
  severity    INTEGER NOT NULL,
  lane        INTEGER NOT NULL,          -- the order of claiming: the severity, 5 while proving, 6 while leased
  wake_at     INTEGER,                   -- steady; when it is due, or its lease ends; NULL while neither
  attempts    INTEGER NOT NULL DEFAULT 0,
  failures    INTEGER NOT NULL DEFAULT 0,
  absence     TEXT,                      -- what the last look did not find: account, sessions
  call_open   INTEGER NOT NULL DEFAULT 0, -- the attempt that began a call whose answer is not recorded; 0: none
  repeated    INTEGER NOT NULL DEFAULT 0, -- calls made although an earlier one may have been answered
  dry_run     INTEGER NOT NULL,
  approved    INTEGER NOT NULL DEFAULT 0,
  unread_ok   INTEGER NOT NULL DEFAULT 0, -- agreed to act on the chosen account although it cannot be read
  insisted    INTEGER NOT NULL DEFAULT 0, -- requeued by an operator: what was done before does not stand for it
  subject     TEXT    NOT NULL,
  subject_key BLOB    NOT NULL,          -- the names exactly as given
  request     TEXT    NOT NULL,
  rules       TEXT    NOT NULL,
  account_id  TEXT,
  chosen_id   TEXT,                      -- the account an operator chose
  outcome     TEXT,
  hold_reason TEXT,
  dead_reason TEXT,
  note        TEXT,
  record      INTEGER,                   -- the row of the audit record that tells the end of the latest attempt
  said        INTEGER,                   -- the row of the audit record that tells the provider's latest yes
  proof       TEXT,                      -- the sessions around the calls, as JSON
  proving     INTEGER NOT NULL DEFAULT 0, -- the provider has said yes; only looks are left
  merged_into BLOB,
  created_at  INTEGER NOT NULL,          -- steady
  held_since  INTEGER,                   -- steady
  held_total  INTEGER NOT NULL DEFAULT 0,
  finished_at INTEGER,                   -- wall
  received_at INTEGER NOT NULL,          -- wall, of the first alert
  occurred_at INTEGER NOT NULL,
  alert_id    BLOB    NOT NULL,          -- the first alert
  source      TEXT    NOT NULL
);
CREATE INDEX jobs_wake ON jobs (provider, lane, wake_at) WHERE wake_at IS NOT NULL;
-- Of every job, not only of queued ones: to take a job out again, at a random place, would cost each claim a page.
CREATE INDEX jobs_person ON jobs (subject_key);
-- Without the state, which changes with every step of a job.
CREATE INDEX jobs_account ON jobs (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX jobs_held ON jobs (provider, hold_reason) WHERE state = 3;
-- Each entry has the row's number as well, so that the newest of each state stand at its end.
CREATE INDEX jobs_ended ON jobs (state) WHERE finished_at IS NOT NULL;
CREATE INDEX jobs_finished ON jobs (finished_at) WHERE finished_at IS NOT NULL;

-- Kept in step by every transaction, so that counting costs nothing at any backlog.
CREATE TABLE job_counts (
  provider TEXT    NOT NULL,
  state    INTEGER NOT NULL,
  jobs     INTEGER NOT NULL,
  PRIMARY KEY (provider, state)
) WITHOUT ROWID;

CREATE TABLE quarantine_sizes (
  source  TEXT    PRIMARY KEY,
  entries INTEGER NOT NULL,
  bytes   INTEGER NOT NULL
) WITHOUT ROWID;

-- A provider that waits; an empty name means all of them. Closed spans stay for as long as finished jobs do: time that a
-- job spent behind one does not count towards give_up_after.
CREATE TABLE gates (
  seq       INTEGER PRIMARY KEY,
  provider  TEXT    NOT NULL,
  reason    TEXT    NOT NULL,
  note      TEXT    NOT NULL,
  closed_at INTEGER NOT NULL,            -- steady
  opened_at INTEGER                      -- steady; NULL while closed
);
CREATE UNIQUE INDEX gates_closed ON gates (provider, reason) WHERE opened_at IS NULL;
CREATE INDEX gates_opened ON gates (opened_at) WHERE opened_at IS NOT NULL;
CREATE INDEX gates_provider ON gates (provider);

-- What an attempt did and what the provider said stand here alone; jobs refer to it.
CREATE TABLE audit (
  seq     INTEGER PRIMARY KEY,
  at      INTEGER NOT NULL,
  writer  TEXT    NOT NULL,
  event   TEXT    NOT NULL,
  job     BLOB,
  alert   BLOB,
  actor   TEXT    NOT NULL,
  detail  TEXT    NOT NULL,
  hash    BLOB    NOT NULL,
  earlier INTEGER                        -- the row that tells the attempt before, of the same job
);

-- Providers that fail. A closed circuit has no row.
CREATE TABLE circuits (
  provider TEXT    PRIMARY KEY,
  state    INTEGER NOT NULL,             -- 1 open, 2 half open
  note     TEXT    NOT NULL,
  since    INTEGER NOT NULL,             -- steady
  until    INTEGER NOT NULL,             -- steady; left alone until then, or the end of the trial's lease
  wait     INTEGER NOT NULL,             -- microseconds, of the latest opening
  trial    BLOB                          -- the latest, while nobody knows how it ended
) WITHOUT ROWID;
-- Budgets and four eyes: who was acted on of late, and what people agreed to.

ALTER TABLE jobs ADD COLUMN counted     INTEGER NOT NULL DEFAULT 0; -- the budgets have counted its person
ALTER TABLE jobs ADD COLUMN past_budget INTEGER NOT NULL DEFAULT 0; -- a person let it go on past the budgets
ALTER TABLE jobs ADD COLUMN alike_ok    INTEGER NOT NULL DEFAULT 0; -- agreed to after a name of the account was seen to look protected
ALTER TABLE jobs ADD COLUMN asked_by    TEXT;                       -- operators who asked for it or requeued it, as a JSON list

-- People whom a budget counts now. One has at most one account at each provider. Read at the start, see people.rs.
CREATE TABLE budget_people (
  seq      INTEGER PRIMARY KEY,
  accounts TEXT NOT NULL,                -- the account's id by provider, as JSON
  names    BLOB NOT NULL,                -- digests of 16 bytes: addresses that their accounts have, or an account
  uses     BLOB NOT NULL                 -- budget (what it counts and in how long, as a digest) and until when it counts
                                         -- them (steady), 8 bytes each, as often as there are budgets
);

-- Seals and stubs of the audit record. Each text is the signed statement as JSON, as the operator API shows it.
CREATE TABLE audit_seals (
  number INTEGER PRIMARY KEY,
  at     INTEGER NOT NULL,               -- wall
  text   TEXT    NOT NULL
);
-- What stands for rows that were removed from the beginning of a writer's chain.
CREATE TABLE audit_stubs (
  writer TEXT    PRIMARY KEY,
  seq    INTEGER NOT NULL,               -- the last row that was removed
  text   TEXT    NOT NULL
) WITHOUT ROWID;

-- Messages that are to leave, made in the transaction of the change that they tell of. Those that were taken are gone.
CREATE TABLE outbox (
  seq        INTEGER PRIMARY KEY AUTOINCREMENT,
  id         TEXT    NOT NULL,           -- the same in every attempt
  target     TEXT    NOT NULL,
  kind       TEXT    NOT NULL,
  body       TEXT    NOT NULL,           -- JSON
  made_at    INTEGER NOT NULL,           -- steady
  created_at INTEGER NOT NULL,           -- wall
  attempts   INTEGER NOT NULL DEFAULT 0,
  due_at     INTEGER,                    -- steady; also when its lease ends; NULL: given up
  note       TEXT                        -- what went wrong last
);
CREATE INDEX outbox_due ON outbox (target, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX outbox_dead ON outbox (seq) WHERE due_at IS NULL;
-- What is gathered for one message about many jobs.
CREATE TABLE outbox_groups (
  target  TEXT    NOT NULL,
  kind    TEXT    NOT NULL,
  count   INTEGER NOT NULL,
  since   INTEGER NOT NULL,              -- wall
  reasons TEXT    NOT NULL,              -- how many for each reason, as JSON
  jobs    TEXT    NOT NULL,              -- some of them, as JSON
  due_at  INTEGER,                       -- steady; NULL: nothing is gathered
  last_at INTEGER,                       -- steady; when the last message was made
  PRIMARY KEY (target, kind)
) WITHOUT ROWID;

-- Traces of the alerts behind a job: `traceparent`, one a line, the first with its `tracestate` behind a blank.
ALTER TABLE jobs ADD COLUMN traces TEXT; -- NULL: none
