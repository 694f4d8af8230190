//! The way in: a delivery becomes a receipt or a refusal.
