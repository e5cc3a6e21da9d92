//! Which slice a row belongs to, which slices a window is made of, and when it is over.

use std::collections::HashMap;
use std::ops::Range;

use arrow_array::{Array, RecordBatch, UInt32Array};
use flott_core::types::TimeAttribute;
use flott_core::{ChangeBatch, Error, Result};
use flott_graph::{WindowAssignment, WindowKind};

use super::time_zone::ShiftZone;
use crate::timestamp::{all_within, null_rowtime, to_milliseconds, with_times};

/// So many slices are found by looking through a list; more go to a map.
const LISTED_SLICES_MAX: usize = 16;

/// A slice, in local time. `start` is only told apart for attached windows with a start column; else it is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SliceId {
    pub(crate) end: i64,
    pub(crate) start: i64,
}

impl SliceId {
    pub(crate) fn ending_at(end: i64) -> SliceId {
        SliceId { end, start: 0 }
    }
}

/// How windows are made of slices.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Shape {
    /// A slice is a window.
    Tumble { size: i64, offset: i64 },
    /// `size / slide` slices are a window.
    Hop { size: i64, slide: i64, offset: i64 },
    /// The first 1, 2, 3.. slices of a period are windows.
    Cumulate { max_size: i64, step: i64, offset: i64 },
    /// The rows say which window they are in.
    Attached { start: Option<usize>, end: usize, kind: WindowKind },
}

/// Rows of a batch by slice.
pub(crate) struct Partition {
    /// Slices with their rows (places in `order`, or row numbers where there is none), earliest first.
    pub(crate) slices: Vec<(SliceId, Range<usize>)>,
    /// Row numbers by slice; `None`: one slice has all.
    pub(crate) order: Option<UInt32Array>,
}

/// Assigns rows to slices.
#[derive(Debug, Clone)]
pub(crate) struct SliceAssigner {
    pub(crate) shape: Shape,
    pub(crate) zone: ShiftZone,
    pub(crate) event_time: bool,
    column: usize,
}

/// Start of the window of this size that a (local) time falls into.
pub(crate) fn window_start(time: i64, offset: i64, size: i64) -> i64 {
    time.saturating_sub(time.saturating_sub(offset).rem_euclid(size))
}

/// How long the slices are of which HOP windows consist: the slide, where the size is a multiple of it.
fn hop_width(size: i64, slide: i64) -> i64 {
    let (mut a, mut b) = (size, slide);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Refuses what Flink refuses of a window's measures.
pub(crate) fn check_kind(kind: &WindowKind) -> Result<()> {
    let wrong = |text: String| Err(Error::user(text).hint("Correct the intervals of the window function"));
    match kind {
        WindowKind::Tumble { size_ms, offset_ms } => {
            if *size_ms <= 0 {
                return wrong(format!("Tumbling Window parameters must satisfy size > 0, but got size {size_ms}ms"));
            }
            if offset_ms.abs() >= *size_ms {
                return wrong(format!(
                    "Tumbling Window parameters must satisfy abs(offset) < size, but got size {size_ms}ms and offset \
                     {offset_ms}ms"
                ));
            }
        }
        WindowKind::Hop { size_ms, slide_ms, .. } => {
            if *size_ms <= 0 || *slide_ms <= 0 {
                return wrong(format!(
                    "Hopping Window must satisfy slide > 0 and size > 0, but got slide {slide_ms}ms and size {size_ms}ms"
                ));
            }
        }
        WindowKind::Cumulate { max_size_ms, step_ms, .. } => {
            if *max_size_ms <= 0 || *step_ms <= 0 {
                return wrong(format!(
                    "Cumulative Window parameters must satisfy maxSize > 0 and step > 0, but got maxSize \
                     {max_size_ms}ms and step {step_ms}ms"
                ));
            }
            if max_size_ms % step_ms != 0 {
                return wrong(format!(
                    "Cumulative Window requires maxSize must be an integral multiple of step, but got maxSize \
                     {max_size_ms}ms and step {step_ms}ms"
                ));
            }
        }
        WindowKind::Session { gap_ms, .. } => {
            if *gap_ms <= 0 {
                return wrong(format!("Session Window parameters must satisfy gap > 0, but got gap {gap_ms}ms"));
            }
        }
    }
    Ok(())
}

/// Whether windows follow event time.
pub(crate) fn is_event_time(attribute: TimeAttribute) -> bool {
    attribute != TimeAttribute::Proctime
}

impl SliceAssigner {
    /// For an aggregation, whose windows consist of slices: all but sessions that are still to be found, and but HOP of a
    /// size that is no multiple of the slide.
    pub(crate) fn new(assignment: &WindowAssignment) -> Result<SliceAssigner> {
        if let WindowAssignment::TimeColumn { kind: WindowKind::Hop { size_ms, slide_ms, .. }, .. } = assignment
            && *slide_ms > 0
            && size_ms % slide_ms != 0
        {
            return Err(Error::user(format!(
                "Slicing Hopping Window requires size must be an integral multiple of slide, but got size {size_ms}ms \
                 and slide {slide_ms}ms"
            ))
            .hint("Correct the intervals of the window function"));
        }
        SliceAssigner::of_rows(assignment)
    }

    /// For a window table function, which gives each row its windows: also HOP of any size and slide.
    pub(crate) fn of_rows(assignment: &WindowAssignment) -> Result<SliceAssigner> {
        match assignment {
            WindowAssignment::TimeColumn { column, attribute, time_zone, kind } => {
                check_kind(kind)?;
                let shape = match *kind {
                    WindowKind::Tumble { size_ms, offset_ms } => Shape::Tumble { size: size_ms, offset: offset_ms },
                    WindowKind::Hop { size_ms, slide_ms, offset_ms } => {
                        Shape::Hop { size: size_ms, slide: slide_ms, offset: offset_ms }
                    }
                    WindowKind::Cumulate { max_size_ms, step_ms, offset_ms } => {
                        Shape::Cumulate { max_size: max_size_ms, step: step_ms, offset: offset_ms }
                    }
                    WindowKind::Session { .. } => return Err(Error::internal("a session window has no slices")),
                };
                let zone = ShiftZone::named(time_zone.as_deref())?;
                Ok(SliceAssigner { shape, zone, event_time: is_event_time(*attribute), column: *column })
            }
            WindowAssignment::Attached { start, end, attribute, time_zone, kind } => {
                check_kind(kind)?;
                let shape = Shape::Attached { start: *start, end: *end, kind: kind.clone() };
                let zone = ShiftZone::named(time_zone.as_deref())?;
                Ok(SliceAssigner { shape, zone, event_time: is_event_time(*attribute), column: *end })
            }
        }
    }

    /// The slice of a local time.
    fn slice_end(&self, local: i64) -> i64 {
        match self.shape {
            Shape::Tumble { size, offset } => window_start(local, offset, size).saturating_add(size),
            Shape::Hop { size, slide, offset } => {
                let width = hop_width(size, slide);
                window_start(local, offset, width).saturating_add(width)
            }
            Shape::Cumulate { step, offset, .. } => window_start(local, offset, step).saturating_add(step),
            Shape::Attached { .. } => local,
        }
    }

    /// End of the last window that a slice is in.
    pub(crate) fn last_window_end(&self, slice_end: i64) -> i64 {
        match self.shape {
            Shape::Tumble { .. } | Shape::Attached { .. } => slice_end,
            Shape::Hop { size, slide, .. } => slice_end.saturating_sub(slide).saturating_add(size),
            Shape::Cumulate { max_size, .. } => {
                self.window_start(SliceId::ending_at(slice_end)).saturating_add(max_size)
            }
        }
    }

    /// Ends of the windows that a slice is in; of HOP the latest first, as Flink assigns them. None, where a HOP window is
    /// shorter than the slide.
    pub(crate) fn windows_of(&self, slice_end: i64) -> Vec<i64> {
        match self.shape {
            Shape::Tumble { .. } | Shape::Attached { .. } => vec![slice_end],
            Shape::Hop { size, slide, offset } => {
                let last = window_start(slice_end.saturating_sub(1), offset, slide).saturating_add(size);
                std::iter::successors(Some(last), |e| e.checked_sub(slide)).take_while(|e| *e >= slice_end).collect()
            }
            Shape::Cumulate { step, .. } => {
                let last = self.last_window_end(slice_end);
                std::iter::successors(Some(slice_end), |e| e.checked_add(step)).take_while(|e| *e <= last).collect()
            }
        }
    }

    /// Start of the window with this end.
    pub(crate) fn window_start(&self, window: SliceId) -> i64 {
        match &self.shape {
            Shape::Tumble { size, .. } | Shape::Hop { size, .. } => window.end.saturating_sub(*size),
            Shape::Cumulate { max_size, offset, .. } => window_start(window.end.saturating_sub(1), *offset, *max_size),
            Shape::Attached { start: Some(_), .. } => window.start,
            Shape::Attached { kind, .. } => match kind {
                WindowKind::Tumble { size_ms, .. } | WindowKind::Hop { size_ms, .. } => {
                    window.end.saturating_sub(*size_ms)
                }
                WindowKind::Cumulate { max_size_ms, offset_ms, .. } => {
                    window_start(window.end.saturating_sub(1), *offset_ms, *max_size_ms)
                }
                // Without a start column nothing tells; the planner always attaches both to a session.
                WindowKind::Session { .. } => window.end,
            },
        }
    }

    /// Distance of window ends where windows share slices.
    pub(crate) fn shared_step(&self) -> Option<i64> {
        match self.shape {
            Shape::Hop { slide, .. } => Some(slide),
            Shape::Cumulate { step, .. } => Some(step),
            Shape::Tumble { .. } | Shape::Attached { .. } => None,
        }
    }

    /// Whether a window with this end is over.
    pub(crate) fn is_over(&self, window_end: i64, progress_ms: i64) -> bool {
        progress_ms != i64::MIN && self.zone.is_over(window_end, progress_ms)
    }

    /// Whether no window that a row of this slice is in is still to come.
    pub(crate) fn is_late(&self, slice: SliceId, progress_ms: i64) -> bool {
        self.event_time
            && self.is_over(slice.end, progress_ms)
            && self.is_over(self.last_window_end(slice.end), progress_ms)
    }

    /// The slice in which rows are kept: a late row of a CUMULATE joins the first slice that has not fired, which is in
    /// the same windows from now on.
    pub(crate) fn target(&self, slice: SliceId, progress_ms: i64) -> SliceId {
        let Shape::Cumulate { step, .. } = self.shape else { return slice };
        let mut end = slice.end;
        while self.event_time && self.is_over(end, progress_ms) && end < self.last_window_end(slice.end) {
            end += step;
        }
        SliceId::ending_at(end)
    }

    /// The rows that are in a window: those that have a time.
    pub(crate) fn timed(&self, batch: ChangeBatch) -> Result<ChangeBatch> {
        match self.shape {
            Shape::Attached { .. } => Ok(batch),
            _ if !self.event_time => Ok(batch),
            _ => with_times(batch, self.column),
        }
    }

    /// The slices of rows by their time column (or by processing time).
    pub(crate) fn assign(&mut self, rows: &RecordBatch, processing_time_ms: i64) -> Result<Partition> {
        let n = rows.num_rows();
        if !self.event_time && !matches!(self.shape, Shape::Attached { .. }) {
            let local = self.zone.to_local(processing_time_ms);
            return Ok(Partition::single(SliceId::ending_at(self.slice_end(local)), n));
        }
        let times = rows.column(self.column);
        if times.null_count() > 0 {
            return Err(null_rowtime().with("column", rows.schema().field(self.column).name()));
        }
        let times = to_milliseconds(times.as_ref())?;
        match self.shape {
            Shape::Attached { start, .. } => {
                let starts = start.map(|s| to_milliseconds(rows.column(s).as_ref())).transpose()?;
                Ok(partition(n, |i| SliceId { end: times[i], start: starts.as_ref().map_or(0, |s| s[i]) }))
            }
            _ if self.zone.is_utc() => Ok(self.assign_local(&times)),
            _ => {
                let local: Vec<i64> = times.iter().map(|t| self.zone.to_local(*t)).collect();
                Ok(self.assign_local(&local))
            }
        }
    }

    fn assign_local(&self, times: &[i64]) -> Partition {
        let Some(first) = times.first() else { return Partition::single(SliceId::ending_at(0), 0) };
        let width = match self.shape {
            Shape::Tumble { size, .. } => size,
            Shape::Hop { size, slide, .. } => hop_width(size, slide),
            Shape::Cumulate { step, .. } => step,
            Shape::Attached { .. } => 1,
        };
        let mut to = self.slice_end(*first);
        let mut from = to.saturating_sub(width);
        // Most batches lie within one slice.
        if all_within(times, from, to) {
            return Partition::single(SliceId::ending_at(to), times.len());
        }
        partition(times.len(), |i| {
            let time = times[i];
            if time < from || time >= to {
                to = self.slice_end(time);
                from = to.saturating_sub(width);
            }
            SliceId::ending_at(to)
        })
    }

    /// The slice ends of partial rows.
    pub(crate) fn assign_partial(ends: &[i64], starts: Option<&[i64]>) -> Partition {
        partition(ends.len(), |i| SliceId { end: ends[i], start: starts.map_or(0, |s| s[i]) })
    }
}

impl Partition {
    fn single(slice: SliceId, rows: usize) -> Partition {
        Partition { slices: if rows == 0 { vec![] } else { vec![(slice, 0..rows)] }, order: None }
    }

    /// The slice of each row, in the batch's order.
    pub(crate) fn by_row(&self) -> Vec<SliceId> {
        let n = self.slices.iter().map(|(_, r)| r.len()).sum();
        let mut slices = vec![SliceId::ending_at(0); n];
        for (slice, range) in &self.slices {
            for place in range.clone() {
                slices[self.order.as_ref().map_or(place, |o| o.value(place) as usize)] = *slice;
            }
        }
        slices
    }
}

/// Sorts row numbers by slice: a counting sort, stable, earliest slice first.
fn partition(rows: usize, mut slice_of: impl FnMut(usize) -> SliceId) -> Partition {
    let mut slices: Vec<(SliceId, usize)> = vec![];
    let mut map: HashMap<SliceId, u32> = HashMap::new();
    let mut numbers: Vec<u32> = Vec::with_capacity(rows);
    let mut last = u32::MAX;
    for row in 0..rows {
        let id = slice_of(row);
        if last == u32::MAX || slices[last as usize].0 != id {
            let known = if slices.len() <= LISTED_SLICES_MAX {
                slices.iter().position(|(s, _)| *s == id).map(|p| p as u32)
            } else {
                map.get(&id).copied()
            };
            last = known.unwrap_or_else(|| {
                slices.push((id, 0));
                if slices.len() > LISTED_SLICES_MAX {
                    if map.is_empty() {
                        map.extend(slices.iter().enumerate().map(|(i, (s, _))| (*s, i as u32)));
                    }
                    map.insert(id, slices.len() as u32 - 1);
                }
                slices.len() as u32 - 1
            });
        }
        slices[last as usize].1 += 1;
        numbers.push(last);
    }
    if slices.len() <= 1 {
        return Partition { slices: slices.into_iter().map(|(s, n)| (s, 0..n)).collect(), order: None };
    }
    let mut sorted: Vec<u32> = (0..slices.len() as u32).collect();
    sorted.sort_unstable_by_key(|i| slices[*i as usize].0);
    let mut next = vec![0usize; slices.len()];
    let mut ranges = Vec::with_capacity(slices.len());
    let mut place = 0;
    for number in sorted {
        let (slice, n) = slices[number as usize];
        next[number as usize] = place;
        ranges.push((slice, place..place + n));
        place += n;
    }
    let mut order = vec![0u32; rows];
    for (row, number) in numbers.iter().enumerate() {
        let place = &mut next[*number as usize];
        order[*place] = row as u32;
        *place += 1;
    }
    Partition { slices: ranges, order: Some(UInt32Array::from(order)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_sorted_stable_and_complete() {
        for distinct in [1i64, 3, 17, 40] {
            let ids: Vec<i64> = (0..500i64).map(|i| (i * 7919) % distinct * 10).collect();
            let p = partition(ids.len(), |i| SliceId::ending_at(ids[i]));
            assert_eq!(p.slices.len(), distinct as usize);
            assert_eq!(p.by_row().iter().map(|s| s.end).collect::<Vec<_>>(), ids);
            assert!(p.slices.windows(2).all(|w| w[0].0 < w[1].0));
            if let Some(order) = &p.order {
                for (_, range) in &p.slices {
                    assert!(order.values()[range.clone()].windows(2).all(|w| w[0] < w[1]));
                }
            }
        }
    }
}
