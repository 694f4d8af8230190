//! The certificates seen so far, by address, and how new ones are fetched.
//!
//! Anybody who knows a topic can name an address, so fetching is limited: one at a time, few a minute, and what failed
//! is not tried again at once. Addresses whose certificate once verified a message have a minute of their own, so that
//! invented ones cannot keep theirs from being fetched again. What cannot be told for that reason is undecided, and the sender comes back.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};

use super::address::host_of_certificate;
use super::certificate::Certificate;
use crate::verify::{Download, Reason};

/// Certificates kept. AWS has one or two for each region.
const KEPT: usize = 64;

/// Fetches that may begin in a minute, of addresses that proved right and of others.
const FETCHES: usize = 20;

/// When a fetch that failed may be tried again: the sender's first retries come after 20 seconds.
const RETRY_AFTER: SignedDuration = SignedDuration::from_secs(15);

/// When an address that held no certificate of SNS is looked at again.
const LOOK_AGAIN_AFTER: SignedDuration = SignedDuration::from_hours(1);

pub(super) struct Certificates {
    download: Arc<dyn Download>,
    /// Held while something is fetched.
    fetching: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    known: HashMap<String, Known>,
    /// Addresses whose certificate verified a message, the latest last.
    proven: VecDeque<String>,
    fetched_at: Vec<Timestamp>,
    fetched_proven_at: Vec<Timestamp>,
}

#[derive(Clone)]
struct Known {
    found: Result<Arc<Certificate>, Reason>,
    until: Timestamp,
}

impl Certificates {
    pub(super) fn new(download: Arc<dyn Download>) -> Self {
        Self { download, fetching: tokio::sync::Mutex::default(), state: Mutex::default() }
    }

    /// The certificate at this address, if it was fetched and holds.
    pub(super) fn get(&self, url: &str, now: Timestamp) -> Result<Arc<Certificate>, Reason> {
        self.known(url, now).ok_or(Reason::CertificateUnavailable)?
    }

    /// Whether nothing needs to be fetched from this address.
    pub(super) fn knows(&self, url: &str, now: Timestamp) -> bool {
        self.known(url, now).is_some()
    }

    /// Remembers that the certificate at this address verified a message.
    pub(super) fn prove(&self, url: &str) {
        self.lock().prove(url);
    }

    /// Fetches what is not known yet.
    pub(super) async fn fetch(&self, url: &str, now: Timestamp) {
        if self.known(url, now).is_some() {
            return;
        }
        let _only = self.fetching.lock().await;
        // Somebody else may have fetched it meanwhile.
        if self.known(url, now).is_none() && self.lock().may_fetch(url, now) {
            let (found, until) = self.look(url, now).await;
            self.lock().keep(url, Known { found, until }, now);
        }
    }

    async fn look(&self, url: &str, now: Timestamp) -> (Result<Arc<Certificate>, Reason>, Timestamp) {
        let later = |time: SignedDuration| now.checked_add(time).unwrap_or(Timestamp::MAX);
        let pem = match self.download.get(url).await {
            Ok(pem) => pem,
            Err(error) => {
                tracing::warn!(url, error = %error, "a certificate of SNS could not be fetched");
                return (Err(Reason::CertificateUnavailable), later(RETRY_AFTER));
            }
        };
        let read = Certificate::read(&pem, host_of_certificate(url).unwrap_or_default());
        match read.and_then(|read| if read.holds_at(now) { Ok(read) } else { Err("it does not hold now") }) {
            Ok(certificate) => {
                let until = certificate.not_after;
                (Ok(Arc::new(certificate)), until)
            }
            Err(wrong) => {
                tracing::warn!(url, wrong, "this is no certificate of SNS");
                (Err(Reason::UntrustedCertificate), later(LOOK_AGAIN_AFTER))
            }
        }
    }

    fn known(&self, url: &str, now: Timestamp) -> Option<Result<Arc<Certificate>, Reason>> {
        self.lock().known.get(url).filter(|known| now <= known.until).map(|known| known.found.clone())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn may_fetch(&mut self, url: &str, now: Timestamp) -> bool {
        let is_proven = self.proven.iter().any(|proven| proven == url);
        let fetched_at = if is_proven { &mut self.fetched_proven_at } else { &mut self.fetched_at };
        fetched_at.retain(|time| now.duration_since(*time).abs() < SignedDuration::from_mins(1));
        let may = fetched_at.len() < FETCHES;
        if may {
            fetched_at.push(now);
        }
        may
    }

    fn prove(&mut self, url: &str) {
        if self.proven.iter().any(|proven| proven == url) {
            return;
        }
        if self.proven.len() == KEPT {
            self.proven.pop_front();
        }
        self.proven.push_back(url.to_owned());
    }

    /// Where there is no room, what ends first goes: failures before certificates.
    fn keep(&mut self, url: &str, known: Known, now: Timestamp) {
        self.known.retain(|_, known| now <= known.until);
        if self.known.len() >= KEPT {
            let first = self.known.iter().min_by_key(|(_, known)| known.until).map(|(url, _)| url.clone());
            first.map(|url| self.known.remove(&url));
        }
        self.known.insert(url.to_owned(), known);
    }
}
