//! Our client of The Things Stack against the strict sandbox, which was written from its source and documents and not
//! from the client.

mod doors;
mod ending;
mod hostile;
mod network;
mod openapi;
mod rights;
mod stories;
mod trouble;
