//! What the config may say, and what it is told about its mistakes.

use super::*;
use crate::clock::SystemClock;
use crate::provider::ProviderSettings;

const SAMPLE: &str = "
kind: huawei_identity_center
url: https://identitystore.cn-north-4.myhuaweicloud.com
credentials: {access_key: {value: AKIDEXAMPLE01}, secret_key: {value: sk/Example+1=}}
identity_store_id: d-1234567890
attribute_path: user_name
external_id_issuer: https://idp.example
project_id: 0123456789abcdef0123456789abcdef
limits: {concurrency: 8, rate: 600/1m}
retry: {first: 1s, factor: 2, longest: 5m, give_up_after: 24h}
proof: {after: 2s, times: 3}
timeout: 10s
";

fn read(text: &str) -> Result<HuaweiSettings, String> {
    match serde_saphyr::from_str(text).map_err(|error| error.to_string())? {
        ProviderSettings::HuaweiIdentityCenter(settings) => Ok(settings),
        other => Err(format!("{other:?}")),
    }
}

fn sample() -> HuaweiSettings {
    read(SAMPLE).expect("the sample")
}

fn problems(settings: &HuaweiSettings) -> Vec<Problem> {
    let name = "cloud".parse().expect("a name");
    settings.build(&name, Arc::new(SystemClock::new())).err().unwrap_or_default()
}

fn fields(settings: &HuaweiSettings) -> Vec<String> {
    problems(settings).into_iter().map(|(field, _)| field).collect()
}

#[test]
fn what_is_left_out_has_the_documented_default() {
    let short = "{kind: huawei_identity_center, url: 'https://identitystore.cn-north-4.myhuaweicloud.com', \
                 identity_store_id: d-1234567890, \
                 credentials: {access_key: {value: AKIDEXAMPLE01}, secret_key: {value: 'sk/Example+1='}}}";
    let mut short = read(short).expect("settings");
    assert_eq!((short.external_id_issuer.take(), short.project_id.take(), short.limits.rate), (None, None, None));
    assert_eq!(problems(&short), []);
    let full = sample();
    assert_eq!(problems(&full), []);
    short.limits = full.limits;
    let (external_id_issuer, project_id) = (full.external_id_issuer.clone(), full.project_id.clone());
    assert_eq!(HuaweiSettings { external_id_issuer, project_id, ..short }, full);
}

#[test]
fn an_unknown_key_is_an_error_that_names_it() {
    for slip in ["identity_store", "region", "domain_id"] {
        let error = read(&format!("{SAMPLE}{slip}: x\n")).expect_err("a slip");
        assert!(error.contains(slip) && error.contains("line 13"), "{error}");
    }
    let slip = read(&SAMPLE.replace("secret_key", "secret")).expect_err("a slip");
    assert!(slip.contains("`secret`"), "{slip}");
    assert!(read(&SAMPLE.replace("identity_store_id: d-1234567890\n", "")).is_err());
}

#[test]
fn the_schema_knows_every_key_and_no_other() {
    let schema = serde_json::to_value(schemars::schema_for!(ProviderSettings)).expect("a schema");
    let validator = jsonschema::validator_for(&schema).expect("a valid schema");
    let sample: serde_json::Value = serde_saphyr::from_str(SAMPLE).expect("the sample");
    assert!(validator.is_valid(&sample), "{schema:#}");
    let mut slipped = sample.clone();
    slipped["region"] = "cn-north-4".into();
    assert!(!validator.is_valid(&slipped));
}

#[test]
fn all_problems_are_reported_at_once_with_their_mends() {
    let mut settings = sample();
    settings.url = "https://identitystore.{region}.myhuaweicloud.com".to_owned();
    settings.credentials.access_key = SecretRef::Env("SEVER_TEST_NOT_SET".to_owned());
    settings.credentials.secret_key = SecretRef::Value("sk with blanks".to_owned());
    settings.credentials.security_token = Some(SecretRef::Value("tok\r\nX-Evil: 1".to_owned()));
    settings.identity_store_id = "../d-12345678".to_owned();
    settings.attribute_path = String::new();
    settings.external_id_issuer = Some(" x".to_owned());
    settings.project_id = Some("a\nb".to_owned());
    settings.proof.times = 0;
    let expected = [
        "proof.times",
        "url",
        "credentials.access_key",
        "credentials.secret_key",
        "credentials.security_token",
        "identity_store_id",
        "attribute_path",
        "external_id_issuer",
        "project_id",
    ];
    assert_eq!(fields(&settings), expected);
    let shown = format!("{:?}", problems(&settings));
    assert!(!shown.contains("sk with") && !shown.contains("X-Evil"), "{shown}");
}

#[test]
fn an_identity_store_id_is_nothing_but_one() {
    for wrong in
        ["", "d-", "d-123456789", "d-12345678901", "D-1234567890", "d-12345/7890", "d-12345%2F90", "1234567890ab"]
    {
        let settings = HuaweiSettings { identity_store_id: wrong.to_owned(), ..sample() };
        assert_eq!(fields(&settings), ["identity_store_id"], "{wrong}");
    }
}

#[test]
fn the_host_of_instances_is_not_the_one_of_users() {
    for host in ["identitycenter.myhuaweicloud.com", "identitycenter.cn-north-4.myhuaweicloud.com"] {
        let found = problems(&HuaweiSettings { url: format!("https://{host}"), ..sample() });
        assert!(found.len() == 1 && found[0].1.contains("https://identitystore."), "{found:?}");
    }
    let plain = HuaweiSettings { url: "http://identitystore.cn-north-4.myhuaweicloud.com".to_owned(), ..sample() };
    assert_eq!(fields(&plain), ["url"]);
}

#[test]
fn no_secret_shows() {
    let mut settings = sample();
    settings.credentials.security_token = Some(SecretRef::Value("ggpjbi1TOKEN".to_owned()));
    let name = "cloud".parse().expect("a name");
    let built = settings.build(&name, Arc::new(SystemClock::new())).expect("a client");
    let shown = format!("{settings:?} {built:?}");
    assert!(!["AKID", "sk/E", "ggpj"].iter().any(|secret| shown.contains(secret)), "{shown}");
    let comma = SecretRef::Value("AKID,SignedHeaders=host".to_owned());
    settings.credentials.access_key = comma;
    assert_eq!(fields(&settings), ["credentials.access_key"]);
}
