//! `sasl.jaas.config`: who logs in.

use flott_connector_kafka::fuzzing::login;

use crate::rows;

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match login(text) {
        Err(e) => {
            let (_, message) = rows::refusal(&e);
            let secret = text.split(['"', '\'', '=', ' ', ';']).find(|part| part.len() > 60);
            assert!(secret.is_none_or(|secret| !message.contains(secret)), "a part of the text is shown");
        }
        Ok((module, user, password)) => {
            assert!(!module.contains(char::is_whitespace));
            let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
            let mut written = format!("{module} required");
            for (key, value) in [("username", &user), ("password", &password)] {
                if let Some(value) = value {
                    written.push_str(&format!(" {key}=\"{}\"", quoted(value)));
                }
            }
            written.push(';');
            let again = login(&written).unwrap_or_else(|e| panic!("{written:?}: {e}"));
            assert_eq!(again, (module, user, password), "{written:?}");
        }
    }
}
