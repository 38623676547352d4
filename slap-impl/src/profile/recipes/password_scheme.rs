//! Hashes of passwords, by the names that passlib has for them, with `-` for `_`.
//!
//! | scheme | |
//! |---|---|
//! | sha256-crypt, sha512-crypt | crypt(3), with a salt of 16 characters and passlib's 535000 and 656000 rounds |
//! | bcrypt | `$2b$`, with cost 12; a password over 72 bytes, of which the rest would not count, is refused |
//! | ldap-salted-sha1 | RFC 2307's `{SSHA}`, with a salt of 4 bytes |
//!
//! Any other is refused by name. The numbers are those of passlib's documentation (`passlib.hash`).

use crate::env::Env;
use base64ct::{Base64, Encoding};
use sha_crypt::{Algorithm, Params, ShaCrypt, password_hash::PasswordHasher};
use sha1::{Digest, Sha1};

const NAMES: [&str; 4] = ["bcrypt", "ldap-salted-sha1", "sha256-crypt", "sha512-crypt"];
const SHA256_ROUNDS: u32 = 535_000;
const SHA512_ROUNDS: u32 = 656_000;
const BCRYPT_COST: u32 = 12;

/// The hash of a password, with a random salt.
///
/// # Errors
/// When there is no such scheme, or it cannot take the password.
pub(super) fn hash(env: &Env, scheme: &str, password: &str) -> Result<String, String> {
    let bytes = password.as_bytes();
    match scheme {
        "sha256-crypt" => crypt(env, Algorithm::Sha256Crypt, SHA256_ROUNDS, bytes),
        "sha512-crypt" => crypt(env, Algorithm::Sha512Crypt, SHA512_ROUNDS, bytes),
        "bcrypt" => bcrypt::non_truncating_hash_with_salt(bytes, BCRYPT_COST, salt(env))
            .map(|hash| hash.to_string())
            .map_err(|error| format!("the password cannot be hashed with bcrypt: {error}")),
        "ldap-salted-sha1" => {
            let salt: [u8; 4] = salt(env);
            let digest = Sha1::new().chain_update(bytes).chain_update(salt).finalize();
            Ok(format!("{{SSHA}}{}", Base64::encode_string(&[&digest[..], &salt].concat())))
        }
        other => Err(format!(
            "passwd-{other}: the scheme {other:?} is not supported; these are: {}",
            NAMES.join(", ")
        )),
    }
}

fn salt<const LENGTH: usize>(env: &Env) -> [u8; LENGTH] {
    let mut salt = [0; LENGTH];
    salt.copy_from_slice(&env.random_bytes(LENGTH));
    salt
}

fn crypt(env: &Env, algorithm: Algorithm, rounds: u32, password: &[u8]) -> Result<String, String> {
    // 12 bytes are the 16 characters that crypt(3) takes at most.
    let salt: [u8; 12] = salt(env);
    let hashed = Params::new(rounds).map_err(|error| error.to_string()).and_then(|params| {
        let hasher = ShaCrypt::new(algorithm, params);
        hasher.hash_password_with_salt(password, &salt).map_err(|error| error.to_string())
    });
    hashed.map(|hash| hash.to_string()).map_err(|error| format!("the password cannot be hashed: {error}"))
}
