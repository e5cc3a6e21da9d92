//! What keeps hostile or generated SQL from overflowing a stack or taking for ever.
//!
//! Tokens are counted before anything recurses; what was parsed is made shallow (chains of AND and OR become balanced
//! trees) and measured, so that whoever walks, clones or drops it later needs little stack.

use std::ops::ControlFlow;

use sqlparser::ast::{BinaryOperator, Expr, FunctionArguments, Ident, Query, Spanned, VisitMut, VisitorMut};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Token, TokenWithSpan};

use flott_core::{Error, Result};

use super::ast::position;

/// How much a script may ask of the parser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseLimits {
    /// The longest script, in bytes.
    pub script_bytes: usize,
    /// The longest statement, in bytes.
    pub statement_bytes: usize,
    /// The most tokens of one statement.
    pub tokens: usize,
    /// The most expressions of one statement.
    pub nodes: usize,
}

impl ParseLimits {
    /// The defaults.
    pub const DEFAULT: ParseLimits = ParseLimits {
        script_bytes: MAX_SCRIPT_BYTES,
        statement_bytes: MAX_STATEMENT_BYTES,
        tokens: MAX_TOKENS,
        nodes: MAX_NODES,
    };
}

impl Default for ParseLimits {
    fn default() -> ParseLimits {
        ParseLimits::DEFAULT
    }
}

/// The longest script, in bytes.
pub const MAX_SCRIPT_BYTES: usize = 10 << 20;
/// The longest statement, in bytes.
pub const MAX_STATEMENT_BYTES: usize = 1 << 20;
/// The most tokens of one statement.
pub const MAX_TOKENS: usize = 200_000;
/// The deepest nesting of brackets, CASE and sub-queries, and of operators below each other.
pub const MAX_DEPTH: usize = 256;
/// The most expressions of one statement.
pub const MAX_NODES: usize = 50_000;
/// The longest chain of prefix operators (`NOT NOT ..`, `- - ..`).
pub const MAX_PREFIX_CHAIN: usize = 64;
/// The most names of one path (`row.field.field ..`).
pub const MAX_NAME_PARTS: usize = 256;
/// The most UNION, EXCEPT and INTERSECT of one statement: they nest to the left without brackets.
pub const MAX_SET_OPERATIONS: usize = 500;
/// The most operators of one chain without brackets (`a + b + ..`), which is not nesting: whoever walks it does so in a
/// loop, or on a stack that is large enough.
pub const MAX_CHAIN: usize = 2_000;
/// The most operators that are open at one place (`a AND b AND ..`): the parser stacks them up to the left.
pub const MAX_OPEN_OPERATORS: usize = 10_000;

fn too_deep() -> Error {
    Error::user(format!("the statement nests deeper than {MAX_DEPTH}"))
        .hint("Name parts of it in a WITH clause or a view")
}

/// Bracket depth, prefix chains, open operators and size, counted in one loop.
pub(crate) fn check_tokens(tokens: &[TokenWithSpan], limits: &ParseLimits) -> Result<()> {
    let mut prefixes = 0usize;
    // Names of the path that is being read, and whether its last token is a period.
    let (mut parts, mut after_period) = (0usize, false);
    let mut count = 0usize;
    let mut set_operations = 0usize;
    // Operators since the last separator, for each open bracket, and their sum.
    let mut open = vec![0usize];
    let mut open_sum = 0usize;
    for t in tokens {
        let at = || position(t.span.start);
        match &t.token {
            Token::Whitespace(_) => continue,
            Token::LParen | Token::LBracket => open.push(0),
            Token::RParen | Token::RBracket => {
                open_sum -= if open.len() > 1 { open.pop().unwrap_or(0) } else { 0 };
            }
            Token::Word(w) if w.keyword == Keyword::CASE => open.push(0),
            Token::Word(w) if w.keyword == Keyword::END => {
                open_sum -= if open.len() > 1 { open.pop().unwrap_or(0) } else { 0 };
            }
            Token::Word(w)
                if matches!(w.keyword, Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT | Keyword::MINUS) =>
            {
                set_operations += 1;
            }
            token if is_operator(token) => {
                if let Some(last) = open.last_mut() {
                    *last += 1;
                    open_sum += 1;
                }
            }
            token if is_separator(token) => {
                if let Some(last) = open.last_mut() {
                    open_sum -= *last;
                    *last = 0;
                }
            }
            _ => {}
        }
        let prefix = match &t.token {
            Token::Minus | Token::Plus | Token::Tilde | Token::ExclamationMark | Token::AtSign => true,
            Token::Word(w) => matches!(w.keyword, Keyword::NOT | Keyword::INTERVAL | Keyword::EXPLAIN | Keyword::PRIOR),
            _ => false,
        };
        prefixes = if prefix { prefixes + 1 } else { 0 };
        let period = t.token == Token::Period;
        match &t.token {
            Token::Period => parts += 1,
            Token::LBracket | Token::RBracket | Token::Number(..) => {}
            _ if after_period => {}
            _ => parts = 0,
        }
        after_period = period;
        if parts >= MAX_NAME_PARTS {
            return Err(Error::user(format!("a name has more than {MAX_NAME_PARTS} parts")).at(at()));
        }
        count += 1;
        if open.len() > MAX_DEPTH + 1 || prefixes > MAX_PREFIX_CHAIN {
            return Err(too_deep().at(at()));
        }
        if open_sum > MAX_OPEN_OPERATORS {
            return Err(Error::user(format!("an expression chains more than {MAX_OPEN_OPERATORS} operators"))
                .at(at())
                .hint("Put the values into a table and join it, or use IN (..)"));
        }
        if set_operations > MAX_SET_OPERATIONS {
            return Err(Error::user(format!("a statement has more than {MAX_SET_OPERATIONS} set operations"))
                .at(at())
                .hint("Write several INSERT statements in one statement set"));
        }
        if count > limits.tokens {
            return Err(Error::user(format!("a statement has more than {} tokens", limits.tokens))
                .at(at())
                .hint("Split it up"));
        }
    }
    Ok(())
}

fn is_operator(token: &Token) -> bool {
    use Keyword as K;
    match token {
        Token::Word(w) => {
            w.quote_style.is_none()
                && matches!(
                    w.keyword,
                    K::AND
                        | K::OR
                        | K::XOR
                        | K::IS
                        | K::LIKE
                        | K::ILIKE
                        | K::SIMILAR
                        | K::BETWEEN
                        | K::IN
                        | K::AT
                        | K::COLLATE
                        | K::DIV
                        | K::OVERLAPS
                        | K::RLIKE
                        | K::REGEXP
                        | K::NOTNULL
                        | K::OPERATOR
                )
        }
        // Anything that is neither a name, a literal, a bracket nor a separator counts as an operator.
        Token::Comma | Token::SemiColon | Token::Period | Token::EOF | Token::LBrace | Token::RBrace => false,
        Token::Number(..)
        | Token::SingleQuotedString(_)
        | Token::UnicodeStringLiteral(_)
        | Token::HexStringLiteral(_) => false,
        _ => true,
    }
}

fn is_separator(token: &Token) -> bool {
    use Keyword as K;
    match token {
        Token::Comma | Token::SemiColon => true,
        Token::Word(w) => {
            w.quote_style.is_none()
                && matches!(
                    w.keyword,
                    K::SELECT
                        | K::FROM
                        | K::WHERE
                        | K::GROUP
                        | K::HAVING
                        | K::ORDER
                        | K::WHEN
                        | K::THEN
                        | K::ELSE
                        | K::ON
                        | K::VALUES
                        | K::JOIN
                )
        }
        _ => false,
    }
}

/// Why a parsed statement is refused, and where that is.
#[derive(Debug)]
pub(crate) struct Beyond {
    pub(crate) reason: String,
    pub(crate) at: Location,
}

impl From<Beyond> for Error {
    fn from(beyond: Beyond) -> Error {
        let error = Error::user(beyond.reason);
        if beyond.at.line == 0 { error } else { error.at(position(beyond.at)) }
    }
}

/// Makes a parsed query shallow, and refuses it where it still is too deep or too large.
pub(crate) fn settle_query(query: &mut Query, nodes: usize) -> Result<(), Beyond> {
    settle(query, nodes)
}

/// The same for an expression.
pub(crate) fn settle_expr(expr: &mut Expr, nodes: usize) -> Result<(), Beyond> {
    settle(expr, nodes)
}

fn settle<T: VisitMut>(ast: &mut T, nodes: usize) -> Result<(), Beyond> {
    match ast.visit(&mut Settle { depth: 0, left: nodes, nodes, chained: None, counted: vec![] }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(beyond) => Err(beyond),
    }
}

struct Settle {
    depth: usize,
    left: usize,
    nodes: usize,
    /// The left operand that is visited next, which goes on with the chain of the operator before it.
    chained: Option<*const Expr>,
    /// Whether the expressions that are being visited count as levels.
    counted: Vec<bool>,
}

impl Settle {
    fn deeper(&mut self, by: usize, at: impl FnOnce() -> Location) -> ControlFlow<Beyond> {
        self.depth += 1;
        if self.depth + by > MAX_DEPTH {
            return ControlFlow::Break(Beyond {
                reason: format!(
                    "the statement nests deeper than {MAX_DEPTH}: name parts of it in a WITH clause or a view"
                ),
                at: at(),
            });
        }
        ControlFlow::Continue(())
    }
}

impl VisitorMut for Settle {
    type Break = Beyond;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Beyond> {
        super::strings::no_string_aliases(query)?;
        self.deeper(0, || query.span().start)
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<Beyond> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, e: &mut Expr) -> ControlFlow<Beyond> {
        if let Some(column) = as_column(e) {
            *e = column;
        }
        if self.left == 0 {
            let reason = format!("the statement has more than {} expressions", self.nodes);
            return ControlFlow::Break(Beyond { reason, at: e.span().start });
        }
        self.left -= 1;
        if let Expr::BinaryOp { op: op @ (BinaryOperator::And | BinaryOperator::Or), .. } = e {
            let op = op.clone();
            balance(e, &op);
        }
        let goes_on = self.chained.take() == Some(std::ptr::from_ref(e));
        if let Expr::BinaryOp { left, .. } = e {
            self.chained = Some(std::ptr::from_ref(left.as_ref()));
        }
        let counts = !(goes_on && matches!(e, Expr::BinaryOp { .. }));
        self.counted.push(counts);
        if !counts {
            return ControlFlow::Continue(());
        }
        if chain(e) > MAX_CHAIN {
            let reason = format!("a chain has more than {MAX_CHAIN} operators");
            return ControlFlow::Break(Beyond { reason, at: e.span().start });
        }
        self.deeper(spine(e), || e.span().start)
    }

    fn post_visit_expr(&mut self, _: &mut Expr) -> ControlFlow<Beyond> {
        self.depth -= usize::from(self.counted.pop().unwrap_or(true));
        ControlFlow::Continue(())
    }
}

/// What the parser takes for a function without brackets, and Flink for a column: `user`.
fn as_column(e: &Expr) -> Option<Expr> {
    let Expr::Function(f) = e else { return None };
    let bare = matches!((&f.args, &f.parameters), (FunctionArguments::None, FunctionArguments::None));
    if !bare || f.over.is_some() || f.filter.is_some() || f.uses_odbc_syntax {
        return None;
    }
    let parts: Vec<Ident> = f.name.0.iter().map(|p| p.as_ident().cloned()).collect::<Option<_>>()?;
    let last = parts.last()?.value.to_ascii_uppercase();
    if !["USER", "CURRENT_USER", "SESSION_USER", "CURRENT_CATALOG"].contains(&last.as_str()) {
        return None;
    }
    Some(match parts.as_slice() {
        [one] => Expr::Identifier(one.clone()),
        _ => Expr::CompoundIdentifier(parts),
    })
}

/// The operators of a chain that begins with this one, counted without recursion.
fn chain(mut e: &Expr) -> usize {
    let mut n = 0;
    while let Expr::BinaryOp { left, .. } = e {
        n += 1;
        e = left;
    }
    n
}

/// How far an expression goes down to the left without brackets, counted without recursion; a chain of operators counts
/// once.
fn spine(mut e: &Expr) -> usize {
    let mut n = 0;
    loop {
        e = match e {
            Expr::BinaryOp { left, .. } => {
                if matches!(**left, Expr::BinaryOp { .. }) {
                    e = left;
                    continue;
                }
                left
            }
            Expr::IsNull(e) | Expr::IsNotNull(e) | Expr::IsTrue(e) | Expr::IsNotTrue(e) => e,
            Expr::IsFalse(e) | Expr::IsNotFalse(e) | Expr::IsUnknown(e) | Expr::IsNotUnknown(e) => e,
            Expr::IsDistinctFrom(e, _) | Expr::IsNotDistinctFrom(e, _) => e,
            Expr::InList { expr, .. } | Expr::InSubquery { expr, .. } | Expr::Between { expr, .. } => expr,
            Expr::Like { expr, .. } | Expr::ILike { expr, .. } | Expr::SimilarTo { expr, .. } => expr,
            Expr::Cast { expr, .. } | Expr::AtTimeZone { timestamp: expr, .. } | Expr::Collate { expr, .. } => expr,
            _ => return n,
        };
        n += 1;
    }
}

/// `((a AND b) AND c) AND d` as `(a AND b) AND (c AND d)`: AND and OR are associative, and a balanced tree is shallow.
fn balance(e: &mut Expr, op: &BinaryOperator) {
    let null = || Expr::value(sqlparser::ast::Value::Null);
    let mut terms = vec![];
    let mut rest = std::mem::replace(e, null());
    loop {
        match rest {
            Expr::BinaryOp { left, op: o, right } if o == *op => {
                terms.push(*right);
                rest = *left;
            }
            other => {
                terms.push(other);
                break;
            }
        }
    }
    terms.reverse();
    // Short chains stay as they were written, which is how EXPLAIN shows them.
    if terms.len() <= 16 {
        let mut terms = terms.into_iter();
        let first = terms.next().unwrap_or_else(null);
        *e = terms.fold(first, |l, r| Expr::BinaryOp { left: Box::new(l), op: op.clone(), right: Box::new(r) });
        return;
    }
    while terms.len() > 1 {
        let mut pairs = terms.into_iter();
        let mut next = vec![];
        while let Some(l) = pairs.next() {
            next.push(match pairs.next() {
                Some(r) => Expr::BinaryOp { left: Box::new(l), op: op.clone(), right: Box::new(r) },
                None => l,
            });
        }
        terms = next;
    }
    *e = terms.pop().unwrap_or_else(null);
}
