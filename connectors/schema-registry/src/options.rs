//! Flink's options of formats that have a registry, and the properties of Confluent's client behind them.

use std::sync::Arc;

use flott_connector::stores::{Names, Store};
use flott_core::options::{ConfigOption, OptionType, Options};
use flott_core::{Error, Result, Secret};

/// All, without the format's prefix.
pub(crate) static ALL: &[ConfigOption] = &[
    URL,
    OLD_URL,
    AUTO_REGISTER,
    BASIC_SOURCE,
    BASIC_USER,
    BEARER_SOURCE,
    BEARER_TOKEN,
    TRUST_LOCATION,
    TRUST_PASSWORD,
    KEY_LOCATION,
    KEY_PASSWORD,
    PROPERTIES,
    PROPERTY,
];

const URL: ConfigOption = ConfigOption::optional(
    "url",
    OptionType::String,
    None,
    "Required. Where the schema registry is. It may have a path; of several, separated by commas, each is tried until one answers. Each may have a user of its own, as `https://name:password@host` with %-escapes; where options give one, it is for all.",
);
const OLD_URL: ConfigOption =
    ConfigOption::optional("schema-registry.url", OptionType::String, None, "The older name of 'url'.");
const AUTO_REGISTER: ConfigOption = ConfigOption::optional(
    "auto.register.schemas",
    OptionType::Boolean,
    Some("true"),
    "Registers the schema of a sink where the subject does not have it; else a schema that is not there is an error.",
);
const BASIC_SOURCE: ConfigOption = ConfigOption::optional(
    "basic-auth.credentials-source",
    OptionType::Enum(&["USER_INFO", "URL"]),
    None,
    "Where name and password are: in 'basic-auth.user-info', or in the URL. SASL_INHERIT is not supported.",
);
const BASIC_USER: ConfigOption =
    ConfigOption::optional("basic-auth.user-info", OptionType::Secret, None, "Name and password, as `name:password`.");
const BEARER_SOURCE: ConfigOption = ConfigOption::optional(
    "bearer-auth.credentials-source",
    OptionType::Enum(&["STATIC_TOKEN"]),
    None,
    "Where the token is: in 'bearer-auth.token'. Tokens of OAuth are not fetched.",
);
const BEARER_TOKEN: ConfigOption =
    ConfigOption::optional("bearer-auth.token", OptionType::Secret, None, "A token that every request carries.");
pub(crate) const TRUST_LOCATION: ConfigOption = ConfigOption::optional(
    "ssl.truststore.location",
    OptionType::String,
    None,
    "A store with the certificates that are trusted beside the system's: JKS, PKCS#12 or PEM, which is seen in it.",
);
const TRUST_PASSWORD: ConfigOption = ConfigOption::optional(
    "ssl.truststore.password",
    OptionType::Secret,
    None,
    "The password of that store. JKS is read without one, too; PEM has none.",
);
pub(crate) const KEY_LOCATION: ConfigOption = ConfigOption::optional(
    "ssl.keystore.location",
    OptionType::String,
    None,
    "A store with the client's private key and its certificates: JKS, PKCS#12 or PEM, which is seen in it.",
);
const KEY_PASSWORD: ConfigOption = ConfigOption::optional(
    "ssl.keystore.password",
    OptionType::Secret,
    None,
    "The password of that store and of its key. A key in PEM must not be encrypted.",
);
const PROPERTIES: ConfigOption = ConfigOption::optional(
    "properties",
    OptionType::Secret,
    None,
    "Properties of Confluent's client as `key:value,key:value`: those that the options above stand for. Others are refused.",
);
const PROPERTY: ConfigOption =
    ConfigOption::optional("properties.#", OptionType::String, None, "The same, one property an option.");

/// Confluent's name of what an option says.
const SAME: &[(&str, &str)] = &[
    ("basic.auth.credentials.source", BASIC_SOURCE.key),
    ("basic.auth.user.info", BASIC_USER.key),
    ("schema.registry.basic.auth.user.info", BASIC_USER.key),
    ("bearer.auth.credentials.source", BEARER_SOURCE.key),
    ("bearer.auth.token", BEARER_TOKEN.key),
    ("auto.register.schemas", AUTO_REGISTER.key),
    ("schema.registry.ssl.truststore.location", TRUST_LOCATION.key),
    ("schema.registry.ssl.truststore.password", TRUST_PASSWORD.key),
    ("schema.registry.ssl.keystore.location", KEY_LOCATION.key),
    ("schema.registry.ssl.keystore.password", KEY_PASSWORD.key),
];

/// What is about Java's client, its caches and its serializers, and nothing here (and most of it nothing in Flink).
const WITHOUT_EFFECT: &[&str] = &[
    "http.connect.timeout.ms",
    "http.read.timeout.ms",
    "max.schemas.per.subject",
    "latest.cache.size",
    "latest.cache.ttl.sec",
    "missing.cache.size",
    "missing.id.cache.ttl.sec",
    "missing.version.cache.ttl.sec",
    "missing.schema.cache.ttl.sec",
    "max.retries",
    "retries.wait.ms",
    "retries.max.wait.ms",
    "specific.avro.reader",
    "key.subject.name.strategy",
    "value.subject.name.strategy",
];

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) enum Credentials {
    None,
    Basic(String, Secret),
    Bearer(Secret),
}

/// One of a registry's servers.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    /// Without user, and without a slash at the end.
    pub(crate) url: String,
    pub(crate) credentials: Credentials,
}

/// Where a registry is and how it is spoken to.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    pub(crate) servers: Vec<Server>,
    pub(crate) auto_register: bool,
    /// Certificates that are trusted, and the client's key.
    pub(crate) trusted: Option<Arc<Store>>,
    pub(crate) identity: Option<Arc<Store>>,
}

impl Access {
    /// The URLs, for errors.
    pub(crate) fn urls(&self) -> String {
        self.servers.iter().map(|s| s.url.as_str()).collect::<Vec<_>>().join(",")
    }

    pub(crate) fn parse(given: &Options) -> Result<Access> {
        let mut options = given.clone();
        let pairs = given.get(PROPERTIES.key).unwrap_or_default().split(',').filter(|p| !p.trim().is_empty());
        let mut properties = vec![];
        for pair in pairs {
            let Some((key, value)) = pair.split_once(':') else {
                return Err(Error::user("A property of the schema registry is no 'key:value'")
                    .with("option", PROPERTIES.key)
                    .hint("Write 'key:value,key:value', or one option 'properties.<key>' for each"));
            };
            properties.push((key.trim().to_string(), value.trim().to_string()));
        }
        properties.extend(
            given.iter().filter_map(|(k, v)| Some((k.strip_prefix("properties.")?.to_string(), v.to_string()))),
        );
        for (key, value) in properties {
            if WITHOUT_EFFECT.contains(&key.as_str()) {
                continue;
            }
            let Some((_, option)) = SAME.iter().find(|(name, _)| *name == key) else {
                let known: Vec<&str> = SAME.iter().map(|(name, _)| *name).collect();
                return Err(Error::user(format!("The property '{key}' of the schema registry is not supported"))
                    .with("option", PROPERTIES.key)
                    .hint(format!("There are {}", known.join(", "))));
            };
            // The options count more, as in Flink.
            if !options.contains(option) {
                options.set(*option, value);
            }
        }
        for option in [&BASIC_SOURCE, &BEARER_SOURCE] {
            if let Some(value) = options.get(option.key) {
                option
                    .check(option.key, value)
                    .map_err(|e| e.hint("Other sources of credentials are not supported"))?;
            }
        }
        let auto_register = options.bool(&AUTO_REGISTER)?;
        let mut servers = vec![];
        let urls = options.get(URL.key).or(options.get(OLD_URL.key)).unwrap_or_default();
        for url in urls.split(',').map(str::trim).filter(|u| !u.is_empty()) {
            servers.push(without_user(url)?);
        }
        if servers.is_empty() {
            return Err(Error::user("Missing required option: the 'url' of the schema registry is empty")
                .with("option", URL.key)
                .hint("Set it, as in 'avro-confluent.url' = 'http://host:8081'"));
        }
        let is_url_source = options.get(BASIC_SOURCE.key).is_some_and(|s| s.eq_ignore_ascii_case("URL"));
        let of_all = match options.get(BASIC_USER.key).filter(|_| !is_url_source).map(|user| user.split_once(':')) {
            Some(Some((name, password))) => Credentials::Basic(name.to_string(), Secret::new(password)),
            Some(None) => {
                return Err(Error::user("'basic-auth.user-info' has no colon between name and password")
                    .with("option", BASIC_USER.key));
            }
            None => Credentials::None,
        };
        let has_user = |c: &Credentials| matches!(c, Credentials::Basic(..));
        let any_user = has_user(&of_all) || servers.iter().any(|s: &Server| has_user(&s.credentials));
        let of_all = match options.get(BEARER_TOKEN.key) {
            Some(_) if any_user => {
                return Err(Error::user("Both a user and a bearer token are given for the schema registry")
                    .with("option", BEARER_TOKEN.key)
                    .hint("Give one of them"));
            }
            Some(token) => Credentials::Bearer(Secret::new(token)),
            None if !any_user && (options.contains(BASIC_SOURCE.key) || options.contains(BEARER_SOURCE.key)) => {
                return Err(Error::user("A source of credentials is named, but there are none in it")
                    .with("option", BASIC_USER.key)
                    .hint("Set 'basic-auth.user-info' or 'bearer-auth.token'"));
            }
            None => of_all,
        };
        // What an option says is for all servers; else each has its own, and none has another's.
        if !matches!(of_all, Credentials::None) {
            servers.iter_mut().for_each(|s| s.credentials = of_all.clone());
        }
        let store = |location: &ConfigOption, password: &ConfigOption| {
            let names = Names { location: location.key, password: password.key, key_password: password.key };
            let secret = options.get(password.key).map(Secret::new);
            options.get(location.key).map(|path| Arc::new(Store::new(path, secret, None, names)))
        };
        let trusted = store(&TRUST_LOCATION, &TRUST_PASSWORD);
        let identity = store(&KEY_LOCATION, &KEY_PASSWORD);
        Ok(Access { servers, auto_register, trusted, identity })
    }
}

/// A URL without name and password, with those.
fn without_user(url: &str) -> Result<Server> {
    let scheme = ["http://", "https://"].into_iter().find(|s| url.starts_with(s));
    let Some(scheme) = scheme else {
        return Err(Error::user("The URL of a schema registry begins with http:// or https://").with("option", URL.key));
    };
    let rest = url[scheme.len()..].trim_end_matches('/');
    let host_end = rest.find('/').unwrap_or(rest.len());
    if rest[host_end..].contains('@') {
        // A password with a slash: what stands before it must not be taken for a host, and shown.
        return Err(Error::user("The URL of a schema registry has an @ behind a /")
            .with("option", URL.key)
            .hint("Write user and password in 'basic-auth.user-info'"));
    }
    let Some((user, host)) = rest[..host_end].rsplit_once('@') else {
        return Ok(Server { url: format!("{scheme}{rest}"), credentials: Credentials::None });
    };
    let Some((name, password)) = user.split_once(':') else {
        return Err(Error::user("The user in the URL of a schema registry has no colon between name and password")
            .with("option", URL.key));
    };
    let credentials = Credentials::Basic(unescaped(name)?, Secret::new(unescaped(password)?));
    Ok(Server { url: format!("{scheme}{host}{}", &rest[host_end..]), credentials })
}

/// A part of a URL without its %-escapes. It may be a password: an error does not show it.
fn unescaped(text: &str) -> Result<String> {
    let wrong = || {
        Error::user("The user or password in the URL of a schema registry has a % that begins no escape")
            .with("option", URL.key)
            .hint("Write %25 for a percent sign, or write both in 'basic-auth.user-info', which has no escapes")
    };
    let mut parts = text.split('%');
    let mut out = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..2).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit())).ok_or_else(wrong)?;
        out.push(u8::from_str_radix(digits, 16).map_err(|_| wrong())?);
        out.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(out).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(options: &[(&str, &str)]) -> Result<Access> {
        Access::parse(&options.iter().copied().collect())
    }

    fn user(server: &Server) -> Option<(&str, &str)> {
        match &server.credentials {
            Credentials::Basic(name, password) => Some((name, password.reveal())),
            _ => None,
        }
    }

    #[test]
    fn credentials_come_from_options_url_and_properties() {
        let plain = access(&[("url", "http://a:1/apis/ccompat/v7/, https://b")]).expect("valid");
        assert_eq!(plain.urls(), "http://a:1/apis/ccompat/v7,https://b");
        assert!(plain.auto_register && plain.servers.iter().all(|s| matches!(s.credentials, Credentials::None)));
        for options in [
            &[("url", "http://me:pw@a/x")][..],
            &[("url", "http://a/x"), ("basic-auth.user-info", "me:pw"), ("basic-auth.credentials-source", "USER_INFO")],
            &[("url", "http://a/x"), ("properties", "basic.auth.user.info:me:pw")],
            &[("url", "http://a/x"), ("properties.basic.auth.user.info", "me:pw")],
        ] {
            let access = access(options).expect("valid");
            assert_eq!((access.urls().as_str(), user(&access.servers[0])), ("http://a/x", Some(("me", "pw"))));
            assert!(!format!("{access:?}").contains("pw"), "{access:?}");
        }
        let token = access(&[("url", "http://a"), ("bearer-auth.token", "t")]).expect("valid");
        assert!(matches!(token.servers[0].credentials, Credentials::Bearer(_)));
    }

    #[test]
    fn older_names_and_properties_of_javas_client() {
        let older = [("schema-registry.url", "http://old"), ("properties.max.schemas.per.subject", "10")];
        assert_eq!(access(&older).expect("valid").urls(), "http://old");
        let both = [older[0], ("url", "http://new"), ("properties", "http.read.timeout.ms:5")];
        assert_eq!(access(&both).expect("valid").urls(), "http://new", "the newer name counts");
    }

    #[test]
    fn each_url_has_its_own_user() {
        let several = access(&[("url", "http://a:p%40%3A%2Fw%25@one, http://two/x, http://%C3%A9:b+c:d@three")]);
        let several = several.expect("valid");
        assert_eq!(several.urls(), "http://one,http://two/x,http://three");
        let users: Vec<_> = several.servers.iter().map(user).collect();
        assert_eq!(users, [Some(("a", "p@:/w%")), None, Some(("é", "b+c:d"))]);
        let of_all = access(&[("url", "http://a:b@one,http://two"), ("basic-auth.user-info", "me:p%40")]);
        let of_all = of_all.expect("valid");
        assert!(of_all.servers.iter().all(|s| user(s) == Some(("me", "p%40"))), "{of_all:?}");
    }

    #[test]
    fn what_is_not_supported_is_refused() {
        for (options, part) in [
            (&[("url", "")][..], "is empty"),
            (&[("url", "ftp://a")], "http:// or https://"),
            (&[("url", "http://a"), ("properties", "x")], "is no 'key:value'"),
            (
                &[("url", "http://a"), ("properties.max.schemas", "1")],
                "'max.schemas' of the schema registry is not supported",
            ),
            (
                &[("url", "http://a"), ("basic-auth.credentials-source", "SASL_INHERIT")],
                "expected one of USER_INFO, URL",
            ),
            (&[("url", "http://a"), ("basic-auth.credentials-source", "USER_INFO")], "there are none in it"),
            (&[("url", "http://a"), ("basic-auth.user-info", "me")], "no colon"),
            (&[("url", "http://a:b%4@c")], "begins no escape"),
            (&[("url", "http://a:%ff@c")], "begins no escape"),
            (&[("url", "http://a@c")], "no colon"),
            (&[("url", "http://x,http://a:b@c"), ("bearer-auth.token", "t")], "Both a user and a bearer token"),
            (&[("url", "http://a:b@c"), ("bearer-auth.token", "t")], "Both a user and a bearer token"),
        ] {
            let e = access(options).expect_err(part);
            assert!(e.to_string().contains(part) && e.context("option").is_some(), "{e}");
        }
    }
}
