//! Strict stand-ins of the providers.
