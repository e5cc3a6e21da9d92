//! Functions for Flott's SQL in WebAssembly: `title_case(text)` and the table function `ngrams(text, n)`.
//!
//! ```sh
//! cargo build --release --target wasm32-unknown-unknown
//! ```
//!
//! What crosses between Flott and a module is in [`arrow`], which a module of your own can take as it is.

mod arrow;

use arrow::{ArrowArray, Column, Ints, Texts};

/// `CREATE FUNCTION title_case(text STRING) RETURNS STRING LANGUAGE WASM AS 'title_case' USING ARTIFACT '..'`
///
/// # Safety
///
/// Flott calls it as it promises: one column of texts with `rows` values, and a place for the result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn title_case(
    arguments: *const ArrowArray,
    _count: usize,
    rows: usize,
    result: *mut ArrowArray,
) -> i32 {
    // SAFETY: the only argument is a STRING.
    let texts = unsafe { Texts::of(arguments, 0) };
    let titles = Column::texts((0..rows).map(|i| texts.get(i).map(titled)));
    // SAFETY: the place is Flott's.
    unsafe { titles.give(result) }
}

fn titled(text: &str) -> String {
    let mut title = String::with_capacity(text.len());
    let mut starts = true;
    for c in text.chars() {
        if starts {
            title.extend(c.to_uppercase());
        } else {
            title.extend(c.to_lowercase());
        }
        starts = c.is_whitespace();
    }
    title
}

/// `CREATE FUNCTION ngrams(text STRING, n INT) RETURNS TABLE (gram STRING NOT NULL, place INT NOT NULL) LANGUAGE WASM AS
/// 'ngrams' USING ARTIFACT '..'`: every `n` letters of a text that stand side by side, and where.
///
/// # Safety
///
/// Flott calls it as it promises: a column of texts and one of numbers with `rows` values, and a place for the result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ngrams(
    arguments: *const ArrowArray,
    _count: usize,
    rows: usize,
    result: *mut ArrowArray,
) -> i32 {
    // SAFETY: the arguments are a STRING and an INT.
    let (texts, sizes) = unsafe { (Texts::of(arguments, 0), Ints::of(arguments, 1)) };
    let (mut lengths, mut grams, mut places) = (vec![], vec![], vec![]);
    for i in 0..rows {
        let before = grams.len();
        if let (Some(text), Some(n)) = (texts.get(i), sizes.get(i)) {
            let Some(n) = usize::try_from(n).ok().filter(|n| *n > 0) else {
                // SAFETY: the place is Flott's.
                return unsafe { arrow::fail(&format!("ngrams of {n} letters"), result) };
            };
            let letters: Vec<char> = text.chars().collect();
            for (place, gram) in letters.windows(n).enumerate() {
                grams.push(Some(gram.iter().collect::<String>()));
                places.push(Some(place as i32 + 1));
            }
        }
        lengths.push(grams.len() - before);
    }
    let columns = vec![Column::texts(grams), Column::ints(places)];
    // SAFETY: the place is Flott's.
    unsafe { Column::lists(lengths, Column::rows(columns)).give(result) }
}
