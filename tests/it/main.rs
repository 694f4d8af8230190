//! One binary for every integration test.

mod admin;
mod kill;
mod demo;
mod layering;
mod okta_wire;
mod pipeline;
mod policy;
mod process;
mod sandbox_okta;
mod schemas;
mod service;
mod testapp;
mod store_contract;
mod store_sqlite;
mod support;
mod verify;
mod verify_altered;
mod verify_settings;
mod webhook;
