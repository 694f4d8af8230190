//! The embedded store as a file: who may open it, what a crash leaves, and what happens when the disk says no.
