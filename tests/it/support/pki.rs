//! Authorities and certificates of tests, as files.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};

/// A folder of PEM files.
pub(crate) struct Pki(tempfile::TempDir);

/// Who signs.
pub(crate) type Authority = Issuer<'static, KeyPair>;

impl Pki {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    pub(crate) fn text(&self, file: &str) -> String {
        self.path(file).display().to_string()
    }

    pub(crate) fn read(&self, file: &str) -> Vec<u8> {
        std::fs::read(self.path(file)).expect("a file")
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        std::fs::write(self.path(file), text).expect("written");
    }

    /// An authority with its certificate in `NAME.pem`.
    pub(crate) fn authority(&self, name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        self.write(&format!("{name}.pem"), &params.self_signed(&key).expect("a certificate").pem());
        Issuer::new(params, key)
    }

    /// A certificate for this machine in `NAME.pem` and `NAME.key`.
    pub(crate) fn server(&self, name: &str, by: &Authority) {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
        params.subject_alt_names.push(SanType::IpAddress([127, 0, 0, 1].into()));
        self.sign(name, params, by);
    }

    /// A certificate for a client of this name in an organization, with what `adjust` adds.
    pub(crate) fn client(
        &self,
        file: &str,
        by: &Authority,
        (cn, o): (&str, &str),
        adjust: impl FnOnce(&mut CertificateParams),
    ) {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.distinguished_name = rcgen::DistinguishedName::new();
        if !o.is_empty() {
            params.distinguished_name.push(DnType::OrganizationName, o);
        }
        params.distinguished_name.push(DnType::CommonName, cn);
        adjust(&mut params);
        self.sign(file, params, by);
    }

    fn sign(&self, name: &str, params: CertificateParams, by: &Authority) {
        let key = KeyPair::generate().expect("a key");
        self.write(&format!("{name}.pem"), &params.signed_by(&key, by).expect("a certificate").pem());
        self.write(&format!("{name}.key"), &key.serialize_pem());
    }
}
