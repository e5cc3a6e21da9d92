//! Watermark and idleness of several channels as one: Flink's `StatusWatermarkValve`.
//!
//! The valve's watermark is the minimum over the channels that are active and aligned. A channel that wakes counts again
//! only once it has caught up with the valve, so that it cannot turn event time back. When all channels are idle the
//! greatest watermark among them is let through, then the valve is idle itself.

/// What comes out of a valve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValveOutput {
    /// Event time has moved, in ms.
    Watermark(i64),
    /// Everything is idle.
    Idle,
    /// Something is active again.
    Active,
}

#[derive(Debug, Clone)]
struct Channel {
    watermark_ms: i64,
    active: bool,
    aligned: bool,
}

/// The state of all channels of an input.
#[derive(Debug, Clone)]
pub(crate) struct Valve {
    channels: Vec<Channel>,
    last_ms: i64,
    idle: bool,
}

impl Valve {
    /// All channels active, at no watermark.
    pub(crate) fn new(channels: usize, restored_ms: i64) -> Valve {
        let channel = Channel { watermark_ms: i64::MIN, active: true, aligned: true };
        Valve { channels: vec![channel; channels], last_ms: restored_ms, idle: false }
    }

    /// Event time of one channel.
    pub(crate) fn watermark(&mut self, channel: usize, watermark_ms: i64, out: &mut Vec<ValveOutput>) {
        let c = &mut self.channels[channel];
        if !c.active || watermark_ms <= c.watermark_ms {
            return;
        }
        c.watermark_ms = watermark_ms;
        if !c.aligned && watermark_ms >= self.last_ms {
            c.aligned = true;
        }
        self.advance(out);
    }

    /// One channel is idle.
    pub(crate) fn idle(&mut self, channel: usize, out: &mut Vec<ValveOutput>) {
        if !self.channels[channel].active {
            return;
        }
        self.channels[channel].active = false;
        self.channels[channel].aligned = false;
        if self.channels.iter().any(|c| c.active) {
            // The idle one may have been what held the others back.
            return self.advance(out);
        }
        // All are idle: what the furthest had reached is safe to let through.
        let most = self.channels.iter().map(|c| c.watermark_ms).max().unwrap_or(i64::MIN);
        self.emit(most, out);
        self.idle = true;
        out.push(ValveOutput::Idle);
    }

    /// One channel is active again.
    pub(crate) fn active(&mut self, channel: usize, out: &mut Vec<ValveOutput>) {
        if self.channels[channel].active {
            return;
        }
        let c = &mut self.channels[channel];
        c.active = true;
        c.aligned = c.watermark_ms >= self.last_ms;
        if self.idle {
            self.idle = false;
            out.push(ValveOutput::Active);
        }
    }

    fn advance(&mut self, out: &mut Vec<ValveOutput>) {
        let aligned = self.channels.iter().filter(|c| c.active && c.aligned);
        if let Some(least) = aligned.map(|c| c.watermark_ms).min() {
            self.emit(least, out);
        }
    }

    fn emit(&mut self, watermark_ms: i64, out: &mut Vec<ValveOutput>) {
        if watermark_ms > self.last_ms {
            self.last_ms = watermark_ms;
            out.push(ValveOutput::Watermark(watermark_ms));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    enum Step {
        W(usize, i64),
        Idle(usize),
        Active(usize),
    }
    use Step::{Active, Idle, W};
    use ValveOutput::{Active as OutActive, Idle as OutIdle, Watermark as Out};

    /// Channels, steps, and what each step lets out.
    fn check(name: &str, channels: usize, steps: &[(Step, &[ValveOutput])]) {
        let mut valve = Valve::new(channels, i64::MIN);
        for (i, (step, expected)) in steps.iter().enumerate() {
            let mut out = vec![];
            match *step {
                W(c, w) => valve.watermark(c, w, &mut out),
                Idle(c) => valve.idle(c, &mut out),
                Active(c) => valve.active(c, &mut out),
            }
            assert_eq!(out, *expected, "{name}, step {i}");
        }
    }

    #[test]
    fn the_table_of_cases() {
        check(
            "one channel",
            1,
            &[(W(0, 0), &[Out(0)]), (W(0, 25), &[Out(25)]), (W(0, 18), &[]), (W(0, 42), &[Out(42)])],
        );
        check(
            "one channel idle",
            1,
            &[
                (W(0, 25), &[Out(25)]),
                (Idle(0), &[OutIdle]),
                (W(0, 50), &[]),
                (Active(0), &[OutActive]),
                (W(0, 50), &[Out(50)]),
            ],
        );
        check(
            "minimum of three",
            3,
            &[
                (W(0, 0), &[]),
                (W(1, 0), &[]),
                (W(2, 0), &[Out(0)]),
                (W(0, 12), &[]),
                (W(2, 8), &[]),
                (W(2, 10), &[]),
                (W(1, 15), &[Out(10)]),
                (W(2, 17), &[Out(12)]),
            ],
        );
        check(
            "an idle channel no longer holds the others",
            2,
            &[(W(0, 25), &[]), (W(1, 10), &[Out(10)]), (Idle(1), &[Out(25)]), (W(0, 30), &[Out(30)])],
        );
        check(
            "a waking channel counts once it has caught up",
            2,
            &[
                (W(0, 10), &[]),
                (Idle(1), &[Out(10)]),
                (W(0, 20), &[Out(20)]),
                (Active(1), &[]),
                (W(1, 15), &[]),
                (W(0, 25), &[Out(25)]),
                (W(1, 25), &[]),
                (W(0, 40), &[]),
                (W(1, 30), &[Out(30)]),
            ],
        );
        check(
            "all idle lets the greatest through",
            3,
            &[
                (W(0, 10), &[]),
                (W(1, 5), &[]),
                (W(2, 3), &[Out(3)]),
                (Idle(2), &[Out(5)]),
                (Idle(1), &[Out(10)]),
                (Idle(0), &[OutIdle]),
                (Active(1), &[OutActive]),
                (W(1, 8), &[]),
                (W(1, 12), &[Out(12)]),
            ],
        );
        check(
            "all idle, the furthest first",
            2,
            &[(W(0, 10), &[]), (W(1, 3), &[Out(3)]), (Idle(0), &[]), (Idle(1), &[Out(10), OutIdle])],
        );
        check("end of input", 2, &[(W(0, i64::MAX), &[]), (W(1, 7), &[Out(7)]), (W(1, i64::MAX), &[Out(i64::MAX)])]);
        check("end beside an idle channel", 2, &[(Idle(0), &[]), (W(1, i64::MAX), &[Out(i64::MAX)])]);
    }

    #[test]
    fn a_restored_valve_does_not_go_back() {
        let mut valve = Valve::new(1, 100);
        let mut out = vec![];
        valve.watermark(0, 50, &mut out);
        assert_eq!(out, []);
        valve.watermark(0, 101, &mut out);
        assert_eq!(out, [Out(101)]);
    }
}
