//! What the server is told instead of asking the machine: the time and the dice (house rule 9).

/// Milliseconds since 1970, UTC. A card without a battery may begin in the past, and the clock may jump.
pub type Timestamp = u64;

/// Time as the server sees it.
pub trait Clock: Send + Sync {
    /// The wall clock: for stamps that people see. May jump.
    fn now(&self) -> Timestamp;

    /// Milliseconds since the server started, which never jump: for every duration and time limit.
    fn elapsed_ms(&self) -> u64;
}

/// Randomness that a peer must not guess.
pub trait Dice: Send + Sync {
    /// Fills the buffer with random bytes.
    fn fill(&self, bytes: &mut [u8]);
}

/// A random identifier of 16 lower-case letters and digits (about 80 bits), for stream ids and resources.
pub fn random_id(dice: &dyn Dice) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bytes = [0; 16];
    dice.fill(&mut bytes);
    bytes
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(byte & 31)]))
        .collect()
}
