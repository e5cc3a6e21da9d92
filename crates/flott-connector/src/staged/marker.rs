//! What says how far the output has come.

use flott_core::{Error, Result};
use serde::{Deserialize, Serialize};

use super::parts::Progress;
use crate::stored::{from_json, to_json};

/// What a marker says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    /// Whose it is.
    pub lineage: String,
    /// The attempt that wrote it.
    pub generation: u64,
    /// The last checkpoint whose output is committed; 0 before the first.
    pub epoch: u64,
    /// What is committed of the next ones.
    pub progress: Option<Progress>,
}

/// The stored form. Version 2 has a progress; without one it is version 1, which older builds understand. They must not
/// read one with a progress: they would write all of its epoch again.
#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    lineage: String,
    generation: u64,
    epoch: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    progress: Option<Progress>,
}

impl Marker {
    /// The newest version that is read.
    const VERSION: u32 = 2;

    /// The form that is stored.
    pub fn encode(&self) -> Result<Vec<u8>> {
        to_json(&Stored {
            version: if self.progress.is_some() { Marker::VERSION } else { 1 },
            lineage: self.lineage.clone(),
            generation: self.generation,
            epoch: self.epoch,
            progress: self.progress.clone(),
        })
    }

    /// Reads the stored form again.
    pub fn decode(bytes: &[u8]) -> Result<Marker> {
        let Stored { version, lineage, generation, epoch, progress } = from_json(bytes, "marker")?;
        if version == 0 || version > Marker::VERSION {
            return Err(Error::user(format!(
                "a marker has version {version}, and this Flott reads versions up to {}",
                Marker::VERSION
            ))
            .hint("Run the job with the Flott that wrote it, or a newer one"));
        }
        Ok(Marker { lineage, generation, epoch, progress })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_read_again_and_others_are_refused() {
        let marker = Marker { lineage: "l".into(), generation: 2, epoch: 3, progress: None };
        let bytes = marker.encode().expect("bytes");
        // The layout of version 1, for ever.
        assert_eq!(&bytes[..], br#"{"version":1,"lineage":"l","generation":2,"epoch":3}"#);
        assert_eq!(Marker::decode(&bytes).expect("read"), marker);
        assert!(Marker::decode(b"{}").is_err() && Marker::decode(b"\xff").is_err());
        let progress = Some(Progress { epoch: 4, file: "f".into(), records: 5 });
        let marker = Marker { progress, ..marker };
        let bytes = marker.encode().expect("bytes");
        // The layout of version 2, for ever.
        let text =
            br#"{"version":2,"lineage":"l","generation":2,"epoch":3,"progress":{"epoch":4,"file":"f","records":5}}"#;
        assert_eq!(&bytes[..], text);
        assert_eq!(Marker::decode(&bytes).expect("read"), marker);
        let newer = br#"{"version":3,"lineage":"l","generation":2,"epoch":3}"#;
        assert!(Marker::decode(newer).expect_err("newer").to_string().contains("version 3"));
    }
}
