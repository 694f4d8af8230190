//! RabbitMQ: the node that SEVER_TEST_AMQP_URL names, or one of our own.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::process::{Memory, family};

/// The functions of `tests/run`, which know how. Ends when its input does, whatever ends this process.
const KEEPER: &str = r#"
trap '' INT
eval "$(sed -n '/^fail() {/,/^}/p; /^install() {/,/^}/p; /^need_rabbitmq() {/,/^}/p; /^end_rabbitmq() {/,/^}/p' tests/run)"
trap end_rabbitmq EXIT
need_rabbitmq > /dev/null && echo "$SEVER_TEST_AMQP_URL $(<"$rabbitmq/pid")"
cat > /dev/null
"#;

/// A broker.
pub(crate) struct Broker {
    pub(crate) url: String,
    own: Option<Node>,
}

struct Node {
    keeper: Child,
    input: Option<ChildStdin>,
    process: u32,
}

impl Broker {
    pub(crate) fn start() -> Self {
        match crate::amqp::url() {
            Some(url) => Self { url, own: None },
            None => Self::own(),
        }
    }

    fn own() -> Self {
        let mut keeper = Command::new("bash")
            .args(["-c", KEEPER])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("bash starts");
        let (input, output) = (keeper.stdin.take(), keeper.stdout.take().expect("its output"));
        let line = BufReader::new(output).lines().next().and_then(Result::ok);
        let line = line.expect("RabbitMQ starts; SEVER_TEST_AMQP_URL may name another");
        let (url, process) = line.split_once(' ').expect("URL and process");
        let process = process.trim().parse().expect("a number");
        Self { url: url.to_owned(), own: Some(Node { keeper, input, process }) }
    }

    /// Of a node of our own, in KiB.
    pub(crate) fn memory(&self) -> Option<u64> {
        self.own.as_ref().map(|node| Memory::of(&family(node.process)).resident)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.keeper.wait();
    }
}
