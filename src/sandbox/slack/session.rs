//! A session: of one user, in one workspace, on one device.

use aws_lc_rs::rand;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What a session runs on. Slack tells `web` from `mobile` and says of the desktop app neither; it is `Web` here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Device {
    /// A browser or the desktop app.
    Web,
    /// A phone or tablet.
    Mobile,
}

#[derive(Debug, Clone)]
pub(super) struct Session {
    /// The order in which sessions began, which is the order of listings.
    pub(super) number: u64,
    pub(super) id: i64,
    pub(super) user_id: String,
    /// A workspace, or the organization itself (`E…`).
    pub(super) team_id: String,
    pub(super) device: Device,
    pub(super) has_expired: bool,
    /// The client changed since: version or address.
    pub(super) has_changed: bool,
}

impl Session {
    /// A row of a listing. `recent` is absent while nothing has changed; there are no times.
    pub(super) fn row(&self) -> Value {
        let mut row = json!({
            "user_id": self.user_id, "session_id": self.id, "team_id": self.team_id, "created": self.client(0),
        });
        if self.has_changed {
            row["recent"] = self.client(1);
        }
        row
    }

    fn client(&self, step: u64) -> Value {
        // 203.0.113.0/24 is for documentation (RFC 5737).
        let ip = format!("203.0.113.{}", (self.number + step) % 254 + 1);
        match self.device {
            Device::Web => json!({
                "device_hardware": "Mac", "os": "Mac OS", "os_version": format!("14.{}", 5 + step),
                "slack_client_version": format!("4.{}.90", 39 + step), "ip": ip,
            }),
            Device::Mobile => json!({
                "device_hardware": "iPhone15,2", "os": "iOS", "os_version": format!("17.{}", 5 + step),
                "slack_client_version": format!("24.{}.10", 5 + step), "ip": ip,
            }),
        }
    }
}

/// Of 64 bits, and such that a client that keeps ids as 32-bit or floating-point numbers names no session or another:
/// odd and above 2^53. (How large Slack's ids grow is not documented; a sample has 42 bits.)
pub(super) fn fresh_id() -> i64 {
    let mut noise = [0_u8; 8];
    rand::fill(&mut noise).expect("the system's random source works");
    (i64::from_le_bytes(noise) & i64::MAX) | (1 << 53) | 1
}
