//! The http connector and a server of the tests' own.

use std::collections::HashSet;
use std::sync::Mutex;

use async_trait::async_trait;
use flott_core::Result;
use flott_testkit::at_least_once_sink_suite;
use flott_testkit::http::{HttpAnswer, HttpRequest, HttpServer};
use flott_testkit::suite::{Record, Semantics, SinkContext, SinkTable};

use crate::embedded::Embedded;
use crate::files::decoded;

struct Services;

struct Service(HttpServer);

#[async_trait]
impl SinkContext for Services {
    async fn create(&self, _semantics: Semantics) -> Result<Box<dyn SinkTable>> {
        // Each third is to be sent again, once: by their number alone one of three that are sent together could be the third each
        // time, until its tries are used up.
        let known = Mutex::new(HashSet::new());
        let answers = move |_, request: &HttpRequest| {
            let mut known = known.lock().expect("no thread panics here");
            match known.insert(request.body.clone()) && known.len() % 3 == 2 {
                true => HttpAnswer::Status(503, vec![("Retry-After", "0".to_string())], String::new()),
                false => HttpAnswer::status(200),
            }
        };
        Ok(Box::new(Service(HttpServer::start(answers))))
    }
}

#[async_trait]
impl SinkTable for Service {
    fn options(&self) -> Vec<(String, String)> {
        let options = [("connector", "http"), ("url", &self.0.url()), ("format", "json")];
        let more = [("sink.batch.max-rows", "50"), ("sink.batch.layout", "lines")];
        options.iter().chain(&more).map(|(k, v)| (k.to_string(), v.to_string())).collect()
    }

    async fn read(&self) -> Result<Vec<Record>> {
        let text: String = self.0.requests().into_iter().map(|r| r.body).collect();
        decoded("json", text.lines().map(str::as_bytes))
    }
}

at_least_once_sink_suite!(http_sink, Embedded::new(), Some(Services));
