//! What librdkafka offers and its safe interface does not: the only unsafe code of this crate.
#![expect(unsafe_code, reason = "calls of the C library, each a few lines")]

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_void};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::time::Duration;

use rdkafka::bindings as c;
use rdkafka::client::Client;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientContext, Timestamp};

use crate::client::{Context, REQUEST_PATIENCE};
use crate::record::Outgoing;

/// The id of a topic on a broker that has none.
const NO_ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";
/// The partition of a record for which the partitioner chooses one.
const UNASSIGNED: i32 = -1;
/// Records that are taken from the client at once, and about how many bytes: what is taken makes room for as much in its queue.
const AT_ONCE: usize = 1_024;
const BYTES_AT_ONCE: usize = 1 << 20;
/// The first time.
const FIRST_AT_ONCE: usize = 32;
/// Lines of the log that are heard at once.
const LINES_MAX: usize = 1_000;

/// A record that the client lends, or what it says in the place of one: then the offset of an end is that of the end.
#[derive(Clone, Copy)]
pub(crate) struct Taken<'a> {
    message: NonNull<c::rd_kafka_message_t>,
    lent: PhantomData<&'a ()>,
}

impl<'a> Taken<'a> {
    fn raw(&self) -> &'a c::rd_kafka_message_t {
        // SAFETY: the message lives as long as it is lent, and nobody writes to it.
        unsafe { self.message.as_ref() }
    }

    pub(crate) fn error(&self) -> Option<KafkaError> {
        match RDKafkaErrorCode::from(self.raw().err) {
            RDKafkaErrorCode::NoError => None,
            RDKafkaErrorCode::PartitionEOF => Some(KafkaError::PartitionEOF(self.raw().partition)),
            code => Some(KafkaError::MessageConsumption(code)),
        }
    }

    pub(crate) fn topic(&self) -> &'a str {
        let topic = self.raw().rkt;
        if topic.is_null() {
            return "";
        }
        // SAFETY: the message keeps its topic, whose name ends with 0; Kafka's names are ASCII.
        unsafe { CStr::from_ptr(c::rd_kafka_topic_name(topic)) }.to_str().unwrap_or_default()
    }

    pub(crate) fn partition(&self) -> i32 {
        self.raw().partition
    }

    pub(crate) fn offset(&self) -> i64 {
        self.raw().offset
    }

    pub(crate) fn key(&self) -> Option<&'a [u8]> {
        bytes(self.raw().key, self.raw().key_len)
    }

    pub(crate) fn value(&self) -> Option<&'a [u8]> {
        bytes(self.raw().payload, self.raw().len)
    }

    pub(crate) fn timestamp(&self) -> Timestamp {
        let mut kind = c::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is lent for the whole call, which only reads it and writes the kind.
        let ms = unsafe { c::rd_kafka_message_timestamp(self.message.as_ptr(), &mut kind) };
        match kind {
            _ if ms == -1 => Timestamp::NotAvailable,
            c::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE => Timestamp::NotAvailable,
            c::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_CREATE_TIME => Timestamp::CreateTime(ms),
            c::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME => Timestamp::LogAppendTime(ms),
        }
    }

    pub(crate) fn leader_epoch(&self) -> Option<i32> {
        // SAFETY: the message is lent for the whole call, which only reads it.
        let epoch = unsafe { c::rd_kafka_message_leader_epoch(self.message.as_ptr()) };
        (epoch >= 0).then_some(epoch)
    }

    /// A name that is no UTF-8 is read as in Java, with replacement characters.
    pub(crate) fn headers(&self) -> Vec<(String, Option<Vec<u8>>)> {
        let mut list = ptr::null_mut();
        // SAFETY: the message is lent for the whole call, and owns the headers.
        if unsafe { c::rd_kafka_message_headers(self.message.as_ptr(), &mut list) } as i32 != 0 || list.is_null() {
            return vec![];
        }
        let mut headers = vec![];
        loop {
            let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0usize);
            // SAFETY: the list is the message's; past its end the call says so and writes nothing.
            if unsafe { c::rd_kafka_header_get_all(list, headers.len(), &mut name, &mut value, &mut size) } as i32 != 0
            {
                return headers;
            }
            // SAFETY: the call was successful: a name that ends with 0, and a value of `size` bytes or NULL, all the message's.
            let name = unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned();
            headers.push((name, bytes(value.cast_mut(), size).map(<[u8]>::to_vec)));
        }
    }
}

/// Bytes of a message, which has to be lent for as long.
fn bytes<'a>(pointer: *mut c_void, size: usize) -> Option<&'a [u8]> {
    // SAFETY: the library gives a part of a message of that size, or NULL.
    NonNull::new(pointer).map(|p| unsafe { std::slice::from_raw_parts(p.as_ptr().cast_const().cast::<u8>(), size) })
}

/// What a client says that is no record.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) error: KafkaError,
    /// Topic, partition and offset that it is about. Of an end, the offset of whatever comes next.
    pub(crate) place: Option<(String, i32, i64)>,
}

/// What a consumer has for whoever reads, one after another. As the library's `poll`, but that of an end it says where it is: a broker that
/// is behind, or leads since a moment ago, ends a partition earlier than another one has said.
///
/// Has to end before its consumer.
pub(crate) struct Events {
    queue: NonNull<c::rd_kafka_queue_t>,
    /// The last one, with the record that is lent.
    event: *mut c::rd_kafka_event_t,
}

// SAFETY: queues and events may be used by any thread, by one at a time, which `&mut self` sees to.
unsafe impl Send for Events {}

impl Events {
    /// `None` where the library does not read with this client.
    pub(crate) fn of(consumer: &BaseConsumer<Context>) -> Option<Events> {
        // SAFETY: the client lives as long as the consumer that is borrowed; the queue is given back when `Events` ends.
        let queue = NonNull::new(unsafe { c::rd_kafka_queue_get_consumer(consumer.client().native_ptr()) })?;
        Some(Events { queue, event: ptr::null_mut() })
    }

    /// The next record, which is lent until the next call, or what else there is to say; `None` where nothing comes for so long, and now
    /// and then before.
    pub(crate) fn poll(&mut self, context: &Context, patience: Duration) -> Option<Result<Taken<'_>, Said>> {
        self.give_back();
        let patience = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the queue is this one's; the event is given back by the next call, or at the end.
        unsafe {
            self.event = c::rd_kafka_queue_poll(self.queue.as_ptr(), patience);
            match c::rd_kafka_event_type(self.event) {
                c::RD_KAFKA_EVENT_FETCH => {
                    let message = c::rd_kafka_event_message_next(self.event).cast_mut();
                    Some(Ok(Taken { message: NonNull::new(message)?, lent: PhantomData }))
                }
                c::RD_KAFKA_EVENT_ERROR => self.said(context).map(Err),
                c::RD_KAFKA_EVENT_LOG => {
                    tell_line(self.event, context);
                    None
                }
                _ => None,
            }
        }
    }

    /// The error that the event is.
    fn said(&self, context: &Context) -> Option<Said> {
        // SAFETY: the event is not given back yet; the text ends with 0 and is the event's; the place is made for this call and given back.
        unsafe {
            let code = RDKafkaErrorCode::from(c::rd_kafka_event_error(self.event));
            if code == RDKafkaErrorCode::NoError {
                return None;
            }
            let reason = c::rd_kafka_event_error_string(self.event);
            if !reason.is_null() {
                context.error(KafkaError::Global(code), CStr::from_ptr(reason).to_string_lossy().trim());
            }
            let mut place = None;
            let of_partition = c::rd_kafka_event_topic_partition(self.event);
            if !of_partition.is_null() {
                let topic = CStr::from_ptr((*of_partition).topic).to_string_lossy().into_owned();
                place = Some((topic, (*of_partition).partition, (*of_partition).offset));
                c::rd_kafka_topic_partition_destroy(of_partition);
            }
            let error = match (code, &place) {
                (RDKafkaErrorCode::PartitionEOF, Some((_, partition, _))) => KafkaError::PartitionEOF(*partition),
                _ if c::rd_kafka_event_error_is_fatal(self.event) != 0 => KafkaError::MessageConsumptionFatal(code),
                _ => KafkaError::MessageConsumption(code),
            };
            Some(Said { error, place })
        }
    }

    fn give_back(&mut self) {
        let event = std::mem::replace(&mut self.event, ptr::null_mut());
        if !event.is_null() {
            // SAFETY: the library gave it to this one, nobody borrows it any more, and it is given back once.
            unsafe { c::rd_kafka_event_destroy(event) };
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.give_back();
        // SAFETY: the queue is this one's, and not used any more; the client, which goes on, keeps what it needs of it.
        unsafe { c::rd_kafka_queue_destroy(self.queue.as_ptr()) };
    }
}

/// Tells a line of the log; whether it is an error.
///
/// # Safety
/// The event is one of the log, and not given back.
unsafe fn tell_line(event: *mut c::rd_kafka_event_t, context: &Context) -> bool {
    let (mut facility, mut line, mut level) = (ptr::null(), ptr::null(), 0);
    // SAFETY: the caller has the event; both texts end with 0 and are the event's.
    unsafe {
        if c::rd_kafka_event_log(event, &mut facility, &mut line, &mut level) != 0 {
            return false;
        }
        let facility = CStr::from_ptr(facility).to_string_lossy();
        // Those that are told apart.
        let level = if level <= 3 { RDKafkaLogLevel::Error } else { RDKafkaLogLevel::Info };
        context.log(level, facility.trim(), CStr::from_ptr(line).to_string_lossy().trim());
        facility == "ERROR"
    }
}

/// Takes many records from a consumer at once. What it has to say besides them comes by [`Events::poll`], but for errors that come between
/// two records: those are in its log only.
///
/// The library moves the position of a partition behind whatever is taken so, also behind an end and an error, which are no records.
/// So it must not be asked for it, and no partition be paused: who reads on says from where.
///
/// Has to end before its consumer.
pub(crate) struct Bulk {
    pub(crate) events: Events,
    /// Of lines of the log; else they were among the records, which would send them to standard error.
    lines: NonNull<c::rd_kafka_queue_t>,
    taken: Vec<*mut c::rd_kafka_message_t>,
    /// The first of `taken` that was not given away.
    next: usize,
    /// How many are taken the next time, by how large the last ones were.
    at_once: usize,
}

// SAFETY: queues and messages may be used by any thread, by one at a time, which `&mut self` sees to.
unsafe impl Send for Bulk {}

impl Bulk {
    /// `None` where the library does not read with this client.
    pub(crate) fn of(consumer: &BaseConsumer<Context>) -> Option<Bulk> {
        let events = Events::of(consumer)?;
        let client = consumer.client().native_ptr();
        // SAFETY: the client lives as long as the consumer that is borrowed; the queue is given back when `Bulk` ends.
        let lines = unsafe {
            let lines = NonNull::new(c::rd_kafka_queue_new(client))?;
            c::rd_kafka_set_log_queue(client, lines.as_ptr());
            lines
        };
        Some(Bulk { events, lines, taken: vec![], next: 0, at_once: FIRST_AT_ONCE })
    }

    /// The next record that was taken, or, unless `only_taken`, that is there. Does not wait. It is lent until the next call.
    pub(crate) fn next(&mut self, only_taken: bool) -> Option<Taken<'_>> {
        if self.next == self.taken.len() {
            self.give_back();
            if only_taken {
                return None;
            }
            self.taken.reserve(self.at_once);
            let queue = self.events.queue.as_ptr();
            // SAFETY: the queue is this one's, there is room for so many pointers, and so many as it says were written.
            unsafe {
                let n = c::rd_kafka_consume_batch_queue(queue, 0, self.taken.as_mut_ptr(), self.at_once);
                self.taken.set_len(usize::try_from(n).unwrap_or(0));
            }
            // SAFETY: the messages were given by the library a moment ago, and not given back.
            let bytes: usize = self.taken.iter().map(|m| unsafe { (**m).len + (**m).key_len }).sum();
            if !self.taken.is_empty() {
                self.at_once = (BYTES_AT_ONCE * self.taken.len() / bytes.max(1)).clamp(1, AT_ONCE);
            }
        }
        let message = *self.taken.get(self.next)?;
        self.next += 1;
        let message = NonNull::new(message)?;
        Some(Taken { message, lent: PhantomData })
    }

    /// Records of a partition that were taken are given back: who reads it from another place is not told of them any more, nor of its
    /// end.
    pub(crate) fn forget(&mut self, topic: &str, partition: i32) {
        let taken = std::mem::take(&mut self.taken);
        let next = std::mem::take(&mut self.next);
        for (place, message) in taken.into_iter().enumerate() {
            let of_it = NonNull::new(message).is_some_and(|message| {
                let record = Taken { message, lent: PhantomData };
                record.partition() == partition && record.topic() == topic
            });
            if place < next || of_it {
                // SAFETY: the library gave it to this one, nobody borrows it any more, and it is in `taken` no more.
                unsafe { c::rd_kafka_message_destroy(message) };
            } else {
                self.taken.push(message);
            }
        }
    }

    fn give_back(&mut self) {
        self.next = 0;
        for message in self.taken.drain(..) {
            // SAFETY: the library gave it to this one, nobody borrows it any more, and it is given back once.
            unsafe { c::rd_kafka_message_destroy(message) };
        }
    }

    /// Tells lines of the log; true where an error was among them.
    pub(crate) fn hear(&self, context: &Context) -> bool {
        let mut failed = false;
        for _ in 0..LINES_MAX {
            // SAFETY: the queue is this one's, and has nothing but lines; the event is given back here, after the last look at it.
            unsafe {
                let event = c::rd_kafka_queue_poll(self.lines.as_ptr(), 0);
                if event.is_null() {
                    break;
                }
                failed |= tell_line(event, context);
                c::rd_kafka_event_destroy(event);
            }
        }
        failed
    }
}

impl Drop for Bulk {
    fn drop(&mut self) {
        self.give_back();
        // SAFETY: the queue is this one's, and not used any more; the client, which goes on, keeps what it needs of it.
        unsafe { c::rd_kafka_queue_destroy(self.lines.as_ptr()) };
    }
}

/// A topic of a producer, to which many records go at once. Has to end before its client.
pub(crate) struct Topic(NonNull<c::rd_kafka_topic_t>);

// SAFETY: the library's topics may be used by any thread, and by several at once.
unsafe impl Send for Topic {}
// SAFETY: as above.
unsafe impl Sync for Topic {}

/// Whether a record has nothing but a key and a value: others go one by one.
pub(crate) fn is_plain(record: &Outgoing<'_>) -> bool {
    record.timestamp_ms.is_none() && record.headers.is_empty()
}

impl Topic {
    /// `None` of a name that cannot be a topic's.
    pub(crate) fn of<C: ClientContext>(client: &Client<C>, name: &str) -> Option<Topic> {
        let name = CString::new(name).ok()?;
        // SAFETY: the client is borrowed for the whole call, the library copies the name, and the topic is given back once.
        NonNull::new(unsafe { c::rd_kafka_topic_new(client.native_ptr(), name.as_ptr(), ptr::null_mut()) }).map(Topic)
    }

    /// Hands plain records to the client; gives how many it took, and why it took no more (where it holds as much as it may; of those
    /// behind one that is refused for its own sake some may be taken). The partition is the partitioner's choice where there is none.
    pub(crate) fn produce(&self, partition: Option<i32>, records: &[Outgoing<'_>]) -> (usize, Option<KafkaError>) {
        let part =
            |bytes: Option<&[u8]>| bytes.map_or((ptr::null_mut(), 0), |b| (b.as_ptr().cast_mut().cast(), b.len()));
        let message = |record: &Outgoing<'_>| {
            let ((payload, len), (key, key_len)) = (part(record.value), part(record.key));
            c::rd_kafka_message_t {
                err: c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR,
                rkt: ptr::null_mut(),
                partition: 0,
                payload,
                len,
                key,
                key_len,
                offset: 0,
                _private: ptr::null_mut(),
            }
        };
        let mut messages: Vec<_> = records.iter().map(message).collect();
        let count = i32::try_from(messages.len()).unwrap_or(i32::MAX);
        let partition = partition.unwrap_or(UNASSIGNED);
        // SAFETY: there are so many messages, whose bytes are borrowed for the whole call and copied; it writes only their errors.
        unsafe {
            let copied = c::RD_KAFKA_MSG_F_COPY;
            c::rd_kafka_produce_batch(self.0.as_ptr(), partition, copied, messages.as_mut_ptr(), count);
        }
        let codes = messages[..count as usize].iter().map(|m| RDKafkaErrorCode::from(m.err));
        match codes.enumerate().find(|(_, code)| *code != RDKafkaErrorCode::NoError) {
            None => (count as usize, None),
            Some((taken, code)) => (taken, Some(KafkaError::MessageProduction(code))),
        }
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        // SAFETY: the topic is this one's, and is given back once; records under way keep it.
        unsafe { c::rd_kafka_topic_destroy(self.0.as_ptr()) };
    }
}

/// What a question holds until it is answered, given back in order.
struct Question {
    topics: *mut c::rd_kafka_TopicCollection_t,
    options: *mut c::rd_kafka_AdminOptions_t,
    queue: *mut c::rd_kafka_queue_t,
    event: *mut c::rd_kafka_event_t,
}

impl Drop for Question {
    fn drop(&mut self) {
        // SAFETY: each was made by the library for this question, is not NULL, and nobody else has it.
        unsafe {
            if !self.event.is_null() {
                c::rd_kafka_event_destroy(self.event);
            }
            c::rd_kafka_queue_destroy(self.queue);
            c::rd_kafka_AdminOptions_destroy(self.options);
            c::rd_kafka_TopicCollection_destroy(self.topics);
        }
    }
}

/// The ids of topics: one that is removed and made again has another. Those that are missing, and all of a cluster without
/// ids or of one that does not tell, are not in the answer. Blocks.
pub(crate) fn topic_ids(consumer: &BaseConsumer<Context>, names: &[String]) -> BTreeMap<String, String> {
    let mut ids = BTreeMap::new();
    let names: Vec<CString> = names.iter().filter_map(|n| CString::new(n.as_str()).ok()).collect();
    if names.is_empty() {
        return ids;
    }
    let mut pointers: Vec<*const c_char> = names.iter().map(|n| n.as_ptr()).collect();
    let patience = i32::try_from(REQUEST_PATIENCE.as_millis()).unwrap_or(i32::MAX);
    let client = consumer.client().native_ptr();
    // SAFETY: the client lives as long as the consumer that is borrowed; the names live to the end of the function, and the
    // library copies them; what is made here is given back by `Question`, after the last look at the event.
    unsafe {
        let mut question = Question {
            topics: c::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len()),
            options: c::rd_kafka_AdminOptions_new(client, c::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS),
            queue: c::rd_kafka_queue_new(client),
            event: ptr::null_mut(),
        };
        c::rd_kafka_AdminOptions_set_request_timeout(question.options, patience, ptr::null_mut(), 0);
        c::rd_kafka_DescribeTopics(client, question.topics, question.options, question.queue);
        question.event = c::rd_kafka_queue_poll(question.queue, patience);
        if question.event.is_null() || c::rd_kafka_event_error(question.event) as i32 != 0 {
            return ids;
        }
        let result = c::rd_kafka_event_DescribeTopics_result(question.event);
        if result.is_null() {
            return ids;
        }
        let mut count = 0;
        let found = c::rd_kafka_DescribeTopics_result_topics(result, &mut count);
        for i in 0..count {
            let topic = *found.add(i);
            let error = c::rd_kafka_error_code(c::rd_kafka_TopicDescription_error(topic));
            if RDKafkaErrorCode::from(error) != RDKafkaErrorCode::NoError {
                continue;
            }
            let name = CStr::from_ptr(c::rd_kafka_TopicDescription_name(topic)).to_string_lossy().into_owned();
            let id = c::rd_kafka_Uuid_base64str(c::rd_kafka_TopicDescription_topic_id(topic));
            if !id.is_null() {
                let id = CStr::from_ptr(id).to_string_lossy().into_owned();
                if id != NO_ID {
                    ids.insert(name, id);
                }
            }
        }
    }
    ids
}
