//! The shape of network addresses. What they mean is for the network layer to
//! find out; here nothing passes that could break a line, a log or a bound.

use crate::limits::ADDRESS_MAX_BYTES;

/// Fewest and most characters of a peer id's text.
const PEER_ID_CHARS: std::ops::RangeInclusive<usize> = 32..=128;

/// Why a text is no address. The fault of whoever wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Longer than [`ADDRESS_MAX_BYTES`].
    #[error("an address has at most {ADDRESS_MAX_BYTES} bytes")]
    TooLong,
    /// Not of the form `/name/value/…`.
    #[error("an address looks like /ip4/192.0.2.1/tcp/4001")]
    NotAMultiaddr,
    /// It does not say whose it is.
    #[error("the address of a rendezvous node ends in /p2p/ and its peer id")]
    NoPeerId,
}

/// Checks the shape of a multiaddr: slashes between parts that are printable and not empty.
///
/// # Errors
/// [`AddressError`]
pub fn check_address(text: &str) -> Result<&str, AddressError> {
    if text.len() > ADDRESS_MAX_BYTES {
        return Err(AddressError::TooLong);
    }
    let parts = text.strip_prefix('/').ok_or(AddressError::NotAMultiaddr)?;
    let good = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_graphic());
    if parts.split('/').all(good) { Ok(text) } else { Err(AddressError::NotAMultiaddr) }
}

/// Checks the address of a rendezvous node: as [`check_address`], and it ends in `/p2p/` and a peer id.
///
/// # Errors
/// [`AddressError`]
pub fn check_home(text: &str) -> Result<&str, AddressError> {
    check_address(text)?;
    let (transport, peer_id) = text.rsplit_once("/p2p/").ok_or(AddressError::NoPeerId)?;
    let is_id = PEER_ID_CHARS.contains(&peer_id.len()) && peer_id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_id && !transport.is_empty() { Ok(text) } else { Err(AddressError::NoPeerId) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: &str = "/ip4/127.0.0.1/tcp/4001/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";

    #[test]
    fn addresses_have_the_form_of_a_multiaddr() {
        for good in
            ["/ip4/192.0.2.1/tcp/4001", "/ip6/::1/udp/4001/quic-v1", "/dns4/example.org/tcp/443", "/memory/1", HOME]
        {
            assert_eq!(check_address(good), Ok(good));
        }
        for bad in [
            "",
            "/",
            "192.0.2.1:4001",
            "/ip4//tcp/1",
            "/ip4/1.2.3.4/tcp/1/",
            "/dns4/a b/tcp/1",
            "/dns4/\u{1b}[31m/tcp/1",
        ] {
            assert_eq!(check_address(bad), Err(AddressError::NotAMultiaddr), "{bad:?}");
        }
        assert_eq!(check_address(&format!("/dns4/{}", "a".repeat(512))), Err(AddressError::TooLong));
    }

    #[test]
    fn a_home_names_its_peer() {
        assert_eq!(check_home(HOME), Ok(HOME));
        for bad in [
            "/ip4/127.0.0.1/tcp/4001",
            "/ip4/127.0.0.1/tcp/4001/p2p/short",
            &HOME[23..],
            &format!("{HOME}/p2p-circuit"),
        ] {
            assert_eq!(check_home(bad), Err(AddressError::NoPeerId), "{bad}");
        }
    }
}
