//! RabbitMQ for tests: the node that `tests/run` started, nodes of one's own that can be broken, and a publisher that
//! shares no code with ours.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use lapin::message::BasicGetMessage;
use lapin::options::{
    BasicAckOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions,
    QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use serde_json::Value;
use tempfile::TempDir;

/// A node starts within ten seconds where nothing else is built beside.
const PATIENCE: Duration = Duration::from_secs(120);

/// The node that all tests share.
#[expect(clippy::disallowed_methods, reason = "tests/run says where it started the broker")]
pub(crate) fn url() -> String {
    std::env::var("SEVER_TEST_AMQP_URL").unwrap_or_else(|_| {
        panic!("SEVER_TEST_AMQP_URL names no RabbitMQ; run tests/run, which starts one, or set it to amqp://...")
    })
}

/// Ports that nobody listens on just now.
fn free_ports<const N: usize>() -> [u16; N] {
    let held: Vec<_> = (0..N).map(|_| TcpListener::bind("127.0.0.1:0").expect("a port")).collect();
    std::array::from_fn(|at| held[at].local_addr().expect("an address").port())
}

/// A node of one's own. Whatever ends this process ends the node as well.
pub(crate) struct Node {
    folder: TempDir,
    pub(crate) port: u16,
    pub(crate) management: u16,
    /// Ends the node once its input ends.
    keeper: Child,
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// Ends when the test process does, and takes the node and its port mapper along.
const KEEPER: &str = r#"
trap '' TERM INT HUP
. "$1/env"
cat > /dev/null
kill -9 "$(cat "$1/pid")" 2>/dev/null
for wait in 1 2 3 4 5; do sleep 0.2; epmd -port "$ERL_EPMD_PORT" -kill > /dev/null 2>&1 && break; done
cd /; rm -rf "$1"
"#;

impl Node {
    /// The node that tests of a process share when they break it one after the other.
    pub(crate) async fn shared() -> (&'static Self, tokio::sync::MutexGuard<'static, ()>) {
        static NODE: OnceLock<Node> = OnceLock::new();
        static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
        let turn = TURN.lock().await;
        (NODE.get_or_init(|| Self::prepare("[rabbitmq_management].", "")), turn).begin().await
    }

    /// Writes everything that a node needs; `config` is added to its own.
    pub(crate) fn prepare(plugins: &str, config: &str) -> Self {
        assert!(server().exists(), "{} is missing; run: apt-get install rabbitmq-server", server().display());
        let folder = tempfile::Builder::new().prefix("sever-test-rabbitmq").tempdir().expect("a folder");
        let [port, management, mapper, distribution] = free_ports();
        let root = folder.path().display();
        let listen = format!(
            "listeners.tcp.1 = 127.0.0.1:{port}\nlog.console = false\nmanagement.tcp.ip = 127.0.0.1\n\
             management.tcp.port = {management}\n"
        );
        let listen = if plugins.contains("management") { listen } else { listen.replace("management.", "# ") };
        let environment = format!(
            "export HOME={root} RABBITMQ_NODENAME=sever{port}@localhost RABBITMQ_CONFIG_FILE={root}/rabbitmq\n\
             export RABBITMQ_MNESIA_BASE={root}/mnesia RABBITMQ_LOG_BASE={root}/log RABBITMQ_PID_FILE={root}/pid\n\
             export RABBITMQ_ENABLED_PLUGINS_FILE={root}/plugins RABBITMQ_CONF_ENV_FILE=/dev/null LANG=C.UTF-8\n\
             export ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT={mapper} RABBITMQ_DIST_PORT={distribution}\n\
             export RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-kernel inet_dist_use_interface {{127,0,0,1}}'\ncd {root}\n"
        );
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
        write("env", &environment);
        write("plugins", plugins);
        write("rabbitmq.conf", &format!("{listen}{config}"));
        let keeper = Command::new("bash")
            .args(["-c", KEEPER, "keeper"])
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("bash runs");
        let node = Self { folder, port, management, keeper };
        node.start();
        node
    }

    pub(crate) fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}", self.port)
    }

    /// Starts it, and does not wait.
    pub(crate) fn start(&self) {
        let _ = std::fs::remove_file(self.folder.path().join("pid"));
        let status = self.command("rabbitmq-server -detached").status().expect("it runs");
        assert!(status.success(), "rabbitmq-server does not start");
    }

    /// kill -9, from the first moment on.
    pub(crate) async fn kill(&self) {
        self.signal("KILL").await;
    }

    /// It hangs: its connections stay open and nothing is answered.
    pub(crate) async fn suspend(&self) {
        self.signal("STOP").await;
    }

    pub(crate) async fn resume(&self) {
        self.signal("CONT").await;
    }

    async fn signal(&self, name: &str) {
        let file = self.folder.path().join("pid");
        let pid = until("a pid file", async || std::fs::read_to_string(&file).ok().filter(|pid| !pid.is_empty())).await;
        let status = Command::new("kill").args([&format!("-{name}"), pid.trim()]).status().expect("it runs");
        assert!(status.success(), "no such node");
    }

    /// `rabbitmqctl`, which has to succeed.
    pub(crate) fn ctl(&self, arguments: &str) -> String {
        let output = self.command(&format!("rabbitmqctl -q {arguments}")).output().expect("it runs");
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn command(&self, line: &str) -> Command {
        let bin = server().parent().expect("a folder").display().to_string();
        let mut command = Command::new("bash");
        command.args(["-c", &format!(". {}/env; exec {bin}/{line}", self.folder.path().display())]);
        command.stdin(Stdio::null());
        command
    }

    pub(crate) async fn ready(&self) {
        let url = self.url();
        until("the node takes connections", async || Broker::try_at(&url).await.ok()).await;
    }
}

/// A node once it runs.
trait Begin: Sized {
    async fn begin(self) -> Self;
}

impl Begin for (&'static Node, tokio::sync::MutexGuard<'static, ()>) {
    async fn begin(self) -> Self {
        self.0.ready().await;
        self
    }
}

fn server() -> &'static Path {
    Path::new("/usr/lib/rabbitmq/bin/rabbitmq-server")
}

/// Asks until there is an answer.
pub(crate) async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let waited = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waited).await.unwrap_or_else(|_| panic!("waited in vain: {what}"))
}

/// What a test leaves behind goes away by itself; later than any test lasts in which a queue is not looked at.
const EXPIRES_MS: i32 = 2 * 60 * 60 * 1000;

/// A publisher and operator of its own at one broker.
pub(crate) struct Broker {
    connection: Connection,
    channel: Channel,
}

impl Broker {
    pub(crate) async fn at(url: &str) -> Self {
        Self::try_at(url).await.expect("a broker")
    }

    pub(crate) async fn try_at(url: &str) -> anyhow::Result<Self> {
        // A broker that just starts may take the connection and forget it.
        tokio::time::timeout(Duration::from_secs(5), Self::connect(url)).await?
    }

    async fn connect(url: &str) -> anyhow::Result<Self> {
        let connection = Connection::connect(url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(Self { connection, channel })
    }

    /// A channel of its own, for what may fail.
    pub(crate) async fn channel(&self) -> Channel {
        self.connection.create_channel().await.expect("a channel")
    }

    /// A quorum queue that dead-letters to `<name>.dead`, both gone ten minutes after nobody uses them.
    pub(crate) async fn queues(&self, name: &str) {
        let dead = format!("{name}.dead");
        self.queue(&dead, &[]).await;
        let text = |text: &str| AMQPValue::LongString(text.into());
        self.queue(name, &[("x-dead-letter-exchange", text("")), ("x-dead-letter-routing-key", text(&dead))]).await;
    }

    pub(crate) async fn queue(&self, name: &str, arguments: &[(&str, AMQPValue)]) {
        let usual =
            [("x-queue-type", AMQPValue::LongString("quorum".into())), ("x-expires", AMQPValue::LongInt(EXPIRES_MS))];
        let arguments = usual.iter().chain(arguments).fold(FieldTable::default(), |mut table, (name, value)| {
            table.insert((*name).into(), value.clone());
            table
        });
        self.channel.queue_declare(name.into(), QueueDeclareOptions::durable(), arguments).await.expect("declared");
    }

    pub(crate) async fn delete(&self, name: &str) {
        self.channel.queue_delete(name.into(), QueueDeleteOptions::default()).await.expect("deleted");
    }

    /// Publishes and waits for the confirmation; whether there was one.
    pub(crate) async fn try_publish(&self, queue: &str, message: &Outgoing) -> bool {
        let options = BasicPublishOptions { mandatory: true, immediate: false };
        let properties = message.properties.clone().with_delivery_mode(2);
        let published = self.channel.basic_publish("".into(), queue.into(), options, &message.body, properties).await;
        match published {
            Ok(confirm) => matches!(confirm.await, Ok(Confirmation::Ack(None))),
            Err(_) => false,
        }
    }

    pub(crate) async fn publish(&self, queue: &str, message: &Outgoing) {
        assert!(self.try_publish(queue, message).await, "not confirmed");
    }

    /// Messages that wait, not counting those that somebody holds.
    pub(crate) async fn waiting(&self, queue: &str) -> u32 {
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let queue = self.channel.queue_declare(queue.into(), options, FieldTable::default()).await;
        queue.expect("the queue").message_count()
    }

    /// Takes the next message for good.
    pub(crate) async fn get(&self, queue: &str) -> Option<BasicGetMessage> {
        let message = self.channel.basic_get(queue.into(), BasicGetOptions::default()).await.expect("an answer")?;
        message.ack(BasicAckOptions::default()).await.expect("acknowledged");
        Some(message)
    }

    /// The next message of a queue, once it is there.
    pub(crate) async fn next(&self, queue: &str) -> BasicGetMessage {
        until(&format!("a message in {queue}"), async || self.get(queue).await).await
    }

    /// Nothing is in the queue, and nobody holds a message of it: once its consumer is gone, nothing comes back.
    pub(crate) async fn assert_empty(&self, queue: &str) {
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(self.waiting(queue).await, 0, "messages are left in {queue}");
    }
}

/// A message to publish.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub(crate) properties: BasicProperties,
    pub(crate) body: Vec<u8>,
}

impl Outgoing {
    pub(crate) fn new(body: &Value, headers: impl IntoIterator<Item = (http::HeaderName, http::HeaderValue)>) -> Self {
        let mut message = Self { properties: BasicProperties::default(), body: body.to_string().into_bytes() };
        for (name, value) in headers {
            message = message.header(name.as_str(), AMQPValue::LongString(value.as_bytes().to_vec().into()));
        }
        message
    }

    pub(crate) fn header(mut self, name: &str, value: AMQPValue) -> Self {
        let mut table = self.properties.headers().clone().unwrap_or_default();
        table.insert(name.into(), value);
        self.properties = self.properties.with_headers(table);
        self
    }
}

/// The reason of the last death, as the broker tells it.
pub(crate) fn death(message: &BasicGetMessage) -> String {
    let headers = message.properties.headers().as_ref().expect("headers");
    match headers.inner().get("x-first-death-reason") {
        Some(AMQPValue::LongString(reason)) => reason.to_string(),
        other => panic!("no death: {other:?}"),
    }
}
