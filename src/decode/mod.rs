//! Authentic bytes to alerts.
