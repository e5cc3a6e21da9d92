//! A real broker for tests: `cargo xtask services up kafka`. Its own small client, so that what a connector writes is read
//! by something else.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use flott_core::{Error, Result, id};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::{ClientConfig, ClientContext, Offset, Timestamp, TopicPartitionList};

use crate::ports::free_ports;

/// The longest that the broker may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A broker.
#[derive(Debug, Clone)]
pub struct Kafka {
    /// `host:port`.
    pub servers: String,
}

/// A record to be written or that was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KafkaRecord {
    /// Which partition; `None` lets the client choose.
    pub partition: Option<i32>,
    /// Where it lies.
    pub offset: i64,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
    /// Milliseconds since the epoch.
    pub timestamp_ms: Option<i64>,
    /// Names and values.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl KafkaRecord {
    /// A value for a partition.
    pub fn of(partition: i32, value: impl Into<Vec<u8>>) -> KafkaRecord {
        KafkaRecord { partition: Some(partition), value: Some(value.into()), ..KafkaRecord::default() }
    }

    /// The value as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.value.as_deref().unwrap_or_default()).into_owned()
    }
}

/// What asks who one is, of the broker that runs.
#[derive(Debug, Clone)]
pub struct Secured {
    /// Logins by PLAIN.
    pub by_plain: Kafka,
    /// Logins by SCRAM-SHA-256 and SCRAM-SHA-512, over TLS.
    pub by_tls: Kafka,
    /// TLS for who has a certificate.
    pub mutual: Kafka,
    /// TLS with a certificate that is another host's.
    pub elsewhere: Kafka,
    /// Who may log in.
    pub user: String,
    /// Who may log in by PLAIN, and may do nothing but what is [allowed](Secured::allow).
    pub stranger: String,
    /// By which password, both, and that of all stores.
    pub password: String,
    /// A file with the broker's certificate, as PEM.
    pub certificate: String,
    /// A file with the certificate of the other host, as PEM.
    pub elsewhere_certificate: String,
    /// A PKCS#12 store with the client's key and certificate.
    pub client: String,
}

impl Secured {
    /// Of the broker that [runs](Kafka::running).
    pub fn running() -> Secured {
        let get = |name: &str| std::env::var(format!("FLOTT_TEST_KAFKA_{name}")).expect("the broker's variables");
        Secured {
            by_plain: Kafka { servers: get("LOGIN") },
            by_tls: Kafka { servers: get("TLS") },
            mutual: Kafka { servers: get("MUTUAL") },
            elsewhere: Kafka { servers: get("ELSEWHERE") },
            user: get("USER"),
            stranger: get("STRANGER"),
            password: get("PASSWORD"),
            certificate: get("CERTIFICATE"),
            elsewhere_certificate: get("ELSEWHERE_CERTIFICATE"),
            client: get("CLIENT"),
        }
    }

    /// Lets the stranger do everything with something: `["--topic", "t"]`, `["--group", "g"]`. Blocks.
    pub fn allow(&self, kafka: &Kafka, what: &[&str]) {
        let libraries = std::env::var("FLOTT_TEST_KAFKA_LIBRARIES").expect("the broker's variables");
        let mut command = Command::new("java");
        command.args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", &format!("{libraries}/*")]);
        command.args([
            "org.apache.kafka.tools.AclCommand",
            "--bootstrap-server",
            &kafka.servers,
            "--add",
            "--operation",
            "All",
        ]);
        command.args(["--allow-principal", &format!("User:{}", self.stranger)]).args(what);
        let done = command.output().expect("java");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
}

/// What became of records, where one was not taken.
#[derive(Default)]
struct FirstFailure(Mutex<Option<KafkaError>>);

impl ClientContext for FirstFailure {}

impl ProducerContext for FirstFailure {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| error.clone());
        }
    }
}

fn failed(error: KafkaError) -> Error {
    Error::unavailable("the broker of the tests").caused_by(error)
}

impl Kafka {
    /// The one that runs, or `None` and a word on why the test is skipped.
    pub fn running() -> Option<Kafka> {
        crate::services::variable("kafka", "FLOTT_TEST_KAFKA").map(|servers| Kafka { servers })
    }

    /// Another address of it.
    pub fn at(&self, port: u16) -> Kafka {
        Kafka { servers: format!("127.0.0.1:{port}") }
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.servers);
        config
    }

    fn admin(&self) -> Result<AdminClient<DefaultClientContext>> {
        self.config().create().map_err(failed)
    }

    /// Makes a topic with a name of its own.
    pub fn topic(&self, partitions: i32) -> Result<String> {
        let name = format!("test-{}", id::random_hex());
        self.create(&name, partitions, &[])?;
        Ok(name)
    }

    /// Makes a topic.
    pub fn create(&self, name: &str, partitions: i32, config: &[(&str, &str)]) -> Result<()> {
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        for (key, value) in config {
            topic = topic.set(key, value);
        }
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        let made = futures::executor::block_on(self.admin()?.create_topics([&topic], &options)).map_err(failed)?;
        match made.into_iter().next() {
            Some(Err((_, code))) => Err(failed(KafkaError::AdminOp(code))),
            _ => self.wait_for(name, partitions),
        }
    }

    /// A topic that was made is to be seen a little later.
    fn wait_for(&self, name: &str, partitions: i32) -> Result<()> {
        let consumer: BaseConsumer = self.config().create().map_err(failed)?;
        for _ in 0..1_000 {
            let metadata = consumer.fetch_metadata(Some(name), PATIENCE).map_err(failed)?;
            let found = metadata.topics().iter().find(|t| t.name() == name && t.error().is_none());
            let led = |t: &rdkafka::metadata::MetadataTopic| t.partitions().iter().filter(|p| p.leader() >= 0).count();
            if found.map_or(0, led) == partitions as usize {
                return Ok(());
            }
            pause(Duration::from_millis(10));
        }
        Err(Error::unavailable("the broker of the tests does not show a topic that it has made"))
    }

    /// Removes a topic.
    pub fn delete(&self, name: &str) -> Result<()> {
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        futures::executor::block_on(self.admin()?.delete_topics(&[name], &options)).map(drop).map_err(failed)
    }

    /// Removes the records before an offset.
    pub fn delete_records(&self, topic: &str, partition: i32, before: i64) -> Result<()> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(before)).map_err(failed)?;
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        futures::executor::block_on(self.admin()?.delete_records(&list, &options)).map(drop).map_err(failed)
    }

    /// Adds partitions.
    pub fn add_partitions(&self, topic: &str, count: usize) -> Result<()> {
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        let new = rdkafka::admin::NewPartitions::new(topic, count);
        futures::executor::block_on(self.admin()?.create_partitions([&new], &options)).map(drop).map_err(failed)
    }

    /// Writes records, and waits until all are acknowledged. Blocks.
    pub fn write(&self, topic: &str, records: &[KafkaRecord]) -> Result<()> {
        let mut config = self.config();
        config.set("linger.ms", "0").set("enable.idempotence", "true");
        let producer: BaseProducer = config.create().map_err(failed)?;
        for record in records {
            let mut message: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic);
            message.partition = record.partition;
            message.key = record.key.as_deref();
            message.payload = record.value.as_deref();
            message.timestamp = record.timestamp_ms;
            if !record.headers.is_empty() {
                let mut headers = OwnedHeaders::new();
                for (key, value) in &record.headers {
                    headers = headers.insert(Header { key, value: value.as_deref() });
                }
                message.headers = Some(headers);
            }
            producer.send(message).map_err(|(e, _)| failed(e))?;
        }
        producer.flush(PATIENCE).map_err(failed)
    }

    /// Writes values of any size into one batch of the first partition, compressed so. Blocks.
    pub fn write_large(&self, topic: &str, values: &[Vec<u8>], compression: &str) -> Result<()> {
        let mut config = self.config();
        config.set("message.max.bytes", "1000000000").set("batch.size", "1000000000").set("linger.ms", "200");
        config.set("compression.type", compression);
        let producer: BaseProducer<FirstFailure> =
            BaseProducer::from_config_and_context(&config, FirstFailure::default()).map_err(failed)?;
        for value in values {
            let record: BaseRecord<'_, [u8], [u8], ()> = BaseRecord::to(topic).partition(0).payload(value);
            producer.send(record).map_err(|(e, _)| failed(e))?;
        }
        producer.flush(PATIENCE).map_err(failed)?;
        let failure = producer.context().0.lock().unwrap_or_else(PoisonError::into_inner).take();
        failure.map_or(Ok(()), |e| Err(failed(e)))
    }

    /// Writes records in a transaction, and aborts it. Blocks.
    pub fn write_aborted(&self, topic: &str, records: &[KafkaRecord]) -> Result<()> {
        let mut config = self.config();
        config.set("transactional.id", id::random_hex());
        let producer: BaseProducer = config.create().map_err(failed)?;
        producer.init_transactions(PATIENCE).map_err(failed)?;
        producer.begin_transaction().map_err(failed)?;
        for record in records {
            let mut message: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic);
            message.partition = record.partition;
            message.payload = record.value.as_deref();
            producer.send(message).map_err(|(e, _)| failed(e))?;
        }
        producer.flush(PATIENCE).map_err(failed)?;
        producer.abort_transaction(PATIENCE).map_err(failed)
    }

    /// All records that are committed now, partition by partition. Blocks.
    pub fn read(&self, topic: &str) -> Result<Vec<KafkaRecord>> {
        let mut config = self.config();
        config
            .set("group.id", "flott-tests")
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false");
        config.set("enable.partition.eof", "true").set("fetch.wait.max.ms", "20");
        let consumer: BaseConsumer = config.create().map_err(failed)?;
        let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).map_err(failed)?;
        let partitions = metadata.topics().iter().find(|t| t.name() == topic).map_or(0, |t| t.partitions().len());
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            list.add_partition_offset(topic, partition as i32, Offset::Beginning).map_err(failed)?;
        }
        consumer.assign(&list).map_err(failed)?;
        let (mut records, mut ends) = (vec![], 0);
        while ends < partitions {
            match consumer.poll(PATIENCE) {
                Some(Ok(message)) => records.push(KafkaRecord {
                    partition: Some(message.partition()),
                    offset: message.offset(),
                    key: message.key().map(<[u8]>::to_vec),
                    value: message.payload().map(<[u8]>::to_vec),
                    timestamp_ms: match message.timestamp() {
                        Timestamp::NotAvailable => None,
                        Timestamp::CreateTime(ms) | Timestamp::LogAppendTime(ms) => Some(ms),
                    },
                    headers: message.headers().map_or_else(Vec::new, |h| {
                        h.iter().map(|h| (h.key.to_string(), h.value.map(<[u8]>::to_vec))).collect()
                    }),
                }),
                Some(Err(KafkaError::PartitionEOF(_))) => ends += 1,
                Some(Err(error)) => return Err(failed(error)),
                None => return Err(Error::unavailable("the broker of the tests does not answer")),
            }
        }
        records.sort_by_key(|r| (r.partition, r.offset));
        Ok(records)
    }

    /// The offset that a group has committed. Blocks.
    pub fn committed(&self, group: &str, topic: &str, partition: i32) -> Result<Option<i64>> {
        let mut config = self.config();
        config.set("group.id", group);
        let consumer: BaseConsumer = config.create().map_err(failed)?;
        let mut list = TopicPartitionList::new();
        list.add_partition(topic, partition);
        let answer = consumer.committed_offsets(list, PATIENCE).map_err(failed)?;
        let offset = answer.elements().first().map(rdkafka::topic_partition_list::TopicPartitionListElem::offset);
        Ok(match offset {
            Some(Offset::Offset(offset)) => Some(offset),
            _ => None,
        })
    }
}

#[expect(clippy::disallowed_methods, reason = "waits for another process")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// A broker that belongs to one test, which kills it.
#[derive(Debug)]
pub struct OwnKafka {
    folder: PathBuf,
    libraries: PathBuf,
    ports: Vec<u16>,
    child: Option<Child>,
}

impl OwnKafka {
    /// Starts one over a folder, or `None` and a word on why the test is skipped.
    pub fn start(folder: &Path) -> Option<OwnKafka> {
        let libraries = PathBuf::from(crate::services::variable("kafka", "FLOTT_TEST_KAFKA_LIBRARIES")?);
        std::fs::create_dir_all(folder).expect("a folder");
        let ports = free_ports(2).expect("free ports");
        let mut own = OwnKafka { folder: folder.to_path_buf(), libraries, ports, child: None };
        std::fs::write(own.properties(), own.settings()).expect("written");
        let formatted = own
            .java()
            .args(["kafka.tools.StorageTool", "format", "-t", "Zmxvdi10ZXN0cy1vd25rYQ", "-c"])
            .arg(own.properties())
            .output()
            .expect("java");
        assert!(formatted.status.success(), "{}", String::from_utf8_lossy(&formatted.stderr));
        own.run();
        Some(own)
    }

    fn properties(&self) -> PathBuf {
        self.folder.join("server.properties")
    }

    fn java(&self) -> Command {
        let mut command = Command::new("java");
        command.args(["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"]).arg(self.libraries.join("*"));
        command
    }

    fn settings(&self) -> String {
        let (clients, controller) = (self.ports[0], self.ports[1]);
        [
            "process.roles=broker,controller".to_string(),
            "node.id=1".to_string(),
            format!("controller.quorum.voters=1@127.0.0.1:{controller}"),
            format!("listeners=PLAINTEXT://127.0.0.1:{clients},CONTROLLER://127.0.0.1:{controller}"),
            format!("advertised.listeners=PLAINTEXT://127.0.0.1:{clients}"),
            "controller.listener.names=CONTROLLER".to_string(),
            "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT".to_string(),
            format!("log.dirs={}", self.folder.join("data").display()),
            "offsets.topic.replication.factor=1".to_string(),
            "offsets.topic.num.partitions=2".to_string(),
            "transaction.state.log.replication.factor=1".to_string(),
            "transaction.state.log.min.isr=1".to_string(),
            "transaction.state.log.num.partitions=2".to_string(),
            "share.coordinator.state.topic.replication.factor=1".to_string(),
            "share.coordinator.state.topic.min.isr=1".to_string(),
            "auto.create.topics.enable=false".to_string(),
            "broker.session.timeout.ms=2000".to_string(),
            "broker.heartbeat.interval.ms=200".to_string(),
        ]
        .join("\n")
    }

    /// How to reach it.
    pub fn address(&self) -> Kafka {
        Kafka { servers: format!("127.0.0.1:{}", self.ports[0]) }
    }

    /// Runs it, again after a kill, and waits until it answers.
    pub fn run(&mut self) {
        let child = self
            .java()
            .arg("kafka.Kafka")
            .arg(self.properties())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.child = Some(child.expect("java"));
        let consumer: BaseConsumer = self.address().config().create().expect("a client");
        for _ in 0..120 {
            let metadata = consumer.fetch_metadata(None, Duration::from_millis(500));
            if metadata.is_ok_and(|m| !m.brokers().is_empty()) {
                return;
            }
            pause(Duration::from_millis(50));
        }
        panic!("the broker does not answer");
    }

    /// kill -9.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("killed");
            child.wait().expect("ended");
        }
    }
}

impl Drop for OwnKafka {
    fn drop(&mut self) {
        self.kill();
    }
}
