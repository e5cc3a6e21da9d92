//! PEM: Base64 between lines that say what it is.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flott_core::Secret;

use super::{Der, ENTRIES_MAX, Fault};

const BEGIN: &str = "-----BEGIN ";
const DASHES: &str = "-----";
/// Characters of a line.
const LINE: usize = 64;

/// What lies between a BEGIN and its END.
pub(super) struct Block {
    label: String,
    /// With its first and last line.
    pub(super) text: String,
}

impl Block {
    pub(super) fn is_certificate(&self) -> bool {
        matches!(self.label.as_str(), "CERTIFICATE" | "X509 CERTIFICATE")
    }

    pub(super) fn is_key(&self) -> bool {
        self.label.ends_with("PRIVATE KEY")
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.label.starts_with("ENCRYPTED") || self.text.contains("Proc-Type: 4,ENCRYPTED")
    }
}

/// Whether there is any PEM in a file; remarks may stand before it.
pub(super) fn is_pem(content: &[u8]) -> bool {
    content.windows(BEGIN.len()).any(|w| w == BEGIN.as_bytes())
}

/// All parts of a text, written as everybody reads them. A message shows nothing of what is in them.
pub(super) fn blocks(text: &str) -> Result<Vec<Block>, Fault> {
    let damaged = |why: &str| Fault::Damaged(why.to_string());
    let (mut blocks, mut rest) = (vec![], text);
    while let Some((_, after)) = rest.split_once(BEGIN) {
        let (label, after) = after.split_once(DASHES).ok_or_else(|| damaged("a BEGIN has no end of its line"))?;
        let end = format!("-----END {label}-----");
        let (body, after) = after.split_once(&end).ok_or_else(|| damaged("a BEGIN has no END"))?;
        // The older encryption of keys has lines of its own, which are left as they are.
        let text = if body.contains(':') {
            format!("{BEGIN}{label}{DASHES}\n{}\n{end}\n", body.trim())
        } else {
            let base64: String = body.chars().filter(|c| !c.is_whitespace()).collect();
            let der = STANDARD.decode(base64).map_err(|_| damaged("what is between BEGIN and END is no Base64"))?;
            block(label, &der)
        };
        blocks.push(Block { label: label.to_string(), text });
        if blocks.len() > ENTRIES_MAX {
            return Err(Fault::Damaged(format!("it has more than {ENTRIES_MAX} parts")));
        }
        rest = after;
    }
    Ok(blocks)
}

fn block(label: &str, der: &[u8]) -> String {
    let base64 = STANDARD.encode(der);
    let mut text = format!("{BEGIN}{label}{DASHES}\n");
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(LINE.min(rest.len()));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}

pub(super) fn certificates(all: &[Der]) -> String {
    all.iter().map(|der| block("CERTIFICATE", der)).collect()
}

/// A key in PKCS#8.
pub(super) fn key(der: &[u8]) -> Secret {
    Secret::new(block("PRIVATE KEY", der))
}
