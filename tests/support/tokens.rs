//! Bearer tokens that a real server checks by itself, with a key of its own.

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use ring::hmac::{HMAC_SHA256, Key, sign};
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Signs tokens. Who bears one is signed in as the user that it names.
#[derive(Debug)]
pub struct Signer(Key);

impl Signer {
    /// With a new key, which a server finds below `folder` as the default one of its algorithm.
    pub fn new(folder: &Path) -> Self {
        let mut secret = [0; 32];
        secret.fill_with(|| fastrand::u8(..));
        let folder = folder.join("default/HS256");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("default"), BASE64_STANDARD.encode(secret)).unwrap();
        Self(Key::new(HMAC_SHA256, &secret))
    }

    /// A token that is valid from `from` on for so long.
    pub fn token(&self, user: &str, from: SystemTime, lasts: Duration) -> String {
        let from = from.duration_since(UNIX_EPOCH).unwrap().as_secs();
        let claims = serde_json::json!({
            "sub": user, "iss": "mailconn", "iat": from, "nbf": from, "exp": from + lasts.as_secs(),
        });
        let parts = [r#"{"alg":"HS256","typ":"JWT"}"#, &claims.to_string()];
        let signed = parts.map(|part| BASE64_URL_SAFE_NO_PAD.encode(part)).join(".");
        let signature = BASE64_URL_SAFE_NO_PAD.encode(sign(&self.0, signed.as_bytes()));
        format!("{signed}.{signature}")
    }
}
