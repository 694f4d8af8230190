//! The commands of `docs/tls.md`, run in their order.

use std::process::Command;

use crate::process::sever;
use crate::support::pki::Pki;
use crate::testapp::CONFIG;

/// The `sh` blocks that begin with this.
fn block<'d>(page: &'d str, start: &str) -> &'d str {
    let blocks = page.split("```sh\n").skip(1).filter_map(|rest| rest.split("\n```").next());
    blocks.filter(|block| block.starts_with(start)).collect::<Vec<_>>()[0]
}

fn bash(pki: &Pki, script: &str) -> String {
    let output = Command::new("bash").args(["-euc", script]).current_dir(pki.path("")).output().expect("bash runs");
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn an_authority_made_as_the_page_says_is_one_and_subjects_are_printed_as_they_are_compared() {
    let page = include_str!("../../../docs/tls.md");
    let pki = Pki::new();
    bash(&pki, block(page, "openssl req -x509"));
    let subject = bash(&pki, block(page, "openssl x509 -noout"));
    assert_eq!(subject.trim(), "subject=CN=edr,O=Acme");
    let [cert, key, ca] = ["sever.crt", "sever.key", "ca.crt"].map(|file| pki.text(file));
    let listen = format!("listen: {{address: 127.0.0.1:0, tls: {{cert: {cert}, key: {key}, client_ca: {ca}}}}}");
    let config = CONFIG.replace("listen: 127.0.0.1:0", &listen).replace("{okta}", "https://acme.okta.com");
    let source = r#"    client_subjects: ["CN=edr,O=Acme", "dns:edr.acme.com", "uri:spiffe://acme.com/edr"]"#;
    assert!(page.contains(source.trim()), "the page shows the same");
    pki.write(
        "sever.yaml",
        &config.replace("providers:", &format!("{source}\nproviders:")).replace("{dir}", &pki.text("")),
    );
    let output = sever().args(["check", "-c", &pki.text("sever.yaml")]).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let chain = bash(&pki, "openssl verify -CAfile ca.crt sever.crt edr.crt");
    assert_eq!(chain, "sever.crt: OK\nedr.crt: OK\n");
}
