//! How a body is to be signed: as a source of the config expects, or as the arguments say.

use std::path::PathBuf;

use anyhow::anyhow;
use clap::Args;
use http::{HeaderName, HeaderValue, Uri};
use jiff::Timestamp;
use serde::de::DeserializeOwned;

use super::source::Chosen;
use super::{ConfigFile, Failure};
use crate::clock::{Clock, SystemClock};
use crate::domain::SourceName;
use crate::ingest::SourceSettings;
use crate::settings::SecretRef;
use crate::verify::{
    HeaderPrefix, MacAlgorithm, SignatureEncoding, SignatureScheme, Signer, TimestampFormat, Verifier, VerifySettings,
};

/// How to sign.
#[derive(Debug, Args)]
pub(super) struct SigningArgs {
    #[command(flatten)]
    file: ConfigFile,
    /// The source of the config to sign for, with the first of its secrets [default: the only one]
    #[arg(long, value_name = "NAME")]
    pub(super) source: Option<SourceName>,
    /// Sign without a config, by a scheme that `verify.scheme` of the config could name
    #[arg(long, value_parser = word::<SignatureScheme>, conflicts_with = "config", requires = "secret_file")]
    scheme: Option<SignatureScheme>,
    /// The file with the secret
    #[arg(long, value_name = "FILE", requires = "scheme")]
    secret_file: Option<PathBuf>,
    /// standard-webhooks: what the headers begin with: webhook or svix
    #[arg(long, value_name = "WORD", value_parser = word::<HeaderPrefix>, requires = "scheme")]
    header_prefix: Option<HeaderPrefix>,
    /// The header with the signature or secret, where it can be chosen
    #[arg(long, value_name = "NAME", requires = "scheme")]
    header: Option<String>,
    /// hmac: what stands before the signature
    #[arg(long, value_name = "TEXT", requires = "scheme")]
    prefix: Option<String>,
    /// hmac: sha256 or sha512
    #[arg(long, value_parser = word::<MacAlgorithm>, requires = "scheme")]
    algorithm: Option<MacAlgorithm>,
    /// hmac, crowdstrike: hex or base64
    #[arg(long, value_parser = word::<SignatureEncoding>, requires = "scheme")]
    encoding: Option<SignatureEncoding>,
    /// hmac, crowdstrike: the signed bytes, for example {timestamp}.{body}
    #[arg(long, value_name = "TEMPLATE", requires = "scheme")]
    signed: Option<String>,
    /// hmac: the header with the id
    #[arg(long, value_name = "NAME", requires = "scheme")]
    id_header: Option<String>,
    /// hmac, grafana, crowdstrike: the header with the time of signing
    #[arg(long, value_name = "NAME", requires = "scheme")]
    timestamp_header: Option<String>,
    /// hmac, crowdstrike: unix, unix_ms or rfc3339
    #[arg(long, value_name = "WORD", value_parser = word::<TimestampFormat>, requires = "scheme")]
    timestamp_format: Option<TimestampFormat>,
    /// rfc9421: the keyid
    #[arg(long, value_name = "ID", requires = "scheme")]
    key_id: Option<String>,
    /// The delivery's id, where the scheme signs one [default: a fresh one]
    #[arg(long)]
    id: Option<String>,
    /// The time of signing, where the scheme signs one, as RFC 3339 [default: now]
    #[arg(long, value_name = "TIME")]
    time: Option<Timestamp>,
}

/// A word of the config as an argument.
fn word<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(text.into()).map_err(|error| error.to_string())
}

/// Signs deliveries of one id.
pub(super) struct Signing {
    /// The source, unless the scheme was given without one.
    pub(super) source: Option<SourceName>,
    /// What the config says about it, where it was read.
    pub(super) settings: Option<SourceSettings>,
    signer: Signer,
    id: String,
    time: Option<Timestamp>,
}

impl SigningArgs {
    /// Reads the config, if it is needed, and the secret.
    ///
    /// `url` is where the body will be posted, which some schemes sign.
    pub(super) fn prepare(&self, url: impl Fn(Option<&SourceName>) -> Option<Uri>) -> Result<Signing, Failure> {
        let (source, configured, mut settings) = self.settings()?;
        // The others need not be on this machine.
        settings.secrets.truncate(1);
        settings.key_ids.truncate(1);
        let mut signer = Signer::new(&settings).map_err(|problems| wrong(&problems))?;
        if let Some(url) = url(source.as_ref()) {
            signer = signer.posting_to(url);
        }
        let id = self.id.clone().unwrap_or_else(|| format!("msg_{}", uuid::Uuid::now_v7().simple()));
        let signing = Signing { source, settings: configured, signer, id, time: self.time };
        self.refuse_what_would_be_ignored(&signing, &settings)?;
        Ok(signing)
    }

    fn settings(&self) -> Result<(Option<SourceName>, Option<SourceSettings>, VerifySettings), Failure> {
        let (Some(scheme), Some(secret)) = (self.scheme, &self.secret_file) else {
            let chosen = Chosen::read(&self.file, self.source.as_ref())?;
            let verify = chosen.source.verify.clone();
            return Ok((Some(chosen.name), Some(chosen.source), verify));
        };
        let settings = VerifySettings {
            header_prefix: self.header_prefix,
            header: self.header.clone(),
            prefix: self.prefix.clone(),
            algorithm: self.algorithm,
            encoding: self.encoding,
            signed: self.signed.clone(),
            id_header: self.id_header.clone(),
            timestamp_header: self.timestamp_header.clone(),
            timestamp_format: self.timestamp_format,
            key_ids: self.key_id.iter().cloned().collect(),
            ..VerifySettings::new(scheme, vec![SecretRef::File(secret.clone())])
        };
        Ok((self.source.clone(), None, settings))
    }

    /// Whether the arguments name a scheme, and so need no config.
    pub(super) fn names_scheme(&self) -> bool {
        self.scheme.is_some()
    }

    fn refuse_what_would_be_ignored(&self, signing: &Signing, settings: &VerifySettings) -> Result<(), Failure> {
        let scheme = settings.scheme;
        if self.time.is_some() && !signs_time(settings) {
            return Err(Failure::Usage(anyhow!("{scheme} signs no time as it is set here; leave out --time")));
        }
        let probe = signing.sign(b"{}")?;
        if self.id.is_some() && !probe.iter().any(|(_, value)| value.as_bytes() == signing.id.as_bytes()) {
            return Err(Failure::Usage(anyhow!("{scheme} signs no id as it is set here; leave out --id")));
        }
        Ok(())
    }
}

fn signs_time(settings: &VerifySettings) -> bool {
    let name = "sender".parse::<SourceName>().ok();
    name.and_then(|name| Verifier::new(name, settings).ok()).is_some_and(|verifier| verifier.window().is_some())
}

fn wrong(problems: &[crate::verify::VerifierProblem]) -> Failure {
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    Failure::Usage(anyhow!("it cannot be signed: {}", lines.join("; ")))
}

impl Signing {
    /// As these settings say, for no source in particular.
    pub(super) fn of(settings: VerifySettings) -> Result<Self, Failure> {
        let signer = Signer::new(&settings).map_err(|problems| wrong(&problems))?;
        Ok(Self { source: None, settings: None, signer, id: String::new(), time: None })
    }

    /// The headers that go with this body, under an id of its own. `Err`: why every verifier would refuse it.
    pub(super) fn sign_as(
        &self,
        id: &str,
        time: Timestamp,
        body: &[u8],
    ) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
        self.signer.sign(id, time, body).map_err(|reason| reason.to_string())
    }

    /// The id of every delivery that it signs.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// The headers that go with this body.
    pub(super) fn sign(&self, body: &[u8]) -> Result<Vec<(HeaderName, HeaderValue)>, Failure> {
        let time = self.time.unwrap_or_else(|| SystemClock::new().now());
        self.signer.sign(&self.id, time, body).map_err(|reason| {
            Failure::Usage(anyhow!("every verifier would refuse it: {reason}; mend the body, --id, --time or the URL"))
        })
    }
}
