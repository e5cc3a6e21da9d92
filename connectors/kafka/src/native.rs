//! What librdkafka offers and its safe interface does not: the only unsafe code of this crate.
#![expect(unsafe_code, reason = "calls of the C library, each a few lines")]

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char};
use std::ptr;

use rdkafka::bindings as c;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::BorrowedMessage;
use rdkafka::types::RDKafkaErrorCode;

use crate::client::{Context, REQUEST_PATIENCE};

/// The id of a topic on a broker that has none.
const NO_ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// The leader epoch of a record.
pub(crate) fn leader_epoch(message: &BorrowedMessage<'_>) -> Option<i32> {
    // SAFETY: the pointer is that of a message that is borrowed for the whole call, and the function only reads it.
    let epoch = unsafe { c::rd_kafka_message_leader_epoch(message.ptr()) };
    (epoch >= 0).then_some(epoch)
}

/// The headers of a record. A name that is no UTF-8 is read as in Java, with replacement characters.
pub(crate) fn headers(message: &BorrowedMessage<'_>) -> Vec<(String, Option<Vec<u8>>)> {
    let mut list = ptr::null_mut();
    // SAFETY: the message is borrowed for the whole call, and owns the headers.
    if unsafe { c::rd_kafka_message_headers(message.ptr(), &mut list) } as i32 != 0 || list.is_null() {
        return vec![];
    }
    let mut headers = vec![];
    loop {
        let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0usize);
        // SAFETY: the list is the message's; past its end the call says so and writes nothing.
        if unsafe { c::rd_kafka_header_get_all(list, headers.len(), &mut name, &mut value, &mut size) } as i32 != 0 {
            return headers;
        }
        // SAFETY: the call was successful: a name that ends with 0, and a value of `size` bytes or NULL, all the message's.
        let (name, value) = unsafe {
            let value = (!value.is_null()).then(|| std::slice::from_raw_parts(value.cast::<u8>(), size).to_vec());
            (CStr::from_ptr(name).to_string_lossy().into_owned(), value)
        };
        headers.push((name, value));
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
