//! Is this delivery from who it says, and fresh?
