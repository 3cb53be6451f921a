//! The Ed25519 key pair: the chat server signs with it, and the notify server
//! holds only the public half.

use super::known::KnownTokens;
use crate::{Error, Result};
use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    signature::{Ed25519KeyPair, KeyPair},
};
use base64::{Engine, prelude::BASE64_STANDARD, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{DecodingKey, EncodingKey};
use sha2::{Digest, Sha256};
use std::{
    fmt, fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::Arc,
};

/// Signs tokens.
#[derive(Clone)]
pub struct Signer {
    pub(super) key: EncodingKey,
    pub(super) key_id: String,
    verifier: Verifier,
}

/// Checks tokens.
#[derive(Clone)]
pub struct Verifier {
    pub(super) key: DecodingKey,
    pub(super) key_id: String,
    pub(super) known: Arc<KnownTokens>,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.key_id)
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verifier({})", self.key_id)
    }
}

impl Signer {
    /// From a PKCS#8 PEM file.
    pub fn read(path: &Path) -> io::Result<Self> {
        Self::from_pem(&fs::read_to_string(path)?)
    }

    /// From PKCS#8 PEM text.
    pub fn from_pem(pem: &str) -> io::Result<Self> {
        let der = der_of(pem, "PRIVATE KEY")?;
        let pair = Ed25519KeyPair::from_pkcs8(&der).map_err(|_| invalid("this is not an Ed25519 private key"))?;
        let verifier = Verifier::of(&pair)?;
        Ok(Self { key: EncodingKey::from_ed_der(&der), key_id: verifier.key_id.clone(), verifier })
    }

    /// What checks this signer's tokens.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }
}

impl Verifier {
    /// From an SPKI PEM file.
    pub fn read(path: &Path) -> io::Result<Self> {
        let pem = fs::read_to_string(path)?;
        let der = der_of(&pem, "PUBLIC KEY")?;
        let key = DecodingKey::from_ed_pem(pem.as_bytes()).map_err(|_| invalid("this is not an Ed25519 public key"))?;
        Ok(Self { key, key_id: key_id(&der), known: Arc::default() })
    }

    fn of(pair: &Ed25519KeyPair) -> io::Result<Self> {
        let der = public_der(pair)?;
        let pem = pem_of("PUBLIC KEY", &der);
        let key = DecodingKey::from_ed_pem(pem.as_bytes()).map_err(io::Error::other)?;
        Ok(Self { key, key_id: key_id(&der), known: Arc::default() })
    }
}

/// Writes a new key pair: the private half for its owner's eyes only. An
/// existing private key is left as it is, and its public half written again.
pub fn generate(private: &Path, public: &Path) -> Result<()> {
    let write = || -> io::Result<()> {
        let pair = Ed25519KeyPair::generate().map_err(|_| io::Error::other("no random numbers for a key"))?;
        let der = pair.to_pkcs8v1().map_err(|_| io::Error::other("cannot encode a key"))?;
        let created = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(private);
        match created {
            Ok(mut file) => {
                file.write_all(pem_of("PRIVATE KEY", der.as_ref()).as_bytes())?;
                file.sync_all()?;
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        let der = der_of(&fs::read_to_string(private)?, "PRIVATE KEY")?;
        let pair = Ed25519KeyPair::from_pkcs8(&der).map_err(|_| invalid("this is not an Ed25519 private key"))?;
        fs::write(public, pem_of("PUBLIC KEY", &public_der(&pair)?))
    };
    write().map_err(|error| Error::internal(format!("{}: {error}", private.display())))
}

fn public_der(pair: &Ed25519KeyPair) -> io::Result<Vec<u8>> {
    let der: PublicKeyX509Der<'_> =
        pair.public_key().as_der().map_err(|_| io::Error::other("cannot encode a public key"))?;
    Ok(der.as_ref().to_vec())
}

/// Names a key: enough of a hash of its public half to tell keys apart.
fn key_id(public_der: &[u8]) -> String {
    let digest = Sha256::digest(public_der);
    BASE64_URL_SAFE_NO_PAD.encode(digest.get(..9).unwrap_or_default())
}

fn pem_of(label: &str, der: &[u8]) -> String {
    // An Ed25519 key fits into two lines of 64.
    let body = BASE64_STANDARD.encode(der);
    let (first, rest) = body.split_at(body.len().min(64));
    let rest = if rest.is_empty() { String::new() } else { format!("{rest}\n") };
    format!("-----BEGIN {label}-----\n{first}\n{rest}-----END {label}-----\n")
}

fn der_of(pem: &str, label: &str) -> io::Result<Vec<u8>> {
    let body = pem
        .trim()
        .strip_prefix(&format!("-----BEGIN {label}-----"))
        .and_then(|rest| rest.strip_suffix(&format!("-----END {label}-----")))
        .ok_or_else(|| invalid("this is not a PEM file of the right kind"))?;
    let body: String = body.chars().filter(|c| !c.is_whitespace()).collect();
    BASE64_STANDARD.decode(body).map_err(|_| invalid("this PEM file is damaged"))
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
