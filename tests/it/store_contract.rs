//! What every store promises, tried through its traits alone. Each file's last lines list its tests; a further kind of
//! store joins by a `Backend` and a line in `contract_tests!`.

mod admit;
mod audit;
mod bind;
mod budget;
mod bulk;
mod circuit;
mod claim;
mod operate;
mod outbox;
mod prove;
mod prune;
mod reload;
mod replay;
mod replicas;
mod seals;
mod settle;
mod together;
mod traces;
mod walk;
