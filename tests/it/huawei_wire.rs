//! Our client of IAM Identity Center against the strict sandbox, which was written from Huawei's documents and not from
//! the client, and checks every signature.

mod doors;
mod jobs;
mod refusals;
mod revoking;
mod world;
