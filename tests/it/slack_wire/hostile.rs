//! Whatever an alert names, nobody else is reached.

use proptest::prelude::*;
use sever::domain::{Account, RevokeRequest, Scope, SessionRef, Subject, TeamSession};

use super::org::*;

/// Texts that a careless client would put into a path, a form or a list of ids.
fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        r"[UWTE0-9A-Za-z,;&=%+./?#\\ *\[\]-]{0,24}",
        r"(W0VICTIM001,|W0ANA000001&user_id=|\.\./auth\.revoke\?|token=|%2e%2e/|me|\*|W0ANA000001%00)[A-Z0-9=&]{0,12}",
        any::<String>(),
    ]
}

#[test]
fn no_hostile_name_or_session_reaches_anybody_or_another_method() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let (org, client) = runtime.block_on(async {
        let org = Org::new().await;
        let ana = org.person("ana@example.com");
        org.slack.add_person(sever::sandbox::slack::Person::new("victim@example.com").id("W0VICTIM001"));
        org.slack.sign_in("W0VICTIM001");
        let client = org.client_with(serde_json::json!({"limits": {"rate": "1000000/1m"}}));
        let account = account(&client, &ana).await;
        ((org, account), client)
    });
    let (org, ana) = org;
    let config = ProptestConfig { cases: 250, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(name in hostile(), team in hostile())| {
        runtime.block_on(async {
            for subject in [
                Subject { id: Some(name.clone()), ..Subject::default() },
                Subject { email: Some(name.clone()), ..Subject::default() },
                Subject { username: Some(name.clone()), ..Subject::default() },
            ] {
                let found = client.resolve(&subject).await.ok().flatten();
                prop_assert!(found.is_none(), "{name:?} found {found:?}");
            }
            let nobody = Account::new(name.clone(), vec![name.clone()]);
            for scope in [Scope::All, Scope::Web] {
                let end = client.revoke(&nobody, &RevokeRequest::new(scope), None).await;
                prop_assert!(end.is_err(), "{name:?}");
            }
            let in_team = |id: &str, team_id: &str| SessionRef::InTeam(TeamSession { id: id.into(), team_id: team_id.into() });
            let first = org.slack.session_ids_of(&ana.id)[0].clone();
            for given in [SessionRef::Id(name.clone()), in_team(&name, &org.teams[0]), in_team(&first, &team)] {
                let request = RevokeRequest::new(Scope::Sessions(vec![given.clone()]));
                let end = client.revoke(&ana, &request, None).await;
                prop_assert!(!matches!(end, Ok(Some(_))), "{given:?}");
            }
            Ok(())
        })?;
    });
    assert_eq!((org.slack.sessions_of("W0VICTIM001"), org.slack.sessions_of(&ana.id)), (1, 3));
    assert_eq!(org.slack.revocations_of("W0VICTIM001") + org.slack.revocations_of(&ana.id), 0);
    org.assert_honest();
}
