//! Which errors pass by themselves, and what they say where they do not.

use flott_core::Error;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

/// What is missing for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    Brokers,
    Leader,
    Coordinator,
    Replicas,
    Acknowledgement,
}

fn missing(code: Code) -> Option<Missing> {
    Some(match code {
        Code::OperationTimedOut
        | Code::RequestTimedOut
        | Code::BrokerTransportFailure
        | Code::AllBrokersDown
        | Code::NetworkException
        | Code::BrokerNotAvailable
        | Code::Resolve => Missing::Brokers,
        Code::LeaderNotAvailable
        | Code::NotLeaderForPartition
        | Code::ReplicaNotAvailable
        | Code::FencedLeaderEpoch
        | Code::UnknownLeaderEpoch
        | Code::KafkaStorageError
        | Code::NotController => Missing::Leader,
        Code::CoordinatorNotAvailable
        | Code::CoordinatorLoadInProgress
        | Code::NotCoordinator
        | Code::WaitingForCoordinator
        | Code::ConcurrentTransactions => Missing::Coordinator,
        Code::NotEnoughReplicas | Code::NotEnoughReplicasAfterAppend | Code::ISRInsufficient => Missing::Replicas,
        Code::MessageTimedOut | Code::TimedOutQueue => Missing::Acknowledgement,
        _ => return None,
    })
}

/// Nobody has answered.
pub(crate) fn is_silence(error: &KafkaError) -> bool {
    let code = error.rdkafka_error_code();
    matches!(code, Some(Code::OperationTimedOut | Code::BrokerTransportFailure | Code::AllBrokersDown | Code::Resolve))
}

/// Whether the same may work a little later: brokers are away, or somebody else is about to lead.
pub(crate) fn may_pass(error: &KafkaError) -> bool {
    error.rdkafka_error_code().and_then(missing).is_some()
}

/// What to do where somebody takes connections and closes them, and nobody knows why.
pub(crate) const CLOSED_HINT: &str = "Check that the brokers run and can be reached from here: who is at this address takes \
    connections and closes them at once, as a proxy does without a broker behind it";

/// The error for what has not passed. `message` says what could not be done.
pub(crate) fn error(code: Option<Code>, message: String) -> Error {
    let (why, hint) = match code.and_then(missing) {
        Some(Missing::Leader) => (
            ": a partition has no leader",
            "Brokers are starting, or those with the partition's replicas are away: kafka-topics --describe shows which",
        ),
        Some(Missing::Coordinator) => (
            ": the coordinator of the group or of the transactions is not available",
            "The brokers with the topics '__consumer_offsets' and '__transaction_state' have to run",
        ),
        Some(Missing::Replicas) => (
            ": too few replicas of a partition are in sync",
            "Brokers are away, or the topic's 'min.insync.replicas' is more than there are",
        ),
        Some(Missing::Acknowledgement) => (
            ": records were not acknowledged within 'properties.delivery.timeout.ms'",
            "Check that the brokers run and can be reached from here, and that the topic's partitions have leaders",
        ),
        Some(Missing::Brokers) => {
            (": no broker can be reached", "Check that the brokers run and can be reached from here")
        }
        None => ("", "Check that the brokers run and can be reached from here"),
    };
    Error::unavailable(message + why).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elections_pass_and_refusals_do_not() {
        for code in [
            Code::LeaderNotAvailable,
            Code::NotLeaderForPartition,
            Code::CoordinatorLoadInProgress,
            Code::NotCoordinator,
            Code::BrokerTransportFailure,
            Code::NotEnoughReplicas,
        ] {
            assert!(may_pass(&KafkaError::Global(code)), "{code:?}");
        }
        for code in [
            Code::TopicAuthorizationFailed,
            Code::GroupAuthorizationFailed,
            Code::SaslAuthenticationFailed,
            Code::UnknownTopicOrPartition,
            Code::MessageSizeTooLarge,
            Code::OffsetOutOfRange,
        ] {
            assert!(!may_pass(&KafkaError::Global(code)), "{code:?}");
        }
        assert!(!is_silence(&KafkaError::Global(Code::LeaderNotAvailable)));
        let error = error(Some(Code::LeaderNotAvailable), "Cannot read".into()).to_string();
        assert!(error.contains("Cannot read: a partition has no leader") && error.contains("--describe"), "{error}");
    }
}
