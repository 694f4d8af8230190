//! The client against scripted answers, over a real socket.

mod answers;
mod bulk;
mod ends;
mod looks;
mod people;
mod support;
