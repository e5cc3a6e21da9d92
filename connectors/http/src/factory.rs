//! From a table's DDL to a sink.

use std::str::FromStr;
use std::sync::Arc;

use arrow_schema::Schema;
use base64::prelude::*;
use flott_connector::factory::{ChangelogMode, ConnectorFactory, TableContext, TableSink};
use flott_connector::format::FormatContext;
use flott_connector::table::{Column, ColumnKind};
use flott_core::options::{ConfigOption, Options};
use flott_core::types::arrow_field;
use flott_core::{Error, Result};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Method};

use crate::options;
use crate::request::Service;
use crate::status::Codes;
use crate::target::{HttpSink, Layout, Target};
use crate::template::Template;

/// Rows to an HTTP service.
#[derive(Debug, Clone, Copy, Default)]
pub struct HttpFactory;

fn wrong(option: &ConfigOption, message: impl Into<String>) -> Error {
    Error::user(message.into()).with("option", option.key)
}

fn headers(given: &Options, content_type: &str) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    let mut add = |option: &ConfigOption, name: &str, value: &str, is_secret: bool| {
        let name = HeaderName::from_str(name)
            .map_err(|e| wrong(option, format!("'{name}' is no name of a header")).caused_by(e))?;
        let mut value = HeaderValue::from_str(value).map_err(|_| {
            wrong(option, format!("The value of the header '{name}' has characters that none can have"))
        })?;
        value.set_sensitive(is_secret);
        headers.insert(name, value);
        Ok::<_, Error>(())
    };
    add(&options::CONTENT_TYPE, CONTENT_TYPE.as_str(), content_type, false)?;
    for (key, value) in given.iter() {
        if let Some(name) = key.strip_prefix("header.secret.") {
            add(&options::HEADERS, name, value, true)?;
        } else if let Some(name) = key.strip_prefix("header.plain.") {
            add(&options::PLAIN_HEADERS, name, value, false)?;
        }
    }
    match (given.get(options::USERNAME.key), given.get(options::PASSWORD.key), given.get(options::TOKEN.key)) {
        (None, None, None) => {}
        (None, None, Some(token)) => add(&options::TOKEN, AUTHORIZATION.as_str(), &format!("Bearer {token}"), true)?,
        (Some(user), Some(password), None) => {
            if user.contains(':') {
                return Err(wrong(&options::USERNAME, "'username' has a colon, which none can have here"));
            }
            let login = BASE64_STANDARD.encode(format!("{user}:{password}"));
            add(&options::PASSWORD, AUTHORIZATION.as_str(), &format!("Basic {login}"), true)?;
        }
        (_, _, Some(_)) => return Err(wrong(&options::TOKEN, "'token' and a user both say who asks")),
        _ => return Err(wrong(&options::USERNAME, "'username' and 'password' belong together")),
    }
    Ok(headers)
}

fn client(given: &Options) -> Result<reqwest::Client> {
    let timeout = given.duration(&options::TIMEOUT)?.filter(|t| !t.is_zero());
    let timeout = timeout.ok_or_else(|| wrong(&options::TIMEOUT, "'sink.request.timeout' must be more than 0"))?;
    let mut client = reqwest::Client::builder()
        .timeout(timeout)
        // Credentials and rows are not carried elsewhere.
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("flott/", env!("CARGO_PKG_VERSION")));
    if let Some(pem) = given.get(options::TLS_CA.key) {
        let certificates = Certificate::from_pem_bundle(pem.as_bytes()).ok().filter(|c| !c.is_empty());
        let certificates = certificates.ok_or_else(|| {
            wrong(&options::TLS_CA, "'tls.ca' holds no certificate")
                .hint("Write it as PEM: -----BEGIN CERTIFICATE----- and what follows")
        })?;
        client = certificates.into_iter().fold(client, reqwest::ClientBuilder::add_root_certificate);
    }
    client.build().map_err(|e| Error::user("A client of the HTTP service cannot be made").caused_by(e.without_url()))
}

fn sink(context: &TableContext) -> Result<TableSink> {
    context.validate_options(options::ALL, &[options::FORMAT.key])?;
    let given = &context.table.options;
    let persisted: Vec<&Column> = context.table.schema.columns.iter().filter(|c| c.is_persisted()).collect();
    if let Some(column) = persisted.iter().find(|c| c.kind != ColumnKind::Physical) {
        return Err(Error::user("The connector 'http' has no metadata").with("column", &column.name));
    }
    let names: Vec<&str> = persisted.iter().map(|c| c.name.as_str()).collect();
    let url = Template::parse(given.get(options::URL.key).unwrap_or_default(), &names)?;
    let (factory, format_options) = context.format(options::FORMAT.key)?;
    let mode = factory.changelog_mode();
    let key = context.table.schema.primary_key.as_ref().filter(|_| mode.is_insert_only());
    if let Some(key) = key {
        let missing = key.columns.iter().find(|c| !url.columns().any(|i| names[i] == c.as_str()));
        if let Some(column) = missing {
            return Err(wrong(&options::URL, format!("The column '{column}' of the PRIMARY KEY is not in 'url'"))
                .hint(format!("Rows replace each other by their URL: write {{{column}}} into it, or remove the key")));
        }
        if let Some(i) = url.columns().find(|i| !key.columns.iter().any(|c| c == names[*i])) {
            return Err(wrong(&options::URL, format!("The column '{}' in 'url' is not of the PRIMARY KEY", names[i]))
                .hint("A row that changes would get another URL: write only columns of the key into it"));
        }
    }
    let batch_rows = given.positive(&options::BATCH_ROWS)?.unwrap_or(1);
    if batch_rows > 1 && url.columns().next().is_some() {
        return Err(wrong(&options::BATCH_ROWS, "Several rows in a request need a URL that is the same for all"));
    }
    let is_lines = given.text(&options::BATCH_LAYOUT).is_some_and(|l| l.eq_ignore_ascii_case("lines"));
    let layout = match (batch_rows, is_lines) {
        (1, _) => Layout::Single,
        (_, true) => Layout::Lines,
        (_, false) if factory.identifier().contains("json") => Layout::JsonArray,
        _ => {
            return Err(wrong(&options::BATCH_LAYOUT, "Rows of this format make no array of JSON")
                .hint("Set 'sink.batch.layout' = 'lines', or the format 'json'"));
        }
    };
    let content_type = match (given.get(options::CONTENT_TYPE.key), factory.identifier(), layout) {
        (Some(given), ..) => given,
        (None, name, Layout::Lines) if name.contains("json") => "application/x-ndjson",
        (None, name, _) if name.contains("json") => "application/json",
        (None, "csv", _) => "text/csv",
        _ => "application/octet-stream",
    };
    let method = match given.get(options::METHOD.key).map(str::to_ascii_uppercase).as_deref() {
        Some("PUT") => Method::PUT,
        Some("PATCH") => Method::PATCH,
        Some(_) => Method::POST,
        None if key.is_some() => Method::PUT,
        None => Method::POST,
    };
    let codes = |option: &ConfigOption| Codes::parse(given.text(option).unwrap_or_default(), option);
    let id_header = given.text(&options::ID_HEADER).map(str::trim).filter(|h| !h.is_empty());
    let id_header = id_header.map(HeaderName::from_str).transpose();
    let retries = given.int(&options::RETRIES)?.unwrap_or(0);
    let service = Service {
        client: client(given)?,
        headers: headers(given, content_type)?,
        id_header: id_header
            .map_err(|e| wrong(&options::ID_HEADER, "'sink.id-header' is no name of a header").caused_by(e))?,
        success: codes(&options::SUCCESS_CODES)?,
        retry: codes(&options::RETRY_CODES)?,
        retries: u32::try_from(retries)
            .map_err(|_| wrong(&options::RETRIES, "'sink.request.max-retries' must not be less than 0"))?,
        shown: url.shown.clone(),
    };
    let fields: Vec<_> = persisted.iter().map(|c| arrow_field(&c.name, &c.data_type)).collect();
    let schema = Arc::new(Schema::new(fields));
    let format = FormatContext {
        schema: Arc::clone(&schema),
        declared: schema,
        options: format_options,
        local_time_zone: context.local_time_zone(),
    };
    let target = Target {
        service: Arc::new(service),
        method,
        value: factory.encoding(&format)?,
        changes: !mode.is_insert_only(),
        upsert: key.is_some(),
        url,
        layout,
        batch_rows,
        in_flight: given.positive(&options::IN_FLIGHT)?.unwrap_or(1),
    };
    if target.upsert && target.in_flight > 1 {
        return Err(wrong(&options::IN_FLIGHT, "Rows that replace each other have to be sent one after the other")
            .hint("Remove 'sink.requests.max-in-flight'; 'sink.parallelism' sends several keys at a time"));
    }
    let upsert = target.upsert;
    Ok(TableSink {
        sink: Arc::new(HttpSink(Arc::new(target))),
        changelog_mode: if upsert { ChangelogMode::UPSERT } else { mode },
        parallelism: given.positive(&options::SINK_PARALLELISM)?,
    })
}

impl ConnectorFactory for HttpFactory {
    fn identifier(&self) -> &'static str {
        "http"
    }

    fn description(&self) -> &'static str {
        "Sends rows to an HTTP service, one or several a request, at least once; with a PRIMARY KEY in the URL rows replace each \
         other. See [http.md](http.md)."
    }

    fn options(&self) -> &'static [ConfigOption] {
        options::ALL
    }

    fn sink_deletes_by_key(&self, _options: &Options) -> bool {
        true
    }

    fn sink(&self, context: &TableContext) -> Result<TableSink> {
        sink(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_written_as_in_the_rfc() {
        // RFC 7617, section 2.
        let given = [("username", "Aladdin"), ("password", "open sesame")].into_iter().collect();
        let headers = headers(&given, "text/csv").expect("headers");
        assert_eq!(headers[AUTHORIZATION], "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert!(headers[AUTHORIZATION].is_sensitive());
    }
}
