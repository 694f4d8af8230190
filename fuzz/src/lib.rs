//! What holds for every input, however hostile: one function for each parser that strangers reach.
//!
//! libFuzzer calls them (`cargo +nightly fuzz run NAME`), and so do the ordinary tests, over `corpus/NAME` and changes of
//! it. Each returns if all is well and panics if not.

pub mod altered;
pub mod amqp;
pub mod config;
pub mod decode;
pub mod mapping;
pub mod request;
pub mod rfc9421;
pub mod schemes;
pub mod verify;

/// A name, and what is called with each input.
pub type Target = (&'static str, fn(&[u8]));

/// Each target by its name.
pub const TARGETS: [Target; 7] = [
    ("verify", verify::run),
    ("altered", altered::run),
    ("rfc9421", rfc9421::run),
    ("decode", decode::run),
    ("mapping", mapping::run),
    ("amqp", amqp::run),
    ("config", config::run),
];
