//! `dctrl key`, and keys as arguments.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
};

use clap::Subcommand;
use dctrl_access::Identity;
use serde::Serialize;

use crate::{context::load_identity, failure::Failure, output::Output};

/// Keys of operators, members and agents.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key file, which only you can read
    New {
        /// The file to make; an existing one is never overwritten
        file: PathBuf,
    },
    /// Show the public keys of a key file
    Show {
        /// The key file
        file: PathBuf,
    },
}

#[derive(Serialize)]
struct PublicKeys {
    public_key: String,
    curve_key: String,
}

/// Runs `dctrl key …`.
///
/// # Errors
/// Where the file exists already, or is no key file.
pub fn run(out: &mut Output, command: &KeyCommand) -> Result<(), Failure> {
    let identity = match command {
        KeyCommand::New { file } => {
            let identity = Identity::generate().map_err(anyhow::Error::from)?;
            identity.save(file).map_err(anyhow::Error::from)?;
            identity
        }
        KeyCommand::Show { file } => load_identity(file)?,
    };
    let keys = PublicKeys {
        public_key: hex::encode(identity.public_key()),
        curve_key: hex::encode(identity.curve_public()),
    };
    out.show(&keys, |keys| {
        format!(
            "public key  {}\ncurve key   {}\n",
            keys.public_key, keys.curve_key
        )
    })
}

/// A public key, named in hexadecimal or by a key file.
#[derive(Clone, Copy, Debug)]
pub struct KeyArg {
    /// The Ed25519 public key.
    pub public: [u8; 32],
    /// The CurveZMQ public key, where a key file was named.
    pub curve: Option<[u8; 32]>,
}

impl FromStr for KeyArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut public = [0; 32];
        if hex::decode_to_slice(text, &mut public).is_ok() {
            return Ok(Self {
                public,
                curve: None,
            });
        }
        let path = Path::new(text);
        if !path.is_file() {
            return Err("neither 64 hexadecimal digits nor a key file".to_owned());
        }
        let identity = Identity::load(path).map_err(|error| error.to_string())?;
        Ok(Self {
            public: identity.public_key(),
            curve: Some(identity.curve_public()),
        })
    }
}
