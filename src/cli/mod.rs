//! The command line. One file per command.
//!
//! Exit status: 0 fine, 1 it failed, 2 wrong usage or config. Errors go to stderr in one sentence with the mend.

mod alerts;
mod approve;
mod audit;
mod bulk;
mod check;
mod client;
mod completions;
mod demo;
mod formats;
mod init;
mod jobs;
mod load;
mod pause;
mod place;
mod plan;
mod providers;
mod publish;
mod quarantine;
mod queues;
mod receipt;
mod refusals;
mod revoke;
mod sandbox;
mod schema;
mod send;
mod serve;
mod sessions;
mod sign;
mod signing;
mod source;
mod status;
mod stop;
mod text;
mod tls;
mod wait;
mod words;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::telemetry::LogFormat;

#[derive(Debug, Parser)]
#[command(name = "sever", version, about, max_term_width = 100)]
#[command(after_help = "Example: sever demo\n`sever help COMMAND` has an example of each.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the whole pipeline on this machine, with stand-ins of the providers
    #[command(after_help = "Example: sever demo --exit")]
    Demo(demo::DemoArgs),
    /// Take alerts and end sessions, until told to stop
    #[command(after_help = "Example: sever serve -c sever.yaml")]
    Serve(serve::ServeArgs),
    /// Write a commented sever.yaml and fresh secrets
    #[command(after_help = "Example: sever init /etc/sever")]
    Init(init::InitArgs),
    /// Tell every problem of a config at once
    #[command(after_help = "Example: sever check -c sever.yaml --online")]
    Check(check::CheckArgs),
    /// Run the stand-ins of the providers alone
    #[command(after_help = "Example: sever sandbox --latency 20ms --fail throttle:3")]
    Sandbox(sandbox::SandboxArgs),
    /// Print a JSON schema
    #[command(after_help = "Example: sever schema config > config.schema.json")]
    Schema(schema::SchemaArgs),
    /// Print a script that completes commands and options in a shell
    #[command(after_help = "Example: sever completions bash > /etc/bash_completion.d/sever\n     or: \
        sever completions fish > ~/.config/fish/completions/sever.fish")]
    Completions(completions::CompletionsArgs),
    /// List the formats of alerts, and print the mapping behind one
    #[command(after_help = "Example: sever formats show grafana")]
    Formats(formats::FormatsArgs),
    /// Tell what would happen to an alert, and why; sends nothing
    #[command(after_help = "Example: sever plan -c sever.yaml --source edr alert.json")]
    Plan(plan::PlanArgs),
    /// Sign a body, and print the headers to send with it
    #[command(after_help = "Example: sever sign --source edr alert.json | \\\n    \
        curl -H @- --data-binary @alert.json http://127.0.0.1:8080/v1/alerts/edr")]
    Sign(Box<sign::SignArgs>),
    /// Sign a body and send it, as a source of alerts does
    #[command(after_help = "Example: sever send -c sever.yaml --source edr alert.json --wait\n     or: \
        sever send --source soc-queue --amqp alert.json --wait")]
    Send(Box<send::SendArgs>),
    /// Find out how many alerts a second are carried, and whether each arrives
    #[command(after_help = "Example: sever load --duration 30s\n     or: \
        sever load -c sever.yaml --source edr --url https://staging.acme.com --sink 10.0.0.7:9900 --rate 500")]
    Load(Box<load::LoadArgs>),
    /// Tell what is still open
    #[command(after_help = "Example: sever status --watch")]
    Status(status::StatusArgs),
    /// List jobs, and decide about them
    #[command(after_help = "Example: sever jobs --state held --provider okta")]
    Jobs(jobs::JobsArgs),
    /// Let a held job go on, or many
    #[command(
        after_help = "Example: sever approve 0199a7f0-3c1e-7a52-9d0b-5a4f0e6b7c11 --reason 'asked Ana'\n     or: \
        sever approve --hold-reason budget --provider okta"
    )]
    Approve(approve::ApproveArgs),
    /// List alerts, show one, or plan one again
    #[command(after_help = "Example: sever alerts --limit 20")]
    Alerts(alerts::AlertsArgs),
    /// Look into deliveries that could not be decoded, and replay them
    #[command(after_help = "Example: sever quarantine list")]
    Quarantine(quarantine::QuarantineArgs),
    /// Tell why deliveries of a source were refused
    #[command(after_help = "Example: sever refusals edr")]
    Refusals(refusals::RefusalsArgs),
    /// List the providers, and what keeps each from being called
    #[command(after_help = "Example: sever providers")]
    Providers(providers::ProvidersArgs),
    /// List a person's sessions at a provider
    #[command(after_help = "Example: sever sessions slack --email ana@example.com")]
    Sessions(sessions::SessionsArgs),
    /// List what happened, check that the record of it is whole, and export it
    #[command(after_help = "Example: sever audit --job 0199a7f0-3c1e-7a52-9d0b-5a4f0e6b7c11")]
    Audit(Box<audit::AuditArgs>),
    /// End a person's sessions now, without an alert
    #[command(after_help = "Example: sever revoke --email ana@example.com --reason 'lost laptop' --wait")]
    Revoke(Box<revoke::RevokeArgs>),
    /// Stop calling a provider, or all of them; alerts are still taken
    #[command(after_help = "Example: sever pause okta --reason 'their incident'")]
    Pause(pause::PauseArgs),
    /// Call a provider, or all of them, again
    #[command(after_help = "Example: sever resume okta")]
    Resume(pause::PauseArgs),
}

/// The command line as a whole, for whoever describes it.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// Where the config is.
#[derive(Debug, Args)]
struct ConfigFile {
    /// The config file
    #[arg(short, long, value_name = "FILE", default_value = "sever.yaml")]
    config: PathBuf,
}

/// How log lines are written.
#[derive(Debug, Args)]
struct Logs {
    /// How log lines are written to stderr; RUST_LOG sets how many
    #[arg(long, value_enum, default_value_t)]
    log_format: LogFormat,
}

/// How a command ends badly.
#[derive(Debug)]
pub(super) enum Failure {
    /// It was asked for in a wrong way, or the config is wrong: exit status 2.
    Usage(anyhow::Error),
    /// It did not work: exit status 1.
    Failed(anyhow::Error),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

/// What a command comes to.
pub(super) type Outcome = Result<(), Failure>;

/// Runs the command that the arguments name.
#[must_use]
pub fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Demo(args) => demo::run(&args),
        Command::Serve(args) => serve::run(args),
        Command::Init(args) => init::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Sandbox(args) => sandbox::run(args),
        Command::Schema(args) => schema::run(args),
        Command::Completions(args) => completions::run(&args),
        Command::Formats(args) => formats::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Sign(args) => sign::run(&args),
        Command::Send(args) => send::run(&args),
        Command::Load(args) => load::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Jobs(args) => jobs::run(&args),
        Command::Approve(args) => approve::run(&args),
        Command::Alerts(args) => alerts::run(&args),
        Command::Quarantine(args) => quarantine::run(&args),
        Command::Refusals(args) => refusals::run(&args),
        Command::Providers(args) => providers::run(&args),
        Command::Sessions(args) => sessions::run(&args),
        Command::Audit(args) => audit::run(&args),
        Command::Revoke(args) => revoke::run(&args),
        Command::Pause(args) => pause::pause(&args),
        Command::Resume(args) => pause::resume(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(error)) => complain(&error, 2),
        Err(Failure::Failed(error)) => complain(&error, 1),
    }
}

fn complain(error: &anyhow::Error, status: u8) -> ExitCode {
    err(&format!("sever: {error:#}"));
    ExitCode::from(status)
}

/// Prints a line for the user. A closed pipe is the reader's choice, not a failure.
pub(super) fn out(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// Prints a line about trouble or progress.
pub(super) fn err(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Runs an asynchronous command.
pub(super) fn block_on<T>(task: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(anyhow::Error::from)?;
    Ok(runtime.block_on(task))
}
