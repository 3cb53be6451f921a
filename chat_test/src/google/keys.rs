//! The keys of the stand-in of Google: of the service account, and those with which Google signs tokens.

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rsa::{KeyPair, KeySize},
};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, jwk::Jwk};
use pem::Pem;
use serde_json::Value;

/// A key pair with its id.
pub(super) struct SigningKey {
    pub(super) id: String,
    pub(super) pem: String,
    key: EncodingKey,
    pub(super) jwk: Jwk,
}

impl SigningKey {
    pub(super) fn generate(id: &str) -> Self {
        let pair = KeyPair::generate(KeySize::Rsa2048).expect("a key");
        let der = AsDer::<Pkcs8V1Der<'static>>::as_der(&pair).expect("a key").as_ref().to_vec();
        Self::from_pem(id, pem::encode(&Pem::new("PRIVATE KEY", der)))
    }

    /// Reads the key of a key file.
    pub(super) fn read(text: &str) -> Self {
        let file: Value = serde_json::from_str(text).expect("a key file");
        let field = |name: &str| file[name].as_str().expect("a key file").to_owned();
        Self::from_pem(&field("private_key_id"), field("private_key"))
    }

    fn from_pem(id: &str, pem: String) -> Self {
        let key = EncodingKey::from_rsa_pem(pem.as_bytes()).expect("a key");
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::RS256).expect("a public key");
        jwk.common.key_id = Some(id.into());
        Self { id: id.into(), pem, key, jwk }
    }

    pub(super) fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.id.clone()), ..Header::new(Algorithm::RS256) };
        encode(&header, claims, &self.key).expect("a token")
    }
}
