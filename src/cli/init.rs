//! `sever init`: a commented config and fresh secrets, ready to serve.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use clap::Args;

use super::{Failure, Outcome, out};
use crate::audit::SigningKey;

/// Arguments of `sever init`.
#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// The folder to write into; created if it is not there
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
}

/// Secrets that only the service's user may read.
pub(super) const SECRET_MODE: u32 = 0o600;

const TEMPLATE: &str = include_str!("init/sever.yaml");

pub(super) fn run(args: &InitArgs) -> Outcome {
    let folder = &args.folder;
    let config = folder.join("sever.yaml");
    if config.exists() {
        let message = format!("{} is there already; name another folder, or move it away", config.display());
        return Err(Failure::Usage(anyhow!(message)));
    }
    let secrets = folder.join("secrets");
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&secrets)
        .with_context(|| format!("cannot create {}", secrets.display()))?;
    let absolute = folder.canonicalize().context("cannot find the folder")?;
    write_new(&secrets.join("edr"), &format!("{}\n", webhook_secret()?), SECRET_MODE)?;
    write_new(&secrets.join("oncall"), &format!("{}\n", random_word()?), SECRET_MODE)?;
    let audit_key = SigningKey::generate().context("no key for the audit record")?;
    let public = SigningKey::from_pem(&audit_key).context("no key for the audit record")?.public();
    write_new(&secrets.join("audit-key"), &audit_key, SECRET_MODE)?;
    write_new(&folder.join("audit-key.pub"), &public.to_pem(), 0o644)?;
    write_new(&config, &TEMPLATE.replace("@DIR@", &absolute.display().to_string()), 0o644)?;
    out(&format!("Wrote {} and fresh secrets in {}.", config.display(), secrets.display()));
    out("Next:");
    out("  1. export OKTA_TOKEN=...   (an API token of your Okta organisation)");
    out(&format!("  2. set providers.okta.url in {}", config.display()));
    out(&format!("  3. sever check -c {} --online", config.display()));
    out(&format!("  4. sever serve -c {}", config.display()));
    Ok(())
}

/// A token that nobody guesses, of characters that need no quoting.
pub(super) fn random_word() -> anyhow::Result<String> {
    Ok(URL_SAFE_NO_PAD.encode(random::<32>()?))
}

/// A secret of Standard Webhooks.
pub(super) fn webhook_secret() -> anyhow::Result<String> {
    Ok(format!("whsec_{}", STANDARD.encode(random::<32>()?)))
}

fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| anyhow!("the system gave no random numbers"))?;
    Ok(bytes)
}

/// Never writes over anything: it may be a secret in use.
pub(super) fn write_new(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .with_context(|| format!("cannot create {}", path.display()))?;
    file.write_all(text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
}
