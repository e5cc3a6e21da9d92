//! CREATE FUNCTION and DROP FUNCTION.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flott_connector::function::{DETERMINISTIC, FunctionArtifact, FunctionLanguage, FunctionSignature};
use flott_core::error::{Error, Result};
use flott_core::options::Options;

use super::place::moved;
use super::{ExpressionResolver, SessionState};
use crate::bind::{check_function, with_full_names};
use crate::catalog::{CatalogFunction, FunctionBody, FunctionPlace};
use crate::parser::ast::{CreateFunction, Name};

/// Where a function of this name belongs.
fn place(name: &Name, temporary: bool, system: bool, state: &SessionState) -> Result<FunctionPlace> {
    let parts = name.texts();
    match (system, parts.as_slice()) {
        (true, [one]) => Ok(FunctionPlace::System(one.to_string())),
        (true, _) => Err(Error::user(format!("'{name}' is not the name of a system function"))
            .hint("A system function belongs to no database: write its name alone")),
        (false, _) => {
            let id = state.catalog.qualify(&parts)?;
            state.catalog.database(&id.catalog, &id.database)?;
            Ok(if temporary { FunctionPlace::Temporary(id) } else { FunctionPlace::Permanent(id) })
        }
    }
}

/// How a function of another language comes here.
fn other_language(create: &CreateFunction, state: &SessionState) -> Error {
    const SQL: &str = "in SQL (CREATE FUNCTION f(a INT) RETURNS INT LANGUAGE SQL AS 'a + 1')";
    const WASM: &str = "in a language that compiles to WebAssembly, such as Rust, C, Zig or AssemblyScript (LANGUAGE WASM AS \
                        'symbol' USING ARTIFACT 'file.wasm')";
    let wasm = match state.program.language("WASM") {
        Some(_) => format!("; or {WASM}"),
        None => String::new(),
    };
    let error = Error::user(format!("functions of LANGUAGE {} are not supported", create.language));
    error.hint(match create.language.as_str() {
        "JAVA" | "SCALA" => format!(
            "There is no Java virtual machine here. Write the function {SQL}{wasm}; or build it into a program that uses Flott \
             as a library"
        ),
        "PYTHON" => format!("Write the function {SQL}{wasm}; or run the Python part before or behind this job"),
        "WASM" => "This program was built without the cargo feature 'wasm': build it with that, or write LANGUAGE SQL".into(),
        _ => format!("Write the function {SQL}{wasm}"),
    })
}

/// The code of a function, read from its file.
fn artifact(
    create: &CreateFunction,
    language: &dyn FunctionLanguage,
    signature: &FunctionSignature,
    state: &SessionState,
) -> Result<FunctionArtifact> {
    let name = language.name();
    let [(kind, location)] = create.resources.as_slice() else {
        return Err(Error::user(format!(
            "a function of LANGUAGE {name} has one artifact, and here are {}",
            create.resources.len()
        ))
        .hint("Write USING ARTIFACT 'file' behind AS 'symbol'"));
    };
    if kind != "ARTIFACT" {
        return Err(Error::user(format!("USING {kind} is not for functions of LANGUAGE {name}"))
            .hint("Write USING ARTIFACT 'file'"));
    }
    signature.check_code_types()?;
    let options: Options = create.options.iter().cloned().collect();
    let known: Vec<_> = language.options().iter().cloned().chain([DETERMINISTIC]).collect();
    options.validate(&format!("a function of LANGUAGE {name}"), &known)?;
    let bytes = read(&state.base_dir, location, language.artifact_bytes_max()).map_err(|e| e.with("file", location))?;
    Ok(FunctionArtifact::new(name, &create.class, location, bytes, options))
}

/// The file that a location names: a path, which starts at `base_dir` where it is relative, or a URI `file:/path`,
/// `file:///path` or `file://localhost/path` (RFC 8089), whose path is absolute and may have `%20` for a space.
fn file_of(base_dir: &Path, location: &str) -> Result<PathBuf> {
    let has_scheme = |scheme: &str| {
        location
            .get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
            .then(|| &location[scheme.len()..])
    };
    let Some(rest) = has_scheme("file:") else {
        return match location.split_once("://") {
            Some((scheme, _)) => Err(Error::user(format!("an artifact cannot be read from {scheme}://"))
                .hint("Copy it to this machine first")),
            None => Ok(base_dir.join(location)),
        };
    };
    let path = match rest.strip_prefix("//") {
        None => rest,
        Some(rest) => {
            let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            if !host.is_empty() && !host.eq_ignore_ascii_case("localhost") {
                return Err(Error::user(format!("the URI names a file of another machine, '{host}'"))
                    .hint("Write file:///path, or a path alone where it is relative"));
            }
            path
        }
    };
    if !path.starts_with('/') {
        return Err(Error::user("the path of a URI of a file is absolute").hint("Write file:///path, or a path alone"));
    }
    unescaped(path).map(PathBuf::from)
}

/// The text with `%xx` as the bytes that they stand for.
fn unescaped(path: &str) -> Result<String> {
    let wrong = || {
        Error::user("the URI has a '%' that two hexadecimal digits and UTF-8 do not follow")
            .hint("Write %25 for the sign itself, or a path alone instead of a URI")
    };
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = behind.get(..2).and_then(|d| std::str::from_utf8(d).ok());
        let digits = digits.filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit())).ok_or_else(wrong)?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| wrong())?);
        rest = &behind[2..];
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

/// The content of a file of so many bytes at most.
fn read(base_dir: &Path, location: &str, bytes_max: usize) -> Result<Vec<u8>> {
    let path = file_of(base_dir, location)?;
    // A pipe would be waited for.
    let found = std::fs::metadata(&path)
        .map_err(|e| Error::from(e).hint("Check the path: a relative one starts at the folder of the script"))?;
    if !found.is_file() {
        return Err(Error::user("the artifact is no file").hint("Name the compiled module itself"));
    }
    let mut bytes = vec![];
    File::open(&path)?.take(bytes_max as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > bytes_max {
        return Err(Error::user(format!("the artifact has more than {bytes_max} bytes"))
            .hint("Compile it for size, and strip its debug information"));
    }
    Ok(bytes)
}

/// What the function is, once it is known to be right: a mistake is told here, and not where the function is used first.
fn body(
    create: &CreateFunction,
    signature: &FunctionSignature,
    state: &SessionState,
    resolver: &dyn ExpressionResolver,
) -> Result<FunctionBody> {
    if create.language != "SQL" {
        let language = state.program.language(&create.language).ok_or_else(|| other_language(create, state))?;
        let artifact = artifact(create, language.as_ref(), signature, state)?;
        language.load(&artifact, signature).map_err(|e| e.with("file", &artifact.location))?;
        return Ok(FunctionBody::Artifact(Arc::new(artifact)));
    }
    if !create.resources.is_empty() || !create.options.is_empty() {
        return Err(Error::user("a function of LANGUAGE SQL has neither USING nor WITH")
            .hint("All that it is stands in AS 'an expression'"));
    }
    let in_body = |e| moved(e, create.body_position);
    let checked = match signature.is_table {
        true => resolver.check_table_function(state, signature, &create.class),
        false => check_function(state, signature, &create.class),
    };
    checked.map_err(in_body)?;
    // It means the same from every current database.
    let mut text = with_full_names(state, &create.class, signature.is_table)?;
    if signature.is_table {
        text = state.catalog.expand(&text).map_err(in_body)?;
    }
    Ok(FunctionBody::Sql(text))
}

pub(super) fn create(
    create: &CreateFunction,
    state: &mut SessionState,
    resolver: &dyn ExpressionResolver,
) -> Result<()> {
    let at = |e: Error| if e.position().is_none() { e.at(create.name.position()) } else { e };
    if create.language != "SQL" && state.program.language(&create.language).is_none() {
        return Err(at(other_language(create, state)));
    }
    let Some((parameters, returns)) = create.signature.clone() else {
        return Err(at(Error::user(format!("the function {} has no parameters and no result", create.name)).hint(
            "Write CREATE FUNCTION f(a INT, b STRING) RETURNS BIGINT LANGUAGE .. AS .., with the types that it has",
        )));
    };
    let signature = FunctionSignature { parameters, returns, is_table: create.is_table };
    signature.check_names().map_err(at)?;
    let place = place(&create.name, create.temporary, create.system, state).map_err(at)?;
    if let FunctionPlace::System(name) = &place
        && state.program.get(name).is_some()
    {
        if create.if_not_exists {
            return Ok(());
        }
        return Err(at(Error::user(format!("Temporary system function '{name}' already exists."))
            .hint("It is one of the program that runs this session: choose another name")));
    }
    if create.if_not_exists && state.catalog.functions().is_taken(&place) {
        return Ok(());
    }
    let body = body(create, &signature, state, resolver).map_err(at)?;
    let function = CatalogFunction { signature, body };
    state.catalog.functions_mut().create(&place, function, create.if_not_exists).map_err(at)?;
    Ok(())
}

pub(super) fn drop(
    name: &Name,
    temporary: bool,
    system: bool,
    if_exists: bool,
    state: &mut SessionState,
) -> Result<()> {
    let parts = name.texts();
    if let (true, [one]) = (system, parts.as_slice())
        && state.catalog.functions().system(one).is_none()
        && state.program.get(one).is_some()
    {
        return Err(Error::user(format!(
            "'{one}' is a function of the program that runs this session, which alone can drop it"
        )));
    }
    let place = place(name, temporary, system, state)?;
    state.catalog.functions_mut().drop(&place, if_exists)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_paths_or_uris_of_files() {
        for (location, path) in [
            ("f.wasm", "/job/f.wasm"),
            ("./lib/../f.wasm", "/job/./lib/../f.wasm"),
            ("/lib/f.wasm", "/lib/f.wasm"),
            ("50%.wasm", "/job/50%.wasm"),
            ("file:/lib/f.wasm", "/lib/f.wasm"),
            ("file:///lib/f.wasm", "/lib/f.wasm"),
            ("FILE://LocalHost/lib/a%20b%c3%A4.wasm", "/lib/a b\u{e4}.wasm"),
        ] {
            assert_eq!(file_of(Path::new("/job"), location).expect(location), PathBuf::from(path), "{location}");
        }
        for (location, why) in [
            ("s3://bucket/f.wasm", "cannot be read from s3://"),
            ("file://server/f.wasm", "another machine, 'server'"),
            ("file:f.wasm", "is absolute"),
            ("file://localhost", "is absolute"),
            ("file:///a%2", "'%'"),
            ("file:///a%zz", "'%'"),
            ("file:///%ff", "UTF-8"),
        ] {
            let error = file_of(Path::new("/job"), location).expect_err(location).to_string();
            assert!(error.contains(why), "{location}: {error}");
        }
    }
}
