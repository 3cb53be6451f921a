//! Encrypts what only one browser can read: Message Encryption for Web Push (RFC 8291), with the content
//! coding `aes128gcm` (RFC 8188).

use aws_lc_rs::{
    aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    agreement::{self, ECDH_P256, PrivateKey, UnparsedPublicKey},
    error::Unspecified,
    hkdf,
};

/// The size of a record, in bytes. A push has one.
const RECORD_BYTES: u32 = 4096;

/// Maximum size of the text of a push, in bytes: what fits into 4096 with the header, the tag and the
/// delimiter.
pub(crate) const MAX_TEXT_BYTES: usize = 3993;

/// Length of the salt, in bytes.
const SALT_BYTES: usize = 16;

/// Marks the end of the last record.
const LAST_RECORD: u8 = 2;

/// A length for HKDF, in bytes.
struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

fn derive<const N: usize>(salt: &[u8], secret: &[u8], info: &[&[u8]]) -> Result<[u8; N], Unspecified> {
    let mut key = [0; N];
    hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(secret).expand(info, Length(N))?.fill(&mut key)?;
    Ok(key)
}

/// Encrypts a text for a browser with these keys. Each text needs a new key pair and a new salt.
pub(crate) fn encrypt(p256dh: &[u8], auth: &[u8], text: &[u8]) -> Result<Vec<u8>, Unspecified> {
    let mut salt = [0; SALT_BYTES];
    aws_lc_rs::rand::fill(&mut salt)?;
    encrypt_with(&PrivateKey::generate(&ECDH_P256)?, &salt, p256dh, auth, text)
}

fn encrypt_with(
    own: &PrivateKey,
    salt: &[u8; SALT_BYTES],
    p256dh: &[u8],
    auth: &[u8],
    text: &[u8],
) -> Result<Vec<u8>, Unspecified> {
    let own_public = own.compute_public_key()?;
    let own_public = own_public.as_ref();
    let peer = UnparsedPublicKey::new(&ECDH_P256, p256dh);
    let secret: [u8; 32] = agreement::agree(own, peer, Unspecified, |shared| {
        derive(auth, shared, &[b"WebPush: info\0", p256dh, own_public])
    })?;
    let key: [u8; 16] = derive(salt, &secret, &[b"Content-Encoding: aes128gcm\0"])?;
    let nonce: [u8; 12] = derive(salt, &secret, &[b"Content-Encoding: nonce\0"])?;
    let mut sealed = text.to_vec();
    sealed.push(LAST_RECORD);
    LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key)?).seal_in_place_append_tag(
        Nonce::assume_unique_for_key(nonce),
        Aad::empty(),
        &mut sealed,
    )?;
    let key_length = u8::try_from(own_public.len()).map_err(|_| Unspecified)?;
    Ok([salt.as_slice(), &RECORD_BYTES.to_be_bytes(), &[key_length], own_public, &sealed].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

    #[test]
    fn the_example_of_the_specification_is_encrypted() {
        // RFC 8291, appendix A.
        let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).expect("base64url");
        let own = decode("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw");
        let own = PrivateKey::from_private_key(&ECDH_P256, &own).expect("a key");
        let salt = decode("DGv6ra1nlYgDCS1FRnbzlw").try_into().expect("16 bytes");
        let p256dh = decode("BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4");
        let auth = decode("BTBZMqHH6r4Tts7J_aSIgg");
        let text = b"When I grow up, I want to be a watermelon";
        let body = encrypt_with(&own, &salt, &p256dh, &auth, text).expect("encrypted");
        let expected = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6Tlz\
                        AC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN";
        assert_eq!(BASE64_URL_SAFE_NO_PAD.encode(body), expected);
        assert!(encrypt(&p256dh[1..], &auth, text).is_err());
        let longest = encrypt(&p256dh, &auth, &[b'x'; MAX_TEXT_BYTES]).expect("encrypted");
        assert_eq!(longest.len(), 4096);
    }
}
