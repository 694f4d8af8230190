//! `sever refusals`: why deliveries of a source were not taken. The sender is never told.

use clap::Args;

use super::client::Remote;
use super::text::{Sheet, moment};
use super::{Outcome, block_on};
use crate::domain::SourceName;
use crate::ingest::RefusalView;
use crate::store::Page;

/// Arguments of `sever refusals`.
#[derive(Debug, Args)]
pub(super) struct RefusalsArgs {
    /// The source
    source: SourceName,
    #[command(flatten)]
    remote: Remote,
}

pub(super) fn run(args: &RefusalsArgs) -> Outcome {
    let api = args.remote.api()?;
    let answer = block_on(api.get(&format!("/v1/sources/{}/refusals", args.source), &[]))??;
    args.remote.print(&answer, sheet)
}

fn sheet(page: &Page<RefusalView>) -> Sheet {
    if page.items.is_empty() {
        return Sheet::of("No delivery was refused since the service started.");
    }
    let mut sheet = Sheet::default();
    let row = |refusal: &RefusalView| {
        let peer = refusal.peer.clone().unwrap_or_default();
        vec![moment(refusal.at), refusal.reason.clone(), peer, refusal.size_bytes.to_string()]
    };
    sheet.table(&["AT", "REASON", "PEER", "BYTES"], page.items.iter().map(row));
    sheet
}
