//! The client alone, call by call.

use std::time::Duration;

use jiff::SignedDuration;
use sever::domain::{Look, Outcome, Session};
use sever::provider::ProviderError;
use sever::sandbox::faults::{Fault, Injection};
use sever::sandbox::mattermost::{Device, LimitBy, Operation, Permission, Person, Role};

use super::*;

#[tokio::test]
async fn every_door_leads_to_the_account_and_every_session_ends() {
    let chat = Chat::start().await;
    for (number, client) in [chat.client(), chat.manager()].into_iter().enumerate() {
        let ana = chat.person(&format!("ana{number}"), 2);
        chat.server.sign_in_from(&ana.id, Device::Mobile);
        chat.server.sign_in_from(&ana.id, Device::OAuth);
        let mixed = format!("ANA{number}@Example.com");
        for subject in [email(&ana.email), email(&mixed), id(&ana.id), username(&format!("Ana{number}"))] {
            let account = client.resolve(&subject).await.expect("resolved").expect("found");
            assert_eq!(account.identifiers, [ana.id.clone(), ana.username.clone(), ana.email.clone()]);
        }
        let account = find(client.as_ref(), &ana).await;
        let look = client.sessions(&account).await.expect("listed").expect("a look");
        assert_eq!((look.sessions.len(), look.complete), (4, true));
        let revoked = client.revoke(&account, &all(), Some(&look)).await.expect("revoked").expect("something");
        assert_eq!(revoked.outcome, Outcome::Confirmed);
        assert_eq!(chat.server.sessions_of(&ana.id), 0);
        let look = client.sessions(&account).await.expect("listed").expect("a look");
        assert_eq!(look.sessions, []);
        client.revoke(&account, &all(), Some(&look)).await.expect("safe to repeat");
    }
    assert_eq!(chat.server.tripwires(), []);
}

#[tokio::test]
async fn nobody_is_nobody_and_a_near_miss_too() {
    let chat = Chat::start().await;
    let kate = chat.person("kate", 1);
    let client = chat.client();
    for subject in [
        email("bob@example.com"),
        email("kate@example.co"),
        email("\u{212a}ate@example.com"),
        email("k\u{430}te@example.com"),
        username("kat"),
        username("kate_"),
    ] {
        assert_eq!(client.resolve(&subject).await.expect("an answer"), None, "{subject:?}");
    }
    assert!(matches!(client.resolve(&id(NOBODY)).await, Err(ProviderError::UnknownAccount(_))));
    assert!(matches!(client.resolve(&id("kate")).await, Err(ProviderError::UnknownAccount(_))));
    for subject in [email("kate"), username("kate@example.com"), username("all")] {
        assert!(matches!(client.resolve(&subject).await, Err(ProviderError::Unclear(_))), "{subject:?}");
    }
    let both = sever::domain::Subject { username: Some("sever".to_owned()), ..email(&kate.email) };
    assert!(matches!(client.resolve(&both).await, Err(ProviderError::Unclear(_))));
}

#[tokio::test]
async fn a_yes_for_an_id_that_nobody_has_is_not_taken() {
    let chat = Chat::start().await;
    let stranger = Account::new(NOBODY, vec![NOBODY.to_owned()]);
    let error = chat.client().revoke(&stranger, &all(), None).await.expect_err("nobody");
    assert!(matches!(error, ProviderError::UnknownAccount(_)), "{error:?}");
    assert_eq!(chat.calls("/revoke/all"), 0);
}

#[tokio::test]
async fn who_left_and_who_is_a_bot_are_found() {
    let chat = Chat::start().await;
    let (gone, bot) = (chat.person("gone", 1), Person::new("helper").bot());
    chat.server.add_person(bot.clone());
    chat.server.deactivate(&gone.id);
    let client = chat.client();
    for person in [gone, bot] {
        let account = find(client.as_ref(), &person).await;
        client.revoke(&account, &all(), None).await.expect("a yes");
    }
}

#[tokio::test]
async fn a_server_below_a_path_is_called_there() {
    let chat = Chat::start().await;
    chat.server.serve_under("/team/chat");
    let ana = chat.person("ana", 2);
    let slash = format!("{}/", chat.server.url());
    for url in [chat.server.url(), slash] {
        let mut settings = chat.settings(TOKEN);
        settings["url"] = url.into();
        let client = chat.client_of(settings);
        let account = find(client.as_ref(), &ana).await;
        client.revoke(&account, &all(), None).await.expect("revoked");
    }
    assert_eq!(chat.server.sessions_of(&ana.id), 0);
    // Beside it there is a redirect, which is not followed.
    let mut settings = chat.settings(TOKEN);
    settings["url"] = chat.server.url().trim_end_matches("/team/chat").into();
    let error = chat.client_of(settings).check().await.expect_err("beside it");
    assert!(matches!(error, ProviderError::Misconfigured(_)), "{error:?}");
}

#[tokio::test]
async fn the_web_app_at_a_wrong_path_is_no_api() {
    let chat = Chat::start().await;
    let mut settings = chat.settings(TOKEN);
    settings["url"] = format!("{}/nowhere", chat.server.url()).into();
    let error = chat.client_of(settings).check().await.expect_err("the web app");
    assert!(matches!(error, ProviderError::Misconfigured(_)), "{error:?}");
}

#[tokio::test]
async fn all_forms_of_429_wait_and_none_for_ever() {
    let forms = [
        (Fault::RateLimit { reset_in_s: 20 }, Some(20..=20)),
        (Fault::ConcurrencyLimit { reset_in_s: 30 }, Some(30..=31)),
        (Fault::ConcurrencyLimit { reset_in_s: -5 }, Some(1..=1)),
        (Fault::ThrottleWithoutHint, None),
        (Fault::RepeatedReset { resets_in_s: vec![10, 60] }, Some(10..=60)),
        (Fault::RateLimit { reset_in_s: 1_000_000_000 }, Some(60..=900)),
    ];
    for (form, expected) in forms {
        let chat = Chat::start().await;
        let ana = chat.person("ana", 1);
        let client = chat.client();
        let account = find(client.as_ref(), &ana).await;
        // The two clocks disagree by an hour: only the server's own counts.
        chat.server.shift_clock(SignedDuration::from_hours(1));
        chat.server.faults().inject(Injection::once(form.clone()).on(Operation::RevokeAllSessions));
        let error = client.revoke(&account, &all(), None).await.expect_err("throttled");
        let ProviderError::Throttled { retry_after, .. } = error else { panic!("{form:?} gave {error:?}") };
        match expected {
            Some(range) => {
                let seconds = retry_after.expect("a hint").as_secs();
                assert!(range.contains(&seconds), "{form:?} gave {seconds}");
            }
            None => assert_eq!(retry_after, None, "{form:?}"),
        }
        assert_eq!(chat.server.sessions_of(&ana.id), 1);
    }
}

#[tokio::test]
async fn the_servers_own_limiter_is_waited_for() {
    for (by, as_epoch) in [(LimitBy::RemoteAddress, false), (LimitBy::User, false), (LimitBy::User, true)] {
        let chat = Chat::start().await;
        let ana = chat.person("ana", 1);
        let client = chat.client();
        // Two calls at once, and what is used up is back within a second.
        chat.server.limit_rate(10, 1, by.clone());
        if as_epoch {
            chat.server.tell_reset_as_epoch();
        }
        let account = find(client.as_ref(), &ana).await;
        let mut throttled = 0;
        while let Err(error) = client.revoke(&account, &all(), None).await {
            let ProviderError::Throttled { retry_after: Some(wait), .. } = error else { panic!("{by:?}: {error:?}") };
            assert!(wait <= Duration::from_secs(3), "{by:?}: {wait:?}");
            throttled += 1;
            chat.clock.advance(wait);
            assert!(throttled < 10, "{by:?} never lets go");
        }
        assert!(throttled > 0 && chat.server.sessions_of(&ana.id) == 0, "{by:?}: {throttled}");
    }
}

#[tokio::test]
async fn no_answer_but_the_yes_is_a_success() {
    let faults = [
        Fault::Html,
        Fault::MalformedJson,
        Fault::HugeBody { size_bytes: 8 << 20 },
        Fault::SlowBody { size_bytes: 100, every_ms: 500 },
        Fault::LateAnswer { duration_ms: 3000 },
        Fault::LostBefore,
        Fault::LostAfter,
        Fault::Redirect { to: "http://127.0.0.1:9/".to_owned() },
        Fault::Partial { status: 500 },
        Fault::Error { status: 500, code: "app.session.get_sessions.app_error".to_owned() },
        Fault::Error { status: 502, code: String::new() },
        Fault::Error { status: 503, code: "api.context.server_busy.app_error".to_owned() },
    ];
    for fault in faults {
        let chat = Chat::start().await;
        let ana = chat.person("ana", 3);
        let client = chat.client();
        let account = find(client.as_ref(), &ana).await;
        chat.server.faults().inject(Injection::once(fault.clone()).on(Operation::RevokeAllSessions));
        let error = client.revoke(&account, &all(), None).await.expect_err("no success");
        let retryable = matches!(error, ProviderError::Unavailable(_) | ProviderError::Misconfigured(_));
        assert!(retryable, "{fault:?} gave {error:?}");
        client.revoke(&account, &all(), None).await.expect("the next call works");
        assert_eq!(chat.server.sessions_of(&ana.id), 0, "{fault:?}");
    }
}

#[tokio::test]
async fn a_hardened_server_tells_no_reason_and_is_tried_again() {
    let chat = Chat::start().await;
    let ana = chat.person("ana", 1);
    chat.server.harden();
    let client = chat.client();
    let account = find(client.as_ref(), &ana).await;
    let error = Fault::Error { status: 501, code: "app.session.remove.app_error".to_owned() };
    chat.server.faults().inject(Injection::once(error).on(Operation::RevokeAllSessions));
    let error = client.revoke(&account, &all(), None).await.expect_err("500");
    assert!(matches!(error, ProviderError::Unavailable(_)), "{error:?}");
}

#[tokio::test]
async fn expired_rows_are_no_sessions_by_the_servers_clock() {
    let chat = Chat::start().await;
    let ana = chat.person("ana", 3);
    let ids = chat.server.session_ids_of(&ana.id);
    chat.server.keep_session(&ids[0]);
    chat.server.expire_session(&ids[1]);
    chat.clock.advance(Duration::from_secs(2));
    let client = chat.client();
    let account = find(client.as_ref(), &ana).await;
    let look = client.sessions(&account).await.expect("listed").expect("a look");
    let mut found: Vec<_> = look.sessions.iter().map(|session| session.id.clone()).collect();
    found.sort();
    assert_eq!((found, chat.server.rows_of(&ana.id)), (vec![ids[0].clone(), ids[2].clone()], 3));
    // The third ends by itself after 30 days, of which the server has seen more than we.
    chat.server.shift_clock(SignedDuration::from_hours(31 * 24));
    let look = client.sessions(&account).await.expect("listed").expect("a look");
    assert_eq!(look.sessions.len(), 1);
    let at = look.at.expect("the server's time");
    assert!(at.duration_since(chat.clock.now()) > SignedDuration::from_hours(30 * 24), "{at}");
}

#[tokio::test]
async fn given_sessions_end_only_if_they_are_listed_as_the_accounts() {
    let chat = Chat::start().await;
    let (ana, bob) = (chat.person("ana", 3), chat.person("bob", 1));
    let client = chat.client();
    let account = find(client.as_ref(), &ana).await;
    let (hers, his) = (chat.server.session_ids_of(&ana.id), chat.server.session_ids_of(&bob.id));
    let request = given(&[hers[0].clone(), his[0].clone(), hers[1].clone()]);
    let revoked = client.revoke(&account, &request, None).await.expect("revoked").expect("something");
    assert_eq!(revoked.sessions_ended, Some(2));
    assert!(revoked.survives.iter().any(|text| text.contains("somebody else's")), "{:?}", revoked.survives);
    assert_eq!((chat.server.sessions_of(&ana.id), chat.server.sessions_of(&bob.id)), (1, 1));
    assert_eq!(chat.calls("/sessions/revoke"), 2, "his is not even asked for");
    assert_eq!(client.revoke(&account, &request, None).await.expect("safe to repeat"), None);
    // A session's secret would be taken for its id.
    let secret = chat.server.session_token(&his[0]).expect("a session");
    assert_eq!(client.revoke(&account, &given(&[secret]), None).await.expect("an answer"), None);
    assert_eq!(chat.server.sessions_of(&bob.id), 1);
}

#[tokio::test]
async fn an_old_list_ends_nothing_twice() {
    let chat = Chat::start().await;
    let ana = chat.person("ana", 2);
    let client = chat.client();
    let account = find(client.as_ref(), &ana).await;
    let ids = chat.server.session_ids_of(&ana.id);
    let look = client.sessions(&account).await.expect("listed").expect("a look");
    client.revoke(&account, &given(&ids[..1]), Some(&look)).await.expect("revoked");
    chat.server.faults().inject(Injection::once(Fault::StaleList).on(Operation::GetSessions));
    let revoked = client.revoke(&account, &given(&ids), None).await.expect("revoked").expect("something");
    assert_eq!(revoked.sessions_ended, Some(1), "the other is listed still, and gone");
}

#[tokio::test]
async fn a_token_makes_its_sessions_anew_and_is_told_or_revoked() {
    let chat = Chat::start().await;
    let ana = chat.person("ana", 1);
    let (_, stolen) = chat.server.issue_token(&ana.id);
    let thief = chat.client_of(chat.settings(&stolen));
    let missing = thief.check().await.expect("it works, for little").missing.join(" ");
    assert!(missing.contains("edit_other_users") && missing.contains("read_user_access_token"), "{missing}");
    assert_eq!(chat.server.sessions_of(&ana.id), 2);
    let client = chat.client();
    let account = find(client.as_ref(), &ana).await;
    let page = client.list_sessions(&account, &sever::provider::ListQuery::default()).await.expect("listed");
    let page = page.expect("a page");
    let told = |text: &str| page.sessions.iter().filter_map(|s| s.client.as_deref()).any(|c| c.starts_with(text));
    assert!(told("personal access token ") && told("Firefox/147.0 on Linux"), "{page:?}");
    assert_eq!(page.total, Some(2));

    let revoked = client.revoke(&account, &all(), None).await.expect("revoked").expect("something");
    assert!(revoked.survives.iter().any(|text| text.starts_with("1 personal access token")), "{:?}", revoked.survives);
    let _ = thief.check().await;
    assert_eq!(chat.server.sessions_of(&ana.id), 1, "it is back");

    for _ in 0..210 {
        chat.server.issue_token(&ana.id);
    }
    let client = chat.client_of(chat.settings_with_tokens());
    let look = client.sessions(&account).await.expect("listed").expect("a look");
    assert_eq!((look.sessions.len(), look.complete), (1 + 211, true));
    let revoked = client.revoke(&account, &all(), Some(&look)).await.expect("revoked").expect("something");
    assert!(!revoked.survives.iter().any(|text| text.contains("access token")), "{:?}", revoked.survives);
    assert_eq!(chat.server.tokens_of(&ana.id), [""; 0]);
    assert!(matches!(thief.check().await, Err(ProviderError::Unauthorized(_))));
    assert_eq!(chat.server.sessions_of(&ana.id), 0);
}

#[tokio::test]
async fn a_lesser_role_is_told_what_it_lacks() {
    let chat = Chat::start().await;
    let client = chat.manager();
    let admin = Person::new("boss").role(Role::SystemAdmin);
    chat.server.add_person(admin.clone());
    let account = find(client.as_ref(), &admin).await;
    for error in [
        client.sessions(&account).await.expect_err("out of reach"),
        client.revoke(&account, &all(), None).await.expect_err("out of reach"),
    ] {
        assert!(matches!(&error, ProviderError::Forbidden(_)), "{error:?}");
        assert!(error.to_string().contains("manage_system"), "{error}");
    }
    let report = client.check().await.expect("checked");
    assert_eq!(report.identity, "manager");
    assert!(report.missing[0].starts_with("read_user_access_token"), "{report:?}");
    chat.server.allow("manager", Permission::ReadUserAccessToken);
    assert_eq!(client.check().await.expect("checked").missing, [""; 0]);
    let report = chat.client().check().await.expect("checked");
    assert_eq!((report.identity.as_str(), report.excess.len()), ("sever", 1));
}

#[tokio::test]
async fn a_token_that_may_not_work_is_our_own_trouble() {
    let chat = Chat::start().await;
    let client = chat.manager();
    chat.server.disable_access_tokens();
    assert!(matches!(client.check().await, Err(ProviderError::Unauthorized(_))), "only bots are exempt");
    assert!(chat.client().check().await.is_ok());
    chat.server.revoke_token(TOKEN);
    assert!(matches!(chat.client().check().await, Err(ProviderError::Unauthorized(_))));

    let chat = Chat::start().await;
    chat.server.add_person(Person::new("manager").role(Role::UserManager).password("secret"));
    let (_, token) = chat.server.issue_token("manager");
    let client = chat.client_of(chat.settings(&token));
    assert!(client.check().await.is_ok());
    chat.server.enforce_mfa();
    let error = client.check().await.expect_err("a second factor is missing");
    assert!(matches!(&error, ProviderError::Unauthorized(_)) && error.to_string().contains("multi-factor"), "{error}");
}

#[tokio::test]
async fn an_account_with_a_hidden_address_is_not_acted_on() {
    let chat = Chat::start().await;
    let ana = chat.person("ana", 1);
    chat.server.hide_emails();
    let client = chat.manager();
    for subject in [email(&ana.email), id(&ana.id), username("ana")] {
        let error = client.resolve(&subject).await.expect_err("it may be protected");
        assert!(matches!(error, ProviderError::Refused(_)), "{error:?}");
    }
    assert!(chat.client().resolve(&email(&ana.email)).await.expect("an admin sees them").is_some());
}

#[tokio::test]
async fn an_error_that_repeats_our_token_shows_it_to_nobody() {
    let chat = Chat::start().await;
    chat.server.use_developer_mode();
    chat.server.revoke_token(TOKEN);
    let error = chat.client().check().await.expect_err("revoked");
    assert!(!format!("{error:?} {error}").contains(TOKEN), "{error:?}");
    assert_eq!(error.report().code.as_deref(), Some("api.context.session_expired.app_error"));
}

#[tokio::test]
async fn no_hostile_name_reaches_a_trap_or_changes_anything() {
    let chat = Chat::start().await;
    let ana = chat.person("ana", 2);
    let client = chat.client_of(chat.settings_with_tokens());
    let long = "x".repeat(10_240);
    for name in [
        "",
        ".",
        "..",
        "me",
        "ME",
        "a/b",
        "%2e%2e",
        "sessions",
        "sessions/revoke/all",
        "../users/sessions/revoke/all",
        "%2e%2e%2fsessions%2frevoke%2fall",
        "a?b",
        "a#b",
        "a;b",
        "a\\b",
        &long,
        "a\nb",
        "*",
        "％2e％2e",
        "/",
        "//",
        "ana/sessions/revoke/all",
        "x@y/../../sessions/revoke/all",
    ] {
        for subject in [id(name), email(name), username(name)] {
            assert!(!matches!(client.resolve(&subject).await, Ok(Some(_))), "{name:?}");
        }
        let account = Account::new(name, vec![name.to_owned()]);
        // With something seen, nothing is read before the call.
        let look = Look { sessions: vec![Session::default()], ..Look::default() };
        for seen in [None, Some(&look)] {
            assert!(client.revoke(&account, &all(), seen).await.is_err(), "{name:?}");
        }
        assert!(client.sessions(&account).await.is_err(), "{name:?}");
        let account = Account::new(ana.id.clone(), Vec::new());
        assert!(!matches!(client.revoke(&account, &given(&[name.to_owned()]), None).await, Ok(Some(_))), "{name:?}");
    }
    assert_eq!(chat.server.tripwires(), []);
    assert_eq!(chat.server.sessions_of(&ana.id), 2);
    assert!(chat.server.ledger().iter().all(|call| call.method == "GET"));
}
