//! What is to be done about an alert.
