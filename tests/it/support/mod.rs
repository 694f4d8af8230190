//! What several tests share.

pub(crate) mod broker;
pub(crate) mod store;
