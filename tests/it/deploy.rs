//! What stands in `deploy/` and beside it: alert rules, dashboard, image and Compose file, each against the program.

mod container;
mod metrics;
