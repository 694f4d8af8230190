//! One binary for every integration test.

mod admin;
mod cli_client;
mod demo;
mod formats;
mod kill;
mod layering;
mod okta_wire;
mod pipeline;
mod policy;
mod process;
mod readme;
mod sandbox_huawei;
mod sandbox_mattermost;
mod sandbox_okta;
mod sandbox_slack;
mod sandbox_tts;
mod schemas;
mod service;
mod store_contract;
mod store_sqlite;
mod support;
mod testapp;
mod verify;
mod verify_altered;
mod verify_settings;
mod webhook;
