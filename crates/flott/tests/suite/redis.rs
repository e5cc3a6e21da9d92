//! The redis connector over a real server: `cargo xtask services up redis`. Skipped where none runs. Rows without a key go to
//! a list.

use async_trait::async_trait;
use flott_core::{Error, Result, id};
use flott_testkit::suite::{Record, Semantics, SinkContext, SinkTable};
use flott_testkit::{at_least_once_sink_suite, services};

use crate::embedded::Embedded;
use crate::files::decoded;

struct Lists {
    url: String,
    password: String,
}

struct List {
    url: String,
    password: String,
    key: String,
}

impl Lists {
    fn running() -> Option<Lists> {
        services::redis().map(|(url, password)| Lists { url, password })
    }
}

#[async_trait]
impl SinkContext for Lists {
    async fn create(&self, _semantics: Semantics) -> Result<Box<dyn SinkTable>> {
        let key = format!("flott-test-{}", id::random_hex());
        Ok(Box::new(List { url: self.url.clone(), password: self.password.clone(), key }))
    }
}

#[async_trait]
impl SinkTable for List {
    fn options(&self) -> Vec<(String, String)> {
        [
            ("connector", "redis"),
            ("url", &self.url),
            ("password", &self.password),
            ("data-type", "list"),
            ("key", &self.key),
            ("format", "json"),
        ]
        .map(|(k, v)| (k.to_string(), v.to_string()))
        .to_vec()
    }

    async fn read(&self) -> Result<Vec<Record>> {
        let failed = |e: redis::RedisError| Error::unavailable("Redis").caused_by(e);
        let info = redis::IntoConnectionInfo::into_connection_info(self.url.as_str()).map_err(failed)?;
        let settings = info.redis_settings().clone().set_password(&self.password);
        let client = redis::Client::open(info.set_redis_settings(settings)).map_err(failed)?;
        let mut connection = client.get_multiplexed_async_connection().await.map_err(failed)?;
        let mut range = redis::cmd("LRANGE");
        range.arg(&self.key).arg(0).arg(-1);
        let rows: Vec<Vec<u8>> = range.query_async(&mut connection).await.map_err(failed)?;
        decoded("json", rows.iter().map(Vec::as_slice))
    }
}

at_least_once_sink_suite!(redis_sink, Embedded::new(), Lists::running());
