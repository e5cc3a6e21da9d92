//! `sasl.jaas.config` as it stands in the DDL of Java clients: who logs in, and how.

use flott_core::{Error, Result, Secret};

/// Name and password of a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Login {
    /// The class without its package: `PlainLoginModule`.
    pub(crate) module: String,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<Secret>,
}

/// Reads `package.Module required username="u" password="p";`. Messages never show the text.
pub(crate) fn parse(text: &str) -> Result<Login> {
    let wrong = |why: &str| {
        Err(Error::user(format!("'properties.sasl.jaas.config' cannot be understood: {why}"))
            .with("option", "properties.sasl.jaas.config")
            .hint("Write it as in: org.apache.kafka.common.security.plain.PlainLoginModule required username=\"u\" password=\"p\";"))
    };
    let text = text.trim();
    let Some((class, rest)) = text.split_once(char::is_whitespace) else { return wrong("there is no control flag") };
    let rest = rest.trim_start();
    let flags = ["required", "requisite", "sufficient", "optional"];
    let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    if !flags.iter().any(|f| f.eq_ignore_ascii_case(&rest[..end])) {
        return wrong("the control flag is not 'required'");
    }
    let module = class.rsplit('.').next().unwrap_or(class);
    if module.is_empty() {
        return wrong("the class has no name");
    }
    let mut login = Login { module: module.to_string(), username: None, password: None };
    let mut rest = rest[end..].trim_start();
    loop {
        if let Some(after) = rest.strip_prefix(';') {
            return if after.trim().is_empty() { Ok(login) } else { wrong("something follows the semicolon") };
        }
        let Some((key, after)) = rest.split_once('=') else { return wrong("it does not end with a semicolon") };
        let Some((value, after)) = value(after.trim_start()) else { return wrong("a value has no end") };
        match key.trim() {
            "username" => login.username = Some(value),
            "password" => login.password = Some(Secret::new(value)),
            _ => {}
        }
        rest = after.trim_start();
    }
}

/// One value, in quotes or without, and what follows it.
fn value(text: &str) -> Option<(String, &str)> {
    let quote = text.chars().next()?;
    if quote != '"' && quote != '\'' {
        let end = text.find(|c: char| c.is_whitespace() || c == ';')?;
        return Some((text[..end].to_string(), &text[end..]));
    }
    let mut value = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((at, c)) = characters.next() {
        match c {
            '\\' => value.push(characters.next()?.1),
            c if c == quote => return Some((value, &text[at + c.len_utf8()..])),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_of_existing_ddl() {
        let login = parse(
            "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"us\\\"er\" password='p;w d';",
        )
        .expect("understood");
        assert_eq!(login.module, "ScramLoginModule");
        assert_eq!(login.username.as_deref(), Some("us\"er"));
        assert_eq!(login.password.map(|p| p.reveal().to_string()), Some("p;w d".to_string()));
        let shaded = "org.apache.flink.kafka.shaded.org.apache.kafka.common.security.plain.PlainLoginModule required\n username=u\n password=p ;";
        assert_eq!(parse(shaded).expect("understood").username.as_deref(), Some("u"));
    }

    #[test]
    fn damaged_ones_are_refused_without_their_text() {
        for text in [
            "",
            "Plain",
            "Plain maybe x=1;",
            "Plain required username=\"CANARY",
            "Plain required password=\"CANARY\"",
            "a. required username=CANARY;",
        ] {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.contains("sasl.jaas.config") && !error.contains("CANARY"), "{error}");
        }
    }
}
