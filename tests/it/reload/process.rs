//! The real process, and its signal.

use std::process::Command;
use std::time::Duration;

use crate::process::Server;
use crate::service::Setup;

fn hang_up(server: &Server) {
    let kill = Command::new("kill").args(["-HUP", &server.pid().to_string()]).status().expect("kill runs");
    assert!(kill.success());
}

async fn until_said(server: &Server, words: &str, times: usize) {
    for _ in 0..600 {
        if server.log().iter().filter(|line| line.contains(words)).count() >= times {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{words:?} was not said {times} times: {:#?}", server.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_reloads_and_a_wrong_file_does_not_end_the_process() {
    let setup = Setup::new().await;
    let server = setup.serve(&[]);
    let operator = setup.secret("oncall");
    hang_up(&server);
    until_said(&server, "the config is the one in use", 1).await;

    let good = std::fs::read_to_string(setup.config()).expect("the config");
    std::fs::write(setup.config(), good.replace("rules:", "ruless:")).expect("written");
    hang_up(&server);
    until_said(&server, "the changed config is not in use", 1).await;
    let metrics = setup.admin(&server, "/metrics", &operator).await;
    assert!(metrics.contains("sever_config_reload_ok 0"), "{metrics}");

    std::fs::write(setup.config(), good.replace("  edr:", "  siem:")).expect("written");
    hang_up(&server);
    until_said(&server, "the changed config is in use", 1).await;
    let metrics = setup.admin(&server, "/metrics", &operator).await;
    assert!(metrics.contains("sever_config_reload_ok 1"), "{metrics}");
    let audit = setup.admin(&server, "/v1/audit", &operator).await;
    assert!(audit.contains("config_reloaded") && audit.contains("sources.siem"), "{audit}");
    let (status, _) = server.terminate();
    assert_eq!(status, Some(0));
}
