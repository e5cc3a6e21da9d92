//! Where the definition of a message comes from, and which message is meant.

use std::cell::Cell;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use flott_core::suggest::nearest;
use flott_core::{Error, Result};
use prost_reflect::{DescriptorPool, MessageDescriptor};
use protox::Compiler;
use protox::file::{File as Proto, FileResolver, GoogleFileResolver};

use super::java;
use super::options::{Definition, ProtobufOptions};

/// Bytes of a file of descriptors, or of a .proto file with all that it imports.
pub const DESCRIPTOR_BYTES_MAX: usize = 16 << 20;
/// Files that a .proto file imports, itself included.
pub const FILES_MAX: usize = 1_000;
/// Brackets inside each other in a .proto file, which bounds what its parser takes of the stack. `protoc` allows messages 32 levels.
const BRACKETS_DEPTH_MAX: usize = 64;
/// The file's name where only its text is given.
const TEXT_NAME: &str = "schema.proto";
/// Messages that an error lists.
const LISTED_MAX: usize = 10;

/// The message that the options name.
pub(super) fn message(options: &ProtobufOptions) -> Result<MessageDescriptor> {
    let pool = pool(options)?;
    // Where Java has '$' between classes, Protobuf has '.'.
    let wanted = options.message.replace('$', ".");
    let (mut known, mut outer): (Vec<(String, MessageDescriptor)>, _) = (vec![], HashMap::new());
    for message in pool.all_messages().filter(|m| !m.is_map_entry()) {
        known.push((java::class_name(&message, &mut outer), message));
    }
    let by_class: Vec<&(String, MessageDescriptor)> = known.iter().filter(|(class, _)| *class == wanted).collect();
    match (by_class.as_slice(), pool.get_message_by_name(&wanted)) {
        ([(_, message)], _) => Ok(message.clone()),
        ([], Some(message)) => Ok(message),
        ([], None) => Err(unknown(&options.message, &wanted, &known)),
        (several, _) => {
            let names: Vec<&str> = several.iter().map(|(_, m)| m.full_name()).collect();
            Err(Error::user(format!(
                "'{}' is the Java class of several messages: {}",
                options.message,
                names.join(", ")
            ))
            .with("option", "protobuf.message-class-name")
            .hint("Give the message's name in Protobuf"))
        }
    }
}

fn unknown(given: &str, wanted: &str, known: &[(String, MessageDescriptor)]) -> Error {
    let near = nearest(wanted, known.iter().flat_map(|(class, m)| [class.as_str(), m.full_name()]));
    let hint = match near {
        Some(near) => format!("Did you mean '{near}'?"),
        None => {
            let mut names: Vec<&str> =
                known.iter().map(|(_, m)| m.full_name()).filter(|n| !n.starts_with("google.protobuf.")).collect();
            names.sort_unstable();
            let more = if names.len() > LISTED_MAX { ", .." } else { "" };
            names.truncate(LISTED_MAX);
            match names.is_empty() {
                true => "No message is defined there".to_string(),
                false => format!("These are defined: {}{more}", names.join(", ")),
            }
        }
    };
    Error::user(format!("The message '{given}' is not defined"))
        .with("option", "protobuf.message-class-name")
        .hint(hint)
}

fn pool(options: &ProtobufOptions) -> Result<DescriptorPool> {
    match &options.definition {
        Definition::Text(text) => compile(TEXT_NAME, text.clone(), &options.import_paths, None),
        Definition::Proto(path) => {
            let bytes = read(Path::new(path), DESCRIPTOR_BYTES_MAX).map_err(|e| unreadable(path, e))?;
            let text = String::from_utf8(bytes).map_err(|e| {
                Error::user("The .proto file is not valid UTF-8").with("file", path).caused_by(e.utf8_error())
            })?;
            let (name, folder) = name_of(Path::new(path), &options.import_paths);
            compile(&name, text, &options.import_paths, folder.filter(|_| options.import_paths.is_empty()))
                .map_err(|e| e.with("file", path))
        }
        Definition::Descriptors(path) => {
            let bytes = read(Path::new(path), DESCRIPTOR_BYTES_MAX).map_err(|e| unreadable(path, e))?;
            descriptors(&bytes).map_err(|e| {
                Error::user(format!("The file of descriptors cannot be used: {e}")).with("file", path).hint(
                    "Write it with `protoc --include_imports --descriptor_set_out=FILE`; syntax \"proto2\" and \"proto3\" are supported, editions are not",
                )
            })
        }
    }
}

/// The library panics over some files that `protoc` has not made.
fn descriptors(bytes: &[u8]) -> std::result::Result<DescriptorPool, String> {
    match std::panic::catch_unwind(|| DescriptorPool::decode(bytes)) {
        Ok(decoded) => decoded.map_err(|e| format!("{e:?}")),
        Err(_) => Err("its parts do not fit together".to_string()),
    }
}

/// The name by which other files import this one: its path below a folder of imports, or else what it is called.
fn name_of(path: &Path, import_paths: &[String]) -> (String, Option<PathBuf>) {
    let below = import_paths.iter().find_map(|folder| path.strip_prefix(folder).ok());
    let name = below.unwrap_or_else(|| path.file_name().map_or(path, Path::new));
    let name: Vec<_> = name.components().map(|c| c.as_os_str().to_string_lossy()).collect();
    (name.join("/"), path.parent().map(Path::to_path_buf))
}

fn unreadable(path: &str, e: io::Error) -> Error {
    Error::user(format!("The definition of the message cannot be read: {e}"))
        .with("file", path)
        .hint("The path is that of a file on this machine, from the folder in which the job was started")
}

fn read(path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![];
    File::open(path)?.take(bytes_max as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > bytes_max {
        return Err(io::Error::other(format!("more than {DESCRIPTOR_BYTES_MAX} bytes (DESCRIPTOR_BYTES_MAX)")));
    }
    Ok(bytes)
}

fn compile(name: &str, text: String, import_paths: &[String], own: Option<PathBuf>) -> Result<DescriptorPool> {
    let resolver = Imports {
        main: (name.to_string(), text),
        folders: import_paths.iter().map(PathBuf::from).chain(own).collect(),
        google: GoogleFileResolver::new(),
        bytes_left: Cell::new(DESCRIPTOR_BYTES_MAX),
        files_left: Cell::new(FILES_MAX),
    };
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler.include_imports(true);
    match compiler.open_file(name) {
        Ok(compiler) => Ok(compiler.descriptor_pool()),
        // Its Debug is the message with file, line and column.
        Err(e) => Err(Error::user(format!("The definition of the message is wrong: {e:?}")).hint(
            "'proto2' and 'proto3' are supported. Files that are imported lie below one of 'protobuf.import-paths'",
        )),
    }
}

/// Finds what is imported, within limits.
struct Imports {
    main: (String, String),
    folders: Vec<PathBuf>,
    google: GoogleFileResolver,
    bytes_left: Cell<usize>,
    files_left: Cell<usize>,
}

impl Imports {
    fn take(&self, text: &str) -> io::Result<()> {
        if self.files_left.get() == 0 {
            return Err(io::Error::other(format!("more than {FILES_MAX} files are imported (FILES_MAX)")));
        }
        self.files_left.set(self.files_left.get() - 1);
        let Some(left) = self.bytes_left.get().checked_sub(text.len()) else {
            return Err(io::Error::other(format!(
                "what is imported has more than {DESCRIPTOR_BYTES_MAX} bytes (DESCRIPTOR_BYTES_MAX)"
            )));
        };
        self.bytes_left.set(left);
        if brackets_depth(text) > BRACKETS_DEPTH_MAX {
            return Err(io::Error::other(format!(
                "brackets are more than {BRACKETS_DEPTH_MAX} levels inside each other"
            )));
        }
        Ok(())
    }
}

/// How deep brackets lie inside each other, outside of comments and strings.
fn brackets_depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    let mut rest = text.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        let skipped = match (byte, behind) {
            (b'/', [b'/', ..]) => behind.iter().position(|b| *b == b'\n'),
            (b'/', [b'*', ..]) => behind.windows(2).skip(1).position(|w| w == b"*/").map(|at| at + 2),
            (b'"' | b'\'', _) => end_of_string(*byte, behind),
            _ => Some(0),
        };
        rest = &behind[skipped.unwrap_or(behind.len())..];
        match byte {
            b'{' | b'[' | b'<' | b'(' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' | b'>' | b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Where the quote stands that ends a string, a backslash before others.
fn end_of_string(quote: u8, text: &[u8]) -> Option<usize> {
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'\\' => at += 2,
            byte if byte == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
    None
}

impl FileResolver for Imports {
    fn open_file(&self, name: &str) -> Result<Proto, protox::Error> {
        let named = |e: io::Error| io::Error::new(e.kind(), format!("{name}: {e}"));
        if name == self.main.0 {
            self.take(&self.main.1).map_err(named)?;
            return Proto::from_source(name, &self.main.1);
        }
        // Imports stay below the folders.
        if Path::new(name).components().all(|part| matches!(part, Component::Normal(_))) {
            for folder in &self.folders {
                match read(&folder.join(name), self.bytes_left.get()) {
                    Ok(bytes) => {
                        let text = String::from_utf8(bytes).map_err(|e| named(io::Error::other(e)))?;
                        self.take(&text).map_err(named)?;
                        return Proto::from_source(name, &text);
                    }
                    Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
                    Err(e) => return Err(named(e).into()),
                }
            }
        }
        self.google.open_file(name)
    }
}

#[cfg(test)]
mod tests {
    use super::{brackets_depth, descriptors};

    /// Found by the target proto_schema of flott-fuzz: an import that is not there, in a file that an error then names.
    #[test]
    fn damaged_descriptors_are_refused_and_no_panic() {
        let fields = b"\x0a\x01M\x12\x09\x0a\x01a\x18\x01\x20\x01\x28\x05\x12\x09\x0a\x01b\x18\x02\x20\x01\x28\x09";
        let message = [&[0x22, fields.len() as u8][..], fields].concat();
        let file = [&b"\x0a\x07m.proto\x12\x01p\x1a\x07n.proto"[..], &message, b"\x62\x06proto3"].concat();
        let set = [&[0x0a, file.len() as u8][..], &file].concat();
        for at in 0..set.len() {
            drop(descriptors(&set[..at]));
            for change in 1..=255 {
                let mut damaged = set.clone();
                damaged[at] ^= change;
                drop(descriptors(&damaged));
            }
        }
        descriptors(&set).expect_err("an import is not there");
    }

    #[test]
    fn brackets_in_comments_and_strings_are_none() {
        for (text, depth) in [
            ("message M { repeated int32 x = 1 [(a) = 1]; }", 3),
            ("// a < b ( {\n/* [[[ */ {}", 1),
            ("message M { // >\n message N { /* } */ } }", 2),
            (r#"option a = "{{{\"{{"; option b = '[[' ; { }"#, 1),
            ("{ /* never ends {{{", 1),
            ("{ \"never ends {{{", 1),
            ("{ // never ends {{{", 1),
        ] {
            assert_eq!(brackets_depth(text), depth, "{text}");
        }
    }
}
