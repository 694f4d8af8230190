//! The Helm chart: what it renders for every set of values in `helm/sever/ci`, and what it refuses.
//!
//! Checked by Helm itself, the schemas of Kubernetes and the `sever` binary. No cluster is asked.

mod chart;
mod config;
mod manifests;
mod refused;
mod values;
