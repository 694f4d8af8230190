-- Times are microseconds since 1970, UTC, by the clock of this server. No foreign keys: each transaction keeps its rows
-- in step, and pruning stays cheap.

-- Numbers of rows come from sequences and are asked for before the rows are written, so that rows can name each other.
CREATE SEQUENCE deliveries_seq;
CREATE SEQUENCE alerts_seq;
CREATE SEQUENCE jobs_seq;
-- Taken in blocks, one for each transaction.
CREATE SEQUENCE audit_seq INCREMENT BY 1024;

CREATE TABLE deliveries (
  seq         bigint   PRIMARY KEY,
  source      text     NOT NULL,
  delivery_id text     NOT NULL,         -- the sender's id where it is signed, else a digest
  received_at bigint   NOT NULL,
  status      smallint NOT NULL,         -- 0 accepted, 1 ignored, 2 quarantined
  reason      text,                      -- why it is in quarantine
  elements    text,                      -- those that are in quarantine while the others act, as JSON; NULL: none
  headers     text     NOT NULL,         -- an allow-list of headers, as JSON
  body        bytea    NOT NULL,
  alerts      bigint[] NOT NULL          -- rows of alerts
);
CREATE INDEX deliveries_ignored ON deliveries (received_at) WHERE status = 1;
CREATE INDEX deliveries_quarantined ON deliveries (seq) WHERE status = 2;
CREATE INDEX deliveries_accepted ON deliveries (seq) WHERE status = 0;

-- Half the key names the delivery id, half the body: the same id with another body is another delivery.
CREATE TABLE delivery_guards (
  key        bytea  PRIMARY KEY,
  delivery   bigint NOT NULL,
  expires_at bigint                      -- NULL where no time is signed: kept for ever
);
CREATE INDEX delivery_guards_expiry ON delivery_guards (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE alerts (
  seq         bigint   PRIMARY KEY,
  id          uuid     NOT NULL UNIQUE,
  guard       bytea    NOT NULL UNIQUE,  -- issuer and the sender's alert id
  issuer      text     NOT NULL,
  source      text     NOT NULL,
  external_id text     NOT NULL,
  kind        text     NOT NULL,
  severity    smallint NOT NULL,
  occurred_at bigint   NOT NULL,         -- the sender's clock
  received_at bigint   NOT NULL,
  reason      text,
  delivery    bigint   NOT NULL,
  skipped     text     NOT NULL          -- rules that made no job, with reasons, as JSON
);

CREATE TABLE alert_jobs (
  alert bigint NOT NULL,
  key   bytea  NOT NULL,                 -- provider, names exactly as given, scope, dry run
  job   bigint NOT NULL,
  PRIMARY KEY (alert, key)
);
CREATE INDEX alert_jobs_by_job ON alert_jobs (job);

CREATE TABLE jobs (
  seq         bigint   PRIMARY KEY,
  id          uuid     NOT NULL UNIQUE,
  provider    text     NOT NULL,
  state       smallint NOT NULL,         -- 0 queued, 1 leased, 2 proving, 3 held, 4 done, 5 dead, 6 cancelled
  severity    smallint NOT NULL,
  lane        smallint NOT NULL,         -- the order of claiming: the severity, 5 while proving, 6 while leased
  wake_at     bigint,                    -- when it is due, or its lease ends; NULL while neither
  attempts    integer  NOT NULL DEFAULT 0,
  failures    integer  NOT NULL DEFAULT 0,
  absence     text,                      -- what the last look did not find: account, sessions
  call_open   integer  NOT NULL DEFAULT 0, -- the attempt that began a call whose answer is not recorded; 0: none
  repeated    integer  NOT NULL DEFAULT 0, -- calls made although an earlier one may have been answered
  dry_run     boolean  NOT NULL,
  approved    boolean  NOT NULL DEFAULT false,
  unread_ok   boolean  NOT NULL DEFAULT false, -- agreed to act on the chosen account although it cannot be read
  insisted    boolean  NOT NULL DEFAULT false, -- requeued by an operator: what was done before does not stand for it
  counted     boolean  NOT NULL DEFAULT false, -- the budgets have counted its person
  past_budget boolean  NOT NULL DEFAULT false, -- a person let it go on past the budgets
  alike_ok    boolean  NOT NULL DEFAULT false, -- agreed to after a name of the account was seen to look protected
  asked_by    text[]   NOT NULL DEFAULT '{}',  -- operators who asked for it or requeued it
  subject     text     NOT NULL,
  subject_key bytea    NOT NULL,         -- the names exactly as given
  request     text     NOT NULL,
  rules       text     NOT NULL,
  account_id  text,
  chosen_id   text,                      -- the account an operator chose
  outcome     text,
  hold_reason text,
  dead_reason text,
  note        text,
  record      bigint,                    -- the row of the audit record that tells the end of the latest attempt
  said        bigint,                    -- the row of the audit record that tells the provider's latest yes
  proof       text,                      -- the sessions around the calls, as JSON
  proving     boolean  NOT NULL DEFAULT false, -- the provider has said yes; only looks are left
  merged_into uuid,
  created_at  bigint   NOT NULL,
  held_since  bigint,
  held_total  bigint   NOT NULL DEFAULT 0,
  finished_at bigint,
  received_at bigint   NOT NULL,         -- of the first alert
  occurred_at bigint   NOT NULL,
  alert_id    uuid     NOT NULL,         -- the first alert
  source      text     NOT NULL
);
CREATE INDEX jobs_wake ON jobs (provider, lane, wake_at) WHERE wake_at IS NOT NULL;
-- Of queued jobs only: each step of a job writes a new row version, which would stand here again, at a random place.
CREATE INDEX jobs_person ON jobs (subject_key, seq) WHERE state = 0;
CREATE INDEX jobs_account ON jobs (account_id, state) WHERE account_id IS NOT NULL;
CREATE INDEX jobs_held ON jobs (provider, hold_reason) WHERE state = 3;
CREATE INDEX jobs_ended ON jobs (state, seq) WHERE finished_at IS NOT NULL;
CREATE INDEX jobs_finished ON jobs (finished_at) WHERE finished_at IS NOT NULL;

-- Sums of changes. Each writer has rows of its own, so that none waits for another; counting adds them up, and
-- retention folds them into one.
CREATE TABLE job_counts (
  writer   text     NOT NULL,
  provider text     NOT NULL,
  state    smallint NOT NULL,
  jobs     bigint   NOT NULL,
  PRIMARY KEY (writer, provider, state)
);

CREATE TABLE quarantine_sizes (
  source  text   PRIMARY KEY,
  entries bigint NOT NULL,
  bytes   bigint NOT NULL
);

-- A provider that waits; an empty name means all of them. Closed spans stay for as long as finished jobs do: time that a
-- job spent behind one does not count towards give_up_after.
CREATE TABLE gates (
  seq       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  provider  text   NOT NULL,
  reason    text   NOT NULL,
  note      text   NOT NULL,
  closed_at bigint NOT NULL,
  opened_at bigint                       -- NULL while closed
);
CREATE UNIQUE INDEX gates_closed ON gates (provider, reason) WHERE opened_at IS NULL;
CREATE INDEX gates_opened ON gates (opened_at) WHERE opened_at IS NOT NULL;
CREATE INDEX gates_provider ON gates (provider);

-- What an attempt did and what the provider said stand here alone; jobs refer to it. Each writer's rows are a chain.
CREATE TABLE audit (
  seq     bigint PRIMARY KEY,
  writer  text   NOT NULL,
  at      bigint NOT NULL,
  event   text   NOT NULL,
  job     uuid,
  alert   uuid,
  actor   text   NOT NULL,
  detail  text   NOT NULL,
  hash    bytea  NOT NULL,
  earlier bigint                         -- the row that tells the attempt before, of the same job
);
CREATE UNIQUE INDEX audit_by_writer ON audit (writer, seq);

-- Providers that fail. A closed circuit has no row.
CREATE TABLE circuits (
  provider text     PRIMARY KEY,
  state    smallint NOT NULL,            -- 1 open, 2 half open
  note     text     NOT NULL,
  since    bigint   NOT NULL,
  until    bigint   NOT NULL,            -- left alone until then, or the end of the trial's lease
  wait     bigint   NOT NULL,            -- microseconds, of the latest opening
  trial    uuid                          -- the latest, while nobody knows how it ended
);

-- People whom a budget counts now. One has at most one account at each provider. Whoever reads or writes these three
-- tables to count somebody holds one lock, see opening.rs.
CREATE SEQUENCE budget_people_seq;
CREATE TABLE budget_people (
  seq      bigint   PRIMARY KEY,
  accounts text     NOT NULL,            -- the account's id by provider, as JSON
  names    bytea    NOT NULL,            -- their names in budget_names, 16 bytes each
  budgets  bigint[] NOT NULL,            -- those that count them: what each counts and in how long, as a digest
  untils   bigint[] NOT NULL,            -- in the same order: from then on they are not counted any more
  until    bigint   NOT NULL             -- the first of these
);
CREATE INDEX budget_people_until ON budget_people (until);
CREATE TABLE budget_names (
  name   bytea  PRIMARY KEY,             -- a digest: an address that their accounts have, or an account
  person bigint NOT NULL
);
-- How many people each counts, also those whose time is up: counting costs nothing at any size.
CREATE TABLE budget_totals (
  budget bigint PRIMARY KEY,
  used   bigint NOT NULL
);

-- Jobs change their place in the queue all the time: what they leave behind is swept before it slows the next claim.
-- Room on each page for the versions that a claim, a call and a settlement leave behind.
ALTER TABLE jobs SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);

-- Seals and stubs of the audit record. Each text is the signed statement as JSON, as the operator API shows it.
CREATE TABLE audit_seals (
  number bigint PRIMARY KEY,
  at     bigint NOT NULL,
  text   text   NOT NULL
);
-- What stands for rows that were removed from the beginning of a writer's chain.
CREATE TABLE audit_stubs (
  writer text   PRIMARY KEY,
  seq    bigint NOT NULL,                -- the last row that was removed
  text   text   NOT NULL
);

-- Messages that are to leave, made in the transaction of the change that they tell of. Those that were taken are gone.
CREATE TABLE outbox (
  seq        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id         text    NOT NULL,           -- the same in every attempt
  target     text    NOT NULL,
  kind       text    NOT NULL,
  body       text    NOT NULL,           -- JSON
  made_at    bigint  NOT NULL,
  created_at bigint  NOT NULL,
  attempts   integer NOT NULL DEFAULT 0,
  due_at     bigint,                     -- also when its lease ends; NULL: given up
  note       text                        -- what went wrong last
);
CREATE INDEX outbox_due ON outbox (target, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX outbox_dead ON outbox (seq) WHERE due_at IS NULL;
CREATE INDEX outbox_notes ON outbox (target, seq) WHERE note IS NOT NULL;
-- What is gathered for one message about many jobs.
CREATE TABLE outbox_groups (
  target  text   NOT NULL,
  kind    text   NOT NULL,
  count   bigint NOT NULL,
  since   bigint NOT NULL,
  reasons text   NOT NULL,               -- how many for each reason, as JSON
  jobs    text   NOT NULL,               -- some of them, as JSON
  due_at  bigint,                        -- NULL: nothing is gathered
  last_at bigint,                        -- when the last message was made
  PRIMARY KEY (target, kind)
);

-- Traces of the alerts behind a job: `traceparent`, one a line, the first with its `tracestate` behind a blank.
ALTER TABLE jobs ADD COLUMN traces text; -- NULL: none

-- Processes that share this store. One that has said nothing for a while counts as gone, whatever stands here.
CREATE SEQUENCE replicas_seq;
CREATE TABLE replicas (
  id         text     PRIMARY KEY,
  takes_in   boolean  NOT NULL,
  works      boolean  NOT NULL,
  version    text     NOT NULL,
  started_at bigint   NOT NULL,          -- its own clock
  seen_at    bigint   NOT NULL,
  joined     bigint   NOT NULL,          -- another one each time it comes back after it counted as gone
  counts     bigint[] NOT NULL           -- the numbers of those it divides the limits of providers by, itself included
);
