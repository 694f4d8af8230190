//! One binary for every integration test.

mod sandbox_okta;
