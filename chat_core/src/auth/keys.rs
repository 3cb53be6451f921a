//! The Ed25519 keys: the chat server signs with a private key; servers that verify
//! tokens hold only public keys. The public key file may hold several, newest
//! first, so that rotating the key does not sign users out.

use super::token_cache::TokenCache;
use crate::{Error, Result};
use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    signature::{Ed25519KeyPair, KeyPair},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{DecodingKey, EncodingKey};
use pem::{EncodeConfig, LineEnding, Pem};
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

/// Verifies tokens.
#[derive(Clone)]
pub struct Verifier {
    keys: Arc<[PublicKey]>,
    pub(super) token_cache: Arc<TokenCache>,
}

/// A public key and its id.
#[derive(Clone)]
struct PublicKey {
    id: String,
    key: DecodingKey,
}

/// Maximum number of keys in the public key file. Tokens live 30 days, so this
/// allows a new key every week.
const MAX_PUBLIC_KEYS: usize = 8;

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.key_id)
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier")?;
        f.debug_list().entries(self.keys.iter().map(|key| &key.id)).finish()
    }
}

impl Signer {
    /// Reads a PKCS#8 PEM file.
    pub fn read(path: &Path) -> io::Result<Self> {
        Self::from_pem(&fs::read_to_string(path)?)
    }

    /// Parses PKCS#8 PEM text.
    pub fn from_pem(pem: &str) -> io::Result<Self> {
        let (der, pair) = parse_private_key(pem)?;
        let own = PublicKey::from_der(&encode_public_der(&pair)?)?;
        Ok(Self {
            key: EncodingKey::from_ed_der(&der),
            key_id: own.id.clone(),
            verifier: Verifier::from_keys(vec![own]),
        })
    }

    /// Also accepts tokens that verify with a key of this public key file.
    pub fn with_public_keys(self, public: &Path) -> io::Result<Self> {
        let others = read_public_keys(public)?.into_iter().filter(|key| key.id != self.key_id);
        let keys = self.verifier.keys.iter().cloned().chain(others).collect();
        Ok(Self { verifier: Verifier::from_keys(keys), ..self })
    }

    /// The verifier of this signer's tokens.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }
}

impl Verifier {
    /// Reads a file of concatenated SPKI PEM blocks.
    pub fn read(path: &Path) -> io::Result<Self> {
        Ok(Self::from_keys(read_public_keys(path)?))
    }

    fn from_keys(keys: Vec<PublicKey>) -> Self {
        Self { keys: keys.into(), token_cache: Arc::default() }
    }

    /// The key with this id.
    pub(super) fn key(&self, id: &str) -> Option<&DecodingKey> {
        self.keys.iter().find(|key| key.id == id).map(|key| &key.key)
    }
}

impl PublicKey {
    fn from_der(der: &[u8]) -> io::Result<Self> {
        let key = DecodingKey::from_ed_pem(encode_pem(PUBLIC_KEY_LABEL, der).as_bytes());
        let key = key.map_err(|_| invalid_data("this is not an Ed25519 public key"))?;
        Ok(Self { id: key_id(der), key })
    }
}

const PRIVATE_KEY_LABEL: &str = "PRIVATE KEY";
const PUBLIC_KEY_LABEL: &str = "PUBLIC KEY";

/// Generates a key pair if there is none; only the file's owner can read the
/// private key (mode 0600). Keeps an existing private key, and adds its public key
/// to the public key file if it is missing there.
pub fn generate(private: &Path, public: &Path) -> Result<()> {
    let write = || -> io::Result<()> {
        if !private.exists() {
            write_atomically(private, 0o600, &generate_private_key()?)?;
        }
        add_public_key(private, public)
    };
    write().map_err(|error| Error::internal(format!("{}: {error}", private.display())))
}

/// Replaces the signing key. The previous public keys stay in their file, so that
/// tokens they signed remain valid until they expire.
pub fn rotate(private: &Path, public: &Path) -> Result<()> {
    let write = || -> io::Result<()> {
        add_public_key(private, public)?;
        let next = private.with_extension("next");
        write_atomically(&next, 0o600, &generate_private_key()?)?;
        // Publish the public key before the private key starts to sign.
        add_public_key(&next, public)?;
        fs::rename(next, private)
    };
    write().map_err(|error| Error::internal(format!("{}: {error}", private.display())))
}

fn generate_private_key() -> io::Result<String> {
    let pair = Ed25519KeyPair::generate().map_err(|_| io::Error::other("cannot generate a key"))?;
    let der = pair.to_pkcs8v1().map_err(|_| io::Error::other("cannot encode a key"))?;
    Ok(encode_pem(PRIVATE_KEY_LABEL, der.as_ref()))
}

/// Puts the public key of a private key first in the public key file.
fn add_public_key(private: &Path, public: &Path) -> io::Result<()> {
    let (_, pair) = parse_private_key(&fs::read_to_string(private)?)?;
    let own = encode_public_der(&pair)?;
    let others = match fs::read_to_string(public) {
        Ok(text) => decode_pem(&text, PUBLIC_KEY_LABEL)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let others = others.iter().filter(|der| **der != own).take(MAX_PUBLIC_KEYS - 1);
    let text: String = std::iter::once(&own).chain(others).map(|der| encode_pem(PUBLIC_KEY_LABEL, der)).collect();
    write_atomically(public, 0o644, &text)
}

/// Writes a file atomically: readers see the complete file or none.
pub(crate) fn write_atomically(path: &Path, mode: u32, text: &str) -> io::Result<()> {
    let temporary = path.with_extension("draft");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(temporary, path)
}

fn read_public_keys(path: &Path) -> io::Result<Vec<PublicKey>> {
    decode_pem(&fs::read_to_string(path)?, PUBLIC_KEY_LABEL)?.iter().map(|der| PublicKey::from_der(der)).collect()
}

fn encode_public_der(pair: &Ed25519KeyPair) -> io::Result<Vec<u8>> {
    let der: PublicKeyX509Der<'_> =
        pair.public_key().as_der().map_err(|_| io::Error::other("cannot encode a public key"))?;
    Ok(der.as_ref().to_vec())
}

/// Derives a key id from a hash of the public key, long enough to tell keys apart.
fn key_id(public_der: &[u8]) -> String {
    let digest = Sha256::digest(public_der);
    BASE64_URL_SAFE_NO_PAD.encode(digest.get(..9).expect("a SHA-256 digest has 32 bytes"))
}

fn encode_pem(label: &str, der: &[u8]) -> String {
    pem::encode_config(&Pem::new(label, der), EncodeConfig::new().set_line_ending(LineEnding::LF))
}

/// Returns the contents of the PEM blocks of a text; each must have the label.
fn decode_pem(text: &str, label: &str) -> io::Result<Vec<Vec<u8>>> {
    let blocks = pem::parse_many(text).map_err(|_| invalid_data("this PEM file is damaged"))?;
    if blocks.is_empty() || blocks.iter().any(|block| block.tag() != label) {
        return Err(invalid_data("this is not a PEM file of the expected type"));
    }
    Ok(blocks.into_iter().map(Pem::into_contents).collect())
}

fn parse_private_key(text: &str) -> io::Result<(Vec<u8>, Ed25519KeyPair)> {
    let der = decode_pem(text, PRIVATE_KEY_LABEL)?.swap_remove(0);
    let pair = Ed25519KeyPair::from_pkcs8(&der).map_err(|_| invalid_data("this is not an Ed25519 private key"))?;
    Ok((der, pair))
}

fn invalid_data(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Audience, Claims};

    #[test]
    fn a_new_key_signs_nobody_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let (private, public) = (folder.path().join("private.pem"), folder.path().join("public.pem"));
        let claims = Claims { user_id: 1.try_into().expect("an id"), session_id: uuid::Uuid::new_v4() };
        let sign = || {
            let signer = Signer::read(&private).expect("a key").with_public_keys(&public).expect("keys");
            let token = signer.sign(claims, Audience::Api, crate::time::now(), 60).expect("a token");
            (signer, token)
        };
        generate(&private, &public).expect("a key");
        let mut tokens = vec![sign().1];
        for _ in 1..MAX_PUBLIC_KEYS {
            rotate(&private, &public).expect("another key");
            generate(&private, &public).expect("the existing key");
            tokens.push(sign().1);
        }
        let (signer, _) = sign();
        for verifier in [signer.verifier(), &Verifier::read(&public).expect("keys")] {
            for token in &tokens {
                assert_eq!(verifier.verify(token, Audience::Api).expect("a valid token"), claims);
            }
        }
        rotate(&private, &public).expect("one more");
        let verifier = Verifier::read(&public).expect("keys");
        assert!(verifier.verify(&tokens[0], Audience::Api).is_err(), "the oldest key should be dropped");
        assert!(verifier.verify(&tokens[1], Audience::Api).is_ok());
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&private).expect("the key").permissions());
        assert_eq!(mode & 0o777, 0o600);
    }
}
