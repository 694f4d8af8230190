//! The row about a config that was taken on.

use crate::support::store::{Bench, contract_tests, first_break};

async fn a_reload_is_in_the_chain_with_what_changed(bench: Bench) {
    let changed = vec!["providers.okta".to_owned(), "rules".to_owned()];
    bench.jobs().record_reload([0xab; 32], changed).await.expect("recorded");
    let rows = bench.audit().await;
    assert_eq!(rows.len(), 1);
    let row = &rows[0];
    assert_eq!((row.event.as_str(), row.actor.as_str(), row.job, row.alert), ("config_reloaded", "sever", None, None));
    let expected = serde_json::json!({"changed": ["providers.okta", "rules"], "sha256": "ab".repeat(32)});
    assert_eq!(row.detail, expected);
    assert_eq!(first_break(&rows), None);
}

contract_tests!(a_reload_is_in_the_chain_with_what_changed);
