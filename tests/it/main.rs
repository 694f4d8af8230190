//! One binary for every integration test.

mod layering;
mod policy;
mod sandbox_okta;
mod verify;
mod verify_altered;
mod verify_settings;
