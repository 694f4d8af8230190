//! Alerts from queues, over a real broker: each outcome, each trouble, and what a hostile publisher can do.

mod command;
mod crash;
mod faults;
mod hostile;
mod outcomes;
mod reload;
mod scene;
mod settings;
mod storage;
mod tls;
mod traces;
