//! Messages of two replicas: each is made once and taken once.

use std::collections::HashSet;

use sever::domain::{Next, NoticeKind, Outcome, TargetName};
use sever::store::{JobStore, Message, MessageEnd, Operations, Outbox, Routes};

use super::{Pair, admit, claim};
use crate::support::store::{LEASE, Mail, SECOND, okta, operator, settlement};

fn soc() -> TargetName {
    "soc".parse().expect("a name")
}

async fn telling() -> Pair {
    let pair = Pair::new();
    for store in pair.both() {
        let targets = [(soc(), NoticeKind::ALL.into())].into_iter().collect();
        store.set_routes(Routes { targets, ..Routes::default() }).await.expect("set");
    }
    pair
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_whose_last_jobs_end_at_once_is_told_once() {
    let pair = telling().await;
    for round in 0..30 {
        let name = format!("a{round}");
        let jobs = ["ana", "ben"].map(|who| okta(&format!("{who}{round}@x")));
        admit(&pair.one, &pair.clock, &Mail::new(&name).alert(&name, jobs)).await;
        let claims = claim(&pair.one, 2).await;
        let ends = [&claims[0], &claims[1]].map(|claim| settlement(claim, Next::Done(Outcome::Confirmed)));
        let (one, other) = tokio::join!(pair.one.settle(&claims[0], &ends[0]), pair.other.settle(&claims[1], &ends[1]));
        one.expect("settled");
        other.expect("settled");
        let messages = pair.one.claim_messages(&soc(), 10, LEASE).await.expect("messages");
        let kinds: Vec<_> = messages.iter().map(|message| message.kind).collect();
        assert_eq!(kinds, [NoticeKind::AlertDone], "round {round}");
        let body: serde_json::Value = serde_json::from_str(&messages[0].body).expect("JSON");
        assert_eq!((&body["data"]["count"], &body["data"]["totals"]["confirmed"]), (&2.into(), &2.into()), "{body}");
        pair.other.settle_message(&messages[0], MessageEnd::Delivered).await.expect("settled");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_message_is_taken_by_both() {
    let pair = telling().await;
    for _ in 0..20 {
        pair.one.pause(None, operator(), "drill".to_owned()).await.expect("paused");
        pair.other.resume(None, operator()).await.expect("resumed");
    }
    let (soc, mut taken): (_, Vec<Message>) = (soc(), Vec::new());
    // What the other one has locked is passed over, so nothing found once does not mean that nothing is there.
    for _ in 0..20 {
        let (one, other) =
            tokio::join!(pair.one.claim_messages(&soc, 3, LEASE), pair.other.claim_messages(&soc, 3, LEASE));
        taken.extend([one.expect("messages"), other.expect("messages")].concat());
    }
    let ids: HashSet<_> = taken.iter().map(|message| &message.id).collect();
    assert_eq!((taken.len(), ids.len()), (40, 40));
    // A replica that begins meanwhile takes nothing from them.
    let targets = [(soc.clone(), NoticeKind::ALL.into())].into_iter().collect();
    pair.other.set_routes(Routes { targets, ..Routes::default() }).await.expect("set");
    assert_eq!(pair.other.claim_messages(&soc, 100, LEASE).await.expect("messages"), []);
    pair.clock.advance(LEASE + SECOND);
    assert_eq!(pair.other.claim_messages(&soc, 100, LEASE).await.expect("messages").len(), 40);
    assert_eq!(pair.one.status().await.expect("a status").notify[&soc].waiting, 40);
}
