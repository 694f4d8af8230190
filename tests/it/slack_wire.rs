//! Our Slack client against the strict sandbox, which was written from Slack's documents and not from the client, and
//! its requests against Slack's own description and Slack's own client.

mod described;
mod ends;
mod hostile;
mod many;
mod org;
mod people;
mod recorder;
mod stories;
mod trouble;
