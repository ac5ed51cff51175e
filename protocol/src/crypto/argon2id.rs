//! Argon2id (RFC 9106, version 0x13): a key from a password. Floor 2.

use argon2::{Algorithm, Argon2, AssociatedData, ParamsBuilder, Version};

use super::secret::Secret;

/// What one derivation costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over that memory.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

/// The derivation could not be carried out: parameters that Argon2 does not
/// know (the caller's fault), or too little memory (the environment's).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Argon2Error {
    /// RFC 9106 does not allow these parameters.
    #[error("Argon2id does not have these parameters")]
    Parameters,
    /// There is not enough memory.
    #[error("there is not enough memory to derive the key")]
    OutOfMemory,
}

/// `N` bytes from `password` and `salt`.
///
/// # Errors
/// [`Argon2Error`]
pub fn argon2id<const N: usize>(password: &[u8], salt: &[u8], cost: Cost) -> Result<Secret<N>, Argon2Error> {
    derive(password, salt, &[], &[], cost)
}

fn derive<const N: usize>(
    password: &[u8],
    salt: &[u8],
    pepper: &[u8],
    associated: &[u8],
    cost: Cost,
) -> Result<Secret<N>, Argon2Error> {
    let mut builder = ParamsBuilder::new();
    builder.m_cost(cost.memory_kib).t_cost(cost.passes).p_cost(cost.lanes).output_len(N);
    builder.data(AssociatedData::new(associated).map_err(|_| Argon2Error::Parameters)?);
    let params = builder.build().map_err(|_| Argon2Error::Parameters)?;
    let argon2 = Argon2::new_with_secret(pepper, Algorithm::Argon2id, Version::V0x13, params)
        .map_err(|_| Argon2Error::Parameters)?;
    let mut outcome = Ok(());
    let key = Secret::filled(|out| outcome = argon2.hash_password_into(password, salt, out));
    match outcome {
        Ok(()) => Ok(key),
        Err(argon2::Error::OutOfMemory) => Err(Argon2Error::OutOfMemory),
        Err(_) => Err(Argon2Error::Parameters),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Cost = Cost { memory_kib: 32, passes: 3, lanes: 4 };

    #[test]
    fn rfc_9106_section_5_3() {
        let tag = derive::<32>(&[1; 32], &[2; 16], &[3; 8], &[4; 12], SMALL).unwrap();
        let hex: String = tag.expose().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659");
    }

    #[test]
    fn every_input_changes_the_key() {
        let key = |password: &[u8], salt: &[u8], cost| argon2id::<32>(password, salt, cost).unwrap();
        let first = key(b"password", &[2; 16], SMALL);
        assert!(first == key(b"password", &[2; 16], SMALL));
        assert!(first != key(b"passwore", &[2; 16], SMALL));
        assert!(first != key(b"password", &[3; 16], SMALL));
        assert!(first != key(b"password", &[2; 16], Cost { passes: 4, ..SMALL }));
        assert!(first != key(b"password", &[2; 16], Cost { memory_kib: 64, ..SMALL }));
    }

    #[test]
    fn impossible_parameters_are_an_error() {
        let none = Cost { memory_kib: 0, passes: 0, lanes: 0 };
        assert_eq!(argon2id::<32>(b"password", &[2; 16], none).err(), Some(Argon2Error::Parameters));
        assert_eq!(argon2id::<32>(b"password", &[2; 4], SMALL).err(), Some(Argon2Error::Parameters), "salt too short");
    }
}
