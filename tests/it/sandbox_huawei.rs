//! The stand-in of IAM Identity Center, driven with bare requests whose signatures are made here.

mod batches;
mod faults;
mod refusals;
mod sessions;
mod signatures;
mod store;
mod users;
mod vectors;
mod wire;
