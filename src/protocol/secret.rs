//! A password, kept from every output.

use zeroize::Zeroizing;

/// A password. It has no Debug, no Display and no serialised form; its memory is cleared when it is dropped.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a password over; the caller keeps no copy.
    #[must_use]
    pub fn new(password: String) -> Self {
        Self(Zeroizing::new(password))
    }

    /// The password itself, for the one command that sends it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}
