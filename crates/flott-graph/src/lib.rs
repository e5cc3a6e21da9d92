//! JobGraph: what every front end produces and the runtime runs
