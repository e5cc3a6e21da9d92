//! A pattern as states. A row moves a run from state to state where the condition of a variable is true of it; some states
//! can be left without a row.
//!
//! Built from the last variable to the first, as Flink's NFACompiler does, so that the same runs come up in the same
//! order. A greedy variable forbids the state behind it what it could take itself: a quirk of that is that a pattern
//! whose rest is optional does not end on a row that the greedy variable takes.

use flott_core::{Error, Result};
use flott_graph::PatternVariable;

/// The state of a run that has ended.
pub(super) const FINAL: u16 = 0;

/// A way out of a state.
#[derive(Debug, Clone)]
pub(super) struct Transition {
    /// It takes the row, as one of the state's variable; else it takes none.
    pub(super) takes: bool,
    pub(super) target: u16,
    /// Closed where the row could be one of these variables.
    pub(super) unless: Vec<u16>,
}

/// A state, with its ways in the order in which they are tried.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    pub(super) variable: u16,
    pub(super) transitions: Vec<Transition>,
    /// The variables whose condition is asked of a row that comes in this state.
    pub(super) asks: Vec<u16>,
}

/// A pattern.
#[derive(Debug, Clone)]
pub(super) struct Automaton {
    pub(super) states: Vec<State>,
    pub(super) start: u16,
}

/// A row taken: as which variable, and the state behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) variable: u16,
    pub(super) target: u16,
}

impl Automaton {
    pub(super) fn new(variables: &[PatternVariable]) -> Result<Automaton> {
        let mut automaton = Automaton { states: vec![State::default()], start: FINAL };
        let mut sink = FINAL;
        for (number, variable) in variables.iter().enumerate().rev() {
            sink = automaton.variable(number as u16, variable, sink)?;
        }
        automaton.start = sink;
        for state in 0..automaton.states.len() {
            automaton.states[state].asks = automaton.asked(state as u16);
        }
        Ok(automaton)
    }

    fn state(&mut self, variable: u16) -> Result<u16> {
        let number = u16::try_from(self.states.len()).map_err(|_| {
            Error::user("the pattern has more than 65,000 states").hint("Use smaller numbers in its quantifiers")
        })?;
        self.states.push(State { variable, ..State::default() });
        Ok(number)
    }

    fn add(&mut self, from: u16, takes: bool, target: u16) {
        self.states[from as usize].transitions.push(Transition { takes, target, unless: vec![] });
    }

    /// The states of a variable before a state. The first of them.
    fn variable(&mut self, number: u16, variable: &PatternVariable, sink: u16) -> Result<u16> {
        let quantifier = variable.quantifier;
        let optional = quantifier.at_least == 0;
        let least = quantifier.at_least.max(1);
        let most = quantifier.at_most;
        let single = most == Some(1);
        let mut behind = sink;
        if most.is_none() {
            behind = self.state(number)?;
            self.add(behind, false, sink);
        }
        if quantifier.greedy && !single && most != Some(quantifier.at_least) {
            self.states[sink as usize].transitions.iter_mut().for_each(|t| t.unless.push(number));
        }
        if most.is_none() {
            self.add(behind, true, behind);
        }
        for _ in least..most.unwrap_or(least) {
            let state = self.state(number)?;
            self.add(state, true, behind);
            self.add(state, false, sink);
            behind = state;
        }
        for _ in 0..least - 1 {
            let state = self.state(number)?;
            self.add(state, true, behind);
            behind = state;
        }
        let first = self.state(number)?;
        self.add(first, true, behind);
        if optional {
            self.add(first, false, sink);
        }
        Ok(first)
    }

    /// Whether a match without a row is one.
    pub(super) fn matches_nothing(&self) -> bool {
        let mut open = vec![self.start];
        while let Some(state) = open.pop() {
            if state == FINAL {
                return true;
            }
            open.extend(self.states[state as usize].transitions.iter().filter(|t| !t.takes).map(|t| t.target));
        }
        false
    }

    fn asked(&self, state: u16) -> Vec<u16> {
        let mut asked = vec![];
        let (mut open, mut behind) = (vec![state], vec![]);
        while let Some(state) = open.pop() {
            let state = &self.states[state as usize];
            for transition in &state.transitions {
                asked.extend(&transition.unless);
                if transition.takes {
                    asked.push(state.variable);
                    behind.push(transition.target);
                } else {
                    open.push(transition.target);
                }
            }
        }
        while let Some(state) = behind.pop() {
            for transition in self.states[state as usize].transitions.iter().filter(|t| !t.takes) {
                asked.extend(&transition.unless);
                behind.push(transition.target);
            }
        }
        asked.sort_unstable();
        asked.dedup();
        asked
    }

    /// How a run in a state can take a row, given which variables the row could be: it is asked for those alone that
    /// decide something.
    pub(super) fn takes(&self, state: u16, is: impl Fn(u16) -> Result<bool>, taken: &mut Vec<Taken>) -> Result<()> {
        taken.clear();
        let mut open = vec![state];
        while let Some(number) = open.pop() {
            let state = &self.states[number as usize];
            for transition in &state.transitions {
                if transition.takes && !is(state.variable)? || any(&transition.unless, &is)? {
                    continue;
                }
                if transition.takes {
                    taken.push(Taken { variable: state.variable, target: transition.target });
                } else {
                    open.push(transition.target);
                }
            }
        }
        Ok(())
    }

    /// Whether a run that has come to a state by a row can end there.
    pub(super) fn ends(&self, state: u16, is: impl Fn(u16) -> Result<bool>) -> Result<bool> {
        let mut open = vec![state];
        while let Some(number) = open.pop() {
            for transition in self.states[number as usize].transitions.iter().filter(|t| !t.takes) {
                if any(&transition.unless, &is)? {
                    continue;
                }
                if transition.target == FINAL {
                    return Ok(true);
                }
                open.push(transition.target);
            }
        }
        Ok(false)
    }
}

/// Whether the row could be one of these variables.
fn any(variables: &[u16], is: &impl Fn(u16) -> Result<bool>) -> Result<bool> {
    for variable in variables {
        if is(*variable)? {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use flott_graph::PatternQuantifier;

    use super::*;

    fn pattern(quantifiers: &[(u32, Option<u32>, bool)]) -> Automaton {
        let variables: Vec<PatternVariable> = quantifiers
            .iter()
            .map(|(at_least, at_most, greedy)| PatternVariable {
                name: String::new(),
                quantifier: PatternQuantifier { at_least: *at_least, at_most: *at_most, greedy: *greedy },
                condition: None,
            })
            .collect();
        Automaton::new(&variables).expect("a pattern")
    }

    #[test]
    fn a_match_of_nothing_is_seen() {
        assert!(pattern(&[(0, None, true), (0, Some(1), true)]).matches_nothing());
        assert!(!pattern(&[(0, None, true), (1, Some(1), true)]).matches_nothing());
        assert!(pattern(&[(0, Some(3), false)]).matches_nothing());
    }

    #[test]
    fn a_greedy_variable_keeps_the_next_from_what_it_takes_itself() {
        let both = |_: u16| Ok(true);
        let mut taken = vec![];
        let greedy = pattern(&[(1, None, true), (1, Some(1), true)]);
        greedy.takes(greedy.start, both, &mut taken).expect("asked");
        let looping = taken[0].target;
        greedy.takes(looping, both, &mut taken).expect("asked");
        assert_eq!(taken.iter().map(|t| t.variable).collect::<Vec<_>>(), [0]);
        let reluctant = pattern(&[(1, None, false), (1, Some(1), true)]);
        reluctant.takes(looping, both, &mut taken).expect("asked");
        assert_eq!(taken.iter().map(|t| (t.variable, t.target == FINAL)).collect::<Vec<_>>(), [(0, false), (1, true)]);
    }

    #[test]
    fn an_optional_end_ends_at_once() {
        let automaton = pattern(&[(1, Some(1), true), (0, Some(2), false)]);
        let mut taken = vec![];
        automaton.takes(automaton.start, |v| Ok(v == 0), &mut taken).expect("asked");
        assert!(automaton.ends(taken[0].target, |_| Ok(false)).expect("asked"));
        assert_eq!(automaton.states[automaton.start as usize].asks, [0]);
    }
}
