//! The runtime: job graph to timely dataflow, ticks, exchange, valves, source and sink tasks
