//! What marks a bridge where the Engine starts it as the user of the container's own code, as
//! Kubernetes does: a key that only servers of the deployment can make.
//!
//! ```text
//! server ─ key ─► bridge's stdin ─► PID 1 (has shown that it is that) ─► SHA-256, compared
//! ```
//!
//! PID 1's arguments are public, also to the user's code: they have the key's SHA-256. The key itself
//! is in no argument, variable or file of the container. It passes through the bridge's memory,
//! which the user's code cannot read, and through a socket of which the kernel has said that its
//! other end is PID 1.

use std::fmt;

use casemate_protocol::BRIDGE_KEY_BYTES;
use sha2::{Digest as _, Sha256};

/// A key, as a bridge shows it.
pub type Key = [u8; BRIDGE_KEY_BYTES];

/// SHA-256 of the key of this container's bridges.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyHash([u8; 32]);

impl fmt::Debug for KeyHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("KeyHash(..)")
    }
}

impl KeyHash {
    /// From 64 hexadecimal digits.
    pub fn parse(hex: &str) -> Option<Self> {
        let (mut hash, digits) = ([0; 32], hex.as_bytes());
        if digits.len() != 2 * hash.len() {
            return None;
        }
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |at: usize| char::from(pair[at]).to_digit(16);
            *byte = u8::try_from(16 * digit(0)? + digit(1)?).ok()?;
        }
        Some(Self(hash))
    }

    /// Whether this is the key. How long the answer takes says nothing about the key: only its hash
    /// is compared, which is public.
    pub fn is_of(self, key: &Key) -> bool {
        Sha256::digest(key).as_slice() == self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_by_its_hash() {
        // SHA-256 of 32 zero bytes, by sha256sum.
        let hash = "66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925";
        let hash = KeyHash::parse(hash).expect("parses");
        assert!(hash.is_of(&[0; 32]));
        for bit in 0..256 {
            let mut other = [0; 32];
            other[bit / 8] = 1 << (bit % 8);
            assert!(!hash.is_of(&other), "bit {bit}");
        }
    }
}
