//! Flink's dialect for sqlparser: backticks, `TABLE t` and `MAP[..]` in expressions, type texts in CAST.

use std::any::TypeId;

use sqlparser::ast::helpers::attached_token::AttachedToken;
use sqlparser::ast::{
    BinaryOperator, CaseWhen, DateTimeField, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, Ident, Interval, ObjectName, ObjectNamePart, TrimWhereField, UnaryOperator,
};
use sqlparser::dialect::{Dialect, GenericDialect, Precedence};
use sqlparser::keywords::{Keyword, RESERVED_FOR_COLUMN_ALIAS};
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, Word};

use super::cast::{parse_cast, parse_convert};
use super::forms::{parse_local_timestamp, parse_position};
use super::json::parse_json_function;

/// The function that `TABLE t [PARTITION BY ..]` becomes: the name's parts, then a tuple of keys.
pub const TABLE_CALL: &str = "$table";
/// The function that `MAP[k, v, ..]` becomes.
pub const MAP_CALL: &str = "$map";
/// The function that `x BETWEEN SYMMETRIC a AND b` becomes.
pub const BETWEEN_SYMMETRIC_CALL: &str = "$between_symmetric";
/// The function that `(a - b) YEAR TO MONTH` becomes.
pub const MONTHS_BETWEEN_CALL: &str = "$months_between";
/// The function that `(a - b) DAY TO SECOND` becomes.
pub const MILLIS_BETWEEN_CALL: &str = "$millis_between";
/// `a, b` behind WHEN of a CASE with an operand.
const WHEN_VALUES_CALL: &str = "$when_values";
/// The type name whose one modifier is the text of a Flink type.
pub const TYPE_TEXT: &str = "$type";
/// The function that `x IS [NOT] JSON ..` becomes.
pub const IS_JSON_CALL: &str = "is_json";

/// Flink's dialect.
#[derive(Debug, Default, Clone, Copy)]
pub struct FlinkDialect;

impl Dialect for FlinkDialect {
    /// As the generic dialect: the parser asks for it by type in places that have no method of their own (UNNEST).
    fn dialect(&self) -> TypeId {
        TypeId::of::<GenericDialect>()
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        ch == '`'
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        ch.is_alphabetic() || ch == '_' || ch == '$'
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        ch.is_alphanumeric() || ch == '_' || ch == '$'
    }

    fn supports_table_versioning(&self) -> bool {
        true
    }

    fn supports_filter_during_aggregation(&self) -> bool {
        true
    }

    fn supports_window_function_null_treatment_arg(&self) -> bool {
        true
    }

    fn supports_group_by_expr(&self) -> bool {
        true
    }

    fn supports_match_recognize(&self) -> bool {
        true
    }

    fn supports_window_clause_named_window_reference(&self) -> bool {
        true
    }

    fn require_interval_qualifier(&self) -> bool {
        true
    }

    fn supports_within_after_array_aggregation(&self) -> bool {
        true
    }

    fn supports_named_fn_args_with_rarrow_operator(&self) -> bool {
        true
    }

    /// `U&'\00e9'`
    fn supports_unicode_string_literal(&self) -> bool {
        true
    }

    /// Keeps `/*+ .. */` behind SELECT, to be read or refused by the binder.
    fn supports_comment_optimizer_hint(&self) -> bool {
        true
    }

    /// Words that cannot name a column without AS, so that a clause behind a SELECT list is seen as one.
    fn is_column_alias(&self, keyword: &Keyword, _parser: &mut Parser) -> bool {
        use Keyword as K;
        const ALSO: [Keyword; 22] = [
            K::ON,
            K::JOIN,
            K::INNER,
            K::LEFT,
            K::RIGHT,
            K::FULL,
            K::CROSS,
            K::NATURAL,
            K::USING,
            K::TABLE,
            K::WHEN,
            K::THEN,
            K::ELSE,
            K::CASE,
            K::BETWEEN,
            K::IN,
            K::IS,
            K::LIKE,
            K::NOT,
            K::NULL,
            K::WINDOW,
            K::SET,
        ];
        !RESERVED_FOR_COLUMN_ALIAS.contains(keyword) && !ALSO.contains(keyword)
    }

    /// Calcite's order of operators: IN, BETWEEN and LIKE bind more closely than comparisons, so that `a = d IN (1)` asks
    /// whether `a` is the answer of `d IN (1)`.
    fn prec_value(&self, precedence: Precedence) -> u8 {
        match precedence {
            Precedence::Between => 26,
            Precedence::Like => 25,
            other => GenericDialect.prec_value(other),
        }
    }

    /// `IS DISTINCT FROM` and OVERLAPS stand among the comparisons, below them IS with its tests.
    fn get_next_precedence(&self, parser: &Parser) -> Option<Result<u8, ParserError>> {
        let overlaps = matches!(&parser.peek_token_ref().token, Token::Word(w) if w.keyword == Keyword::OVERLAPS);
        (overlaps || distinct_follows(parser).is_some()).then(|| Ok(self.prec_value(Precedence::Eq)))
    }

    fn parse_prefix(&self, parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
        let (first, second) = (parser.peek_token().token, parser.peek_nth_token(1).token);
        let starts_query = |t: &Token| {
            matches!(t, Token::Word(w)
            if w.quote_style.is_none() && matches!(w.keyword, Keyword::SELECT | Keyword::WITH | Keyword::VALUES))
        };
        if first == Token::LParen {
            if starts_query(&second) {
                return partition_follows(parser).then(|| parse_query_argument(parser));
            }
            return unit_follows(parser).then(|| parse_interval_between(parser));
        }
        if matches!(&first, Token::UnicodeStringLiteral(_))
            && matches!(&second, Token::Word(w) if is_word(w, "UESCAPE"))
        {
            return Some(parse_unicode_escape(parser));
        }
        let Token::Word(word) = first else { return None };
        match second {
            Token::LParen
                if word.keyword == Keyword::TABLE
                    && word.quote_style.is_none()
                    && starts_query(&parser.peek_nth_token(2).token) =>
            {
                parser.next_token();
                Some(parse_query_argument(parser))
            }
            Token::Word(_) if word.keyword == Keyword::TABLE => Some(parse_table_argument(parser)),
            Token::LBracket if is_word(&word, "MAP") => Some(parse_map(parser)),
            Token::LParen if matches!(word.keyword, Keyword::CAST | Keyword::TRY_CAST) => {
                Some(parse_cast(parser, word.keyword == Keyword::TRY_CAST))
            }
            Token::LParen if is_word(&word, "CONVERT") => parse_convert(parser),
            Token::LParen if is_word(&word, "POSITION") => parse_position(parser),
            Token::Word(_) if is_word(&word, "TIMESTAMP") => parse_local_timestamp(parser),
            Token::LParen if word.keyword == Keyword::TRIM => parse_trim_blanks(parser),
            Token::LParen if word.value.get(..5).is_some_and(|p| p.eq_ignore_ascii_case("JSON_")) => {
                parse_json_function(parser, &word)
            }
            _ if word.keyword == Keyword::INTERVAL && word.quote_style.is_none() => parse_quarters(parser),
            // The parser would take CASE for a column where something is wrong inside, and lose what is wrong.
            _ if word.keyword == Keyword::CASE && word.quote_style.is_none() => Some(parse_case(parser)),
            Token::LParen if is_word(&word, "CEILING") => {
                parser.next_token();
                Some(parser.parse_ceil_floor_expr(true))
            }
            _ => None,
        }
    }

    fn parse_infix(&self, parser: &mut Parser, left: &Expr, precedence: u8) -> Option<Result<Expr, ParserError>> {
        if let Some(between) = parse_between(self, parser, left) {
            return Some(between);
        }
        if let Some(compared) = super::quantified::parse(parser, left) {
            return Some(compared);
        }
        if let Some(negated) = distinct_follows(parser) {
            return Some(parse_distinct(parser, left, negated, precedence));
        }
        let is = matches!(parser.peek_token().token, Token::Word(w) if w.keyword == Keyword::IS);
        let negated = matches!(parser.peek_nth_token(1).token, Token::Word(w) if w.keyword == Keyword::NOT);
        let json = parser.peek_nth_token(1 + usize::from(negated)).token;
        if !is || !matches!(&json, Token::Word(w) if is_word(w, "JSON")) {
            return None;
        }
        for _ in 0..2 + usize::from(negated) {
            parser.next_token();
        }
        let mut arguments = vec![left.clone()];
        if let Token::Word(w) = parser.peek_token().token
            && ["VALUE", "ARRAY", "OBJECT", "SCALAR"].iter().any(|k| is_word(&w, k))
        {
            parser.next_token();
            arguments.push(Expr::value(sqlparser::ast::Value::SingleQuotedString(w.value.to_uppercase())));
        }
        let call = call(IS_JSON_CALL, arguments);
        Some(Ok(if negated { not(call) } else { call }))
    }
}

/// NOT of one operand, in brackets: written out, it would take what stands behind it, too.
fn not(e: Expr) -> Expr {
    Expr::Nested(Box::new(Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(e) }))
}

/// `CASE .. END`. Behind each WHEN of a CASE with an operand several values may stand, which sqlparser does not read: they
/// become the arguments of [`WHEN_VALUES_CALL`].
fn parse_case(parser: &mut Parser) -> Result<Expr, ParserError> {
    parser.next_token();
    let case_token = AttachedToken(parser.get_current_token().clone());
    let mut operand = None;
    if !parser.parse_keyword(Keyword::WHEN) {
        operand = Some(Box::new(parser.parse_expr()?));
        parser.expect_keyword_is(Keyword::WHEN)?;
    }
    let mut conditions = vec![];
    loop {
        let mut condition = parser.parse_expr()?;
        if operand.is_some() && parser.consume_token(&Token::Comma) {
            let mut values = vec![condition];
            values.extend(parser.parse_comma_separated(Parser::parse_expr)?);
            condition = call(WHEN_VALUES_CALL, values);
        }
        parser.expect_keyword_is(Keyword::THEN)?;
        conditions.push(CaseWhen { condition, result: parser.parse_expr()? });
        if !parser.parse_keyword(Keyword::WHEN) {
            break;
        }
    }
    let else_result = match parser.parse_keyword(Keyword::ELSE) {
        true => Some(Box::new(parser.parse_expr()?)),
        false => None,
    };
    let end_token = AttachedToken(parser.expect_keyword(Keyword::END)?);
    Ok(Expr::Case { case_token, end_token, operand, conditions, else_result })
}

/// The values of `WHEN a, b`, where there are several.
pub fn when_values(condition: &Expr) -> Option<Vec<&Expr>> {
    let Expr::Function(f) = condition else { return None };
    let [ObjectNamePart::Identifier(name)] = &f.name.0[..] else { return None };
    let FunctionArguments::List(list) = &f.args else { return None };
    // A quoted name is the user's own.
    if name.value != WHEN_VALUES_CALL || name.quote_style.is_some() {
        return None;
    }
    list.args
        .iter()
        .map(|a| match a {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(e)) => Some(e),
            _ => None,
        })
        .collect()
}

/// Whether `IS DISTINCT FROM` stands here, and whether with NOT.
fn distinct_follows(parser: &Parser) -> Option<bool> {
    let is = |n: usize, k: Keyword| matches!(&parser.peek_nth_token_ref(n).token, Token::Word(w) if w.keyword == k);
    let negated = is(1, Keyword::NOT);
    let at = 1 + usize::from(negated);
    (is(0, Keyword::IS) && is(at, Keyword::DISTINCT) && is(at + 1, Keyword::FROM)).then_some(negated)
}

/// `a IS [NOT] DISTINCT FROM b`. sqlparser takes all that follows for `b`, AND and OR too.
fn parse_distinct(parser: &mut Parser, left: &Expr, negated: bool, precedence: u8) -> Result<Expr, ParserError> {
    for _ in 0..3 + usize::from(negated) {
        parser.next_token();
    }
    let (left, right) = (Box::new(left.clone()), Box::new(parser.parse_subexpr(precedence)?));
    Ok(if negated { Expr::IsNotDistinctFrom(left, right) } else { Expr::IsDistinctFrom(left, right) })
}

/// `[NOT] BETWEEN [SYMMETRIC|ASYMMETRIC] a AND b`. In `a` everything may stand but AND, in `b` what binds more closely.
fn parse_between(dialect: &FlinkDialect, parser: &mut Parser, left: &Expr) -> Option<Result<Expr, ParserError>> {
    let is = |n: usize, k: Keyword| matches!(&parser.peek_nth_token_ref(n).token, Token::Word(w) if w.keyword == k);
    let negated = is(0, Keyword::NOT);
    let at = usize::from(negated);
    if !is(at, Keyword::BETWEEN) {
        return None;
    }
    let (symmetric, asymmetric) = match &parser.peek_nth_token_ref(at + 1).token {
        Token::Word(w) => (is_word(w, "SYMMETRIC"), is_word(w, "ASYMMETRIC")),
        _ => (false, false),
    };
    for _ in 0..at + 1 + usize::from(symmetric || asymmetric) {
        parser.next_token();
    }
    let and = dialect.prec_value(Precedence::And);
    let mut bounds = || {
        let mut low = parser.parse_subexpr(and)?;
        while parser.parse_keyword(Keyword::OR) {
            let right = Box::new(parser.parse_subexpr(and)?);
            low = Expr::BinaryOp { left: Box::new(low), op: BinaryOperator::Or, right };
        }
        parser.expect_keyword_is(Keyword::AND)?;
        Ok([low, parser.parse_subexpr(dialect.prec_value(Precedence::Between))?])
    };
    Some(bounds().map(|[low, high]| match (symmetric, negated) {
        (false, _) => Expr::Between { expr: Box::new(left.clone()), negated, low: Box::new(low), high: Box::new(high) },
        (true, false) => call(BETWEEN_SYMMETRIC_CALL, vec![left.clone(), low, high]),
        (true, true) => not(call(BETWEEN_SYMMETRIC_CALL, vec![left.clone(), low, high])),
    }))
}

/// `U&'#263A' UESCAPE '#'`: another character than the backslash stands before four hexadecimal digits.
fn parse_unicode_escape(parser: &mut Parser) -> Result<Expr, ParserError> {
    let Token::UnicodeStringLiteral(text) = parser.next_token().token else {
        return parser.expected("a text", parser.peek_token());
    };
    parser.next_token();
    let written = parser.next_token();
    let escape = match &written.token {
        Token::SingleQuotedString(s) => {
            let mut chars = s.chars();
            let fits = |c: &char| !c.is_ascii_hexdigit() && !c.is_whitespace() && !matches!(c, '+' | '\'' | '"');
            chars.next().filter(fits).filter(|_| chars.next().is_none())
        }
        _ => None,
    };
    let Some(escape) = escape else { return parser.expected("one character that is no digit and no letter", written) };
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some((before, behind)) = rest.split_once(escape) {
        out.push_str(before);
        let digits = if behind.starts_with('+') { 1..7 } else { 0..4 };
        let code = behind.get(digits.clone()).and_then(|d| u32::from_str_radix(d, 16).ok()).and_then(char::from_u32);
        rest = match (behind.strip_prefix(escape), code) {
            (Some(behind), _) => {
                out.push(escape);
                behind
            }
            (None, Some(c)) => {
                out.push(c);
                &behind[digits.end..]
            }
            (None, None) => return parser.expected(&format!("four hexadecimal digits behind {escape}"), written),
        };
    }
    out.push_str(rest);
    Ok(Expr::value(sqlparser::ast::Value::UnicodeStringLiteral(out)))
}

/// `INTERVAL '2' QUARTERS`: the parser knows the unit only in the singular.
fn parse_quarters(parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
    let sign = usize::from(matches!(parser.peek_nth_token(1).token, Token::Minus | Token::Plus));
    let Token::SingleQuotedString(text) = parser.peek_nth_token(1 + sign).token else { return None };
    if !matches!(parser.peek_nth_token(2 + sign).token, Token::Word(w) if is_word(&w, "QUARTERS")) {
        return None;
    }
    let negative = parser.peek_nth_token(1).token == Token::Minus;
    for _ in 0..3 + sign {
        parser.next_token();
    }
    let value = Expr::value(sqlparser::ast::Value::SingleQuotedString(text));
    Some(Ok(Expr::Interval(Interval {
        value: Box::new(if negative {
            Expr::UnaryOp { op: UnaryOperator::Minus, expr: Box::new(value) }
        } else {
            value
        }),
        leading_field: Some(DateTimeField::Quarter),
        leading_precision: None,
        last_field: None,
        fractional_seconds_precision: None,
    })))
}

fn is_word(word: &Word, text: &str) -> bool {
    word.quote_style.is_none() && word.value.eq_ignore_ascii_case(text)
}

/// A call of an internal function.
pub fn call(name: &str, arguments: Vec<Expr>) -> Expr {
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: arguments.into_iter().map(|e| FunctionArg::Unnamed(FunctionArgExpr::Expr(e))).collect(),
            clauses: vec![],
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: vec![],
    })
}

fn parse_table_argument(parser: &mut Parser) -> Result<Expr, ParserError> {
    parser.next_token();
    let name = parser.parse_object_name(false)?;
    let parts: Vec<Ident> = name.0.iter().filter_map(|p| p.as_ident().cloned()).collect();
    let mut arguments = vec![Expr::CompoundIdentifier(parts)];
    arguments.extend(parse_partition_keys(parser)?);
    Ok(call(TABLE_CALL, arguments))
}

/// Whether `PARTITION BY` stands behind the bracket that opens here: then it is a table argument, and no scalar query.
fn partition_follows(parser: &Parser) -> bool {
    let word = |i: usize, k: Keyword| matches!(&parser.token_at(i).token, Token::Word(w) if w.keyword == k);
    end_of_bracket(parser).is_some_and(|(i, _)| word(i + 1, Keyword::PARTITION) && word(i + 2, Keyword::BY))
}

/// Whether what stands in the bracket that opens here has a minus and a unit of time behind it.
fn unit_follows(parser: &Parser) -> bool {
    let Some((end, has_minus)) = end_of_bracket(parser) else { return false };
    has_minus && matches!(&parser.token_at(end + 1).token, Token::Word(w) if unit_of_months(w).is_some())
}

/// Where the bracket that opens here closes, and whether a minus stands in it that is in no bracket of its own.
fn end_of_bracket(parser: &Parser) -> Option<(usize, bool)> {
    let (mut depth, mut has_minus) = (0usize, false);
    let mut i = parser.index();
    loop {
        match &parser.token_at(i).token {
            Token::EOF => return None,
            Token::LParen => depth += 1,
            Token::RParen if depth == 1 => return Some((i, has_minus)),
            Token::RParen => depth = depth.saturating_sub(1),
            Token::Minus if depth == 1 => has_minus = true,
            _ => {}
        }
        i += 1;
    }
}

/// Whether a unit is one of months, else of milliseconds; `None` for another word.
fn unit_of_months(word: &Word) -> Option<bool> {
    const MONTHS: [&str; 6] = ["YEAR", "YEARS", "QUARTER", "QUARTERS", "MONTH", "MONTHS"];
    const MILLIS: [&str; 10] =
        ["WEEK", "WEEKS", "DAY", "DAYS", "HOUR", "HOURS", "MINUTE", "MINUTES", "SECOND", "SECONDS"];
    let is = |units: &[&str]| units.iter().any(|unit| is_word(word, unit));
    if is(&MONTHS) { Some(true) } else { is(&MILLIS).then_some(false) }
}

/// `(end - start) unit [TO unit]`
fn parse_interval_between(parser: &mut Parser) -> Result<Expr, ParserError> {
    parser.expect_token(&Token::LParen)?;
    let inner = parser.parse_expr()?;
    parser.expect_token(&Token::RParen)?;
    let Expr::BinaryOp { left, op: BinaryOperator::Minus, right } = inner else {
        // The word behind it is a name: whoever called reads on.
        return Ok(Expr::Nested(Box::new(inner)));
    };
    let months = parse_unit(parser)?;
    if parser.parse_keyword(Keyword::TO) && parse_unit(parser)? != months {
        return parser.expected("units of months, or of days and less", parser.peek_token());
    }
    Ok(call(if months { MONTHS_BETWEEN_CALL } else { MILLIS_BETWEEN_CALL }, vec![*left, *right]))
}

/// A unit with digits in brackets behind it, where they are there; whether it is one of months.
fn parse_unit(parser: &mut Parser) -> Result<bool, ParserError> {
    let token = parser.next_token();
    let Some(months) = (match &token.token {
        Token::Word(w) => unit_of_months(w),
        _ => None,
    }) else {
        return parser.expected("a unit such as DAY or MONTH", token);
    };
    if parser.consume_token(&Token::LParen) {
        parser.parse_literal_uint()?;
        if parser.consume_token(&Token::Comma) {
            parser.parse_literal_uint()?;
        }
        parser.expect_token(&Token::RParen)?;
    }
    Ok(months)
}

/// `(SELECT ..) [PARTITION BY ..]`
fn parse_query_argument(parser: &mut Parser) -> Result<Expr, ParserError> {
    parser.expect_token(&Token::LParen)?;
    let mut arguments = vec![Expr::Subquery(parser.parse_query()?)];
    parser.expect_token(&Token::RParen)?;
    arguments.extend(parse_partition_keys(parser)?);
    Ok(call(TABLE_CALL, arguments))
}

/// `PARTITION BY key` or `PARTITION BY (key, ..)`, where it is there.
fn parse_partition_keys(parser: &mut Parser) -> Result<Option<Expr>, ParserError> {
    if !parser.parse_keywords(&[Keyword::PARTITION, Keyword::BY]) {
        return Ok(None);
    }
    let keys = if parser.consume_token(&Token::LParen) {
        let keys = parser.parse_comma_separated(Parser::parse_expr)?;
        parser.expect_token(&Token::RParen)?;
        keys
    } else {
        vec![parser.parse_expr()?]
    };
    Ok(Some(Expr::Tuple(keys)))
}

fn parse_map(parser: &mut Parser) -> Result<Expr, ParserError> {
    parser.next_token();
    parser.next_token();
    if parser.consume_token(&Token::RBracket) {
        return Ok(call(MAP_CALL, vec![]));
    }
    let entries = parser.parse_comma_separated(Parser::parse_expr)?;
    parser.expect_token(&Token::RBracket)?;
    Ok(call(MAP_CALL, entries))
}

/// `TRIM(LEADING FROM a)`: blanks where nothing is said. `None` for the other forms.
fn parse_trim_blanks(parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
    let side = match parser.peek_nth_token(2).token {
        Token::Word(w) => match w.keyword {
            Keyword::BOTH => TrimWhereField::Both,
            Keyword::LEADING => TrimWhereField::Leading,
            Keyword::TRAILING => TrimWhereField::Trailing,
            _ => return None,
        },
        _ => return None,
    };
    if !matches!(parser.peek_nth_token(3).token, Token::Word(w) if w.keyword == Keyword::FROM) {
        return None;
    }
    for _ in 0..4 {
        parser.next_token();
    }
    let parsed = parser.parse_expr().and_then(|expr| {
        parser.expect_token(&Token::RParen)?;
        Ok(Expr::Trim {
            trim_where: Some(side),
            trim_what: Some(Box::new(Expr::value(sqlparser::ast::Value::SingleQuotedString(" ".into())))),
            expr: Box::new(expr),
            trim_characters: None,
        })
    });
    Some(parsed)
}
