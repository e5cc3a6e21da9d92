//! The [Arrow C data interface](https://arrow.apache.org/docs/format/CDataInterface.html) between Flott and a module, as far as
//! texts, whole numbers, lists and rows go, and the exports that every module has.

use std::alloc::{Layout, alloc, dealloc};
use std::slice;

/// `struct ArrowArray`
#[repr(C)]
pub struct ArrowArray {
    length: i64,
    null_count: i64,
    offset: i64,
    n_buffers: i64,
    n_children: i64,
    buffers: *const *const u8,
    children: *const *const ArrowArray,
    dictionary: *const ArrowArray,
    release: usize,
    /// Of a result: what it owns.
    private_data: *mut Owned,
}

/// The memory behind a result.
struct Owned {
    _buffers: Vec<Option<Vec<u8>>>,
    _table: Vec<*const u8>,
    _children: Vec<Box<ArrowArray>>,
    _child_table: Vec<*const ArrowArray>,
}

/// Memory for arguments.
///
/// # Safety
///
/// None is needed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flott_alloc(size: usize) -> *mut u8 {
    match Layout::from_size_align(size.max(1), 8) {
        // SAFETY: the size is not zero.
        Ok(layout) => unsafe { alloc(layout) },
        Err(_) => std::ptr::null_mut(),
    }
}

/// Takes them back.
///
/// # Safety
///
/// Both are those of one call of [`flott_alloc`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flott_free(address: *mut u8, size: usize) {
    if let Ok(layout) = Layout::from_size_align(size.max(1), 8) {
        // SAFETY: it was given out with this layout.
        unsafe { dealloc(address, layout) }
    }
}

/// Takes the memory of a result back.
///
/// # Safety
///
/// [`Column::give`] has written it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flott_release(result: *mut ArrowArray) {
    // SAFETY: what it owns was made by `array`, and children own theirs.
    unsafe { release(&*result) }
}

unsafe fn release(array: &ArrowArray) {
    // SAFETY: as above; it is not used again.
    let owned = unsafe { Box::from_raw(array.private_data) };
    for child in &owned._children {
        // SAFETY: it was made by `array`, too.
        unsafe { release(child) }
    }
}

/// An argument: values of one type.
struct Values<'a> {
    array: &'a ArrowArray,
    buffers: &'a [*const u8],
}

impl<'a> Values<'a> {
    unsafe fn of(arguments: *const ArrowArray, index: usize) -> Values<'a> {
        // SAFETY: there are so many arguments, and each has its buffers.
        unsafe {
            let array = &*arguments.add(index);
            Values { array, buffers: slice::from_raw_parts(array.buffers, array.n_buffers as usize) }
        }
    }

    fn is_null(&self, i: usize) -> bool {
        let bits = self.buffers[0];
        // SAFETY: where there are bits, there is one for each value.
        !bits.is_null() && unsafe { *bits.add(i / 8) } & (1 << (i % 8)) == 0
    }

    unsafe fn numbers(&self, buffer: usize, count: usize) -> &'a [i32] {
        // SAFETY: whoever calls knows the type; buffers are aligned.
        unsafe { slice::from_raw_parts(self.buffers[buffer].cast(), count) }
    }
}

/// An argument of type STRING.
pub struct Texts<'a> {
    values: Values<'a>,
    offsets: &'a [i32],
}

impl<'a> Texts<'a> {
    /// # Safety
    ///
    /// The argument is there and a STRING.
    pub unsafe fn of(arguments: *const ArrowArray, index: usize) -> Texts<'a> {
        // SAFETY: the caller says so.
        unsafe {
            let values = Values::of(arguments, index);
            Texts { offsets: values.numbers(1, values.array.length as usize + 1), values }
        }
    }

    /// The text of a row; `None` where it is NULL.
    pub fn get(&self, i: usize) -> Option<&'a str> {
        if self.values.is_null(i) {
            return None;
        }
        let (from, to) = (self.offsets[i] as usize, self.offsets[i + 1] as usize);
        // SAFETY: offsets lie within the texts, which are UTF-8.
        unsafe {
            let bytes = slice::from_raw_parts(self.values.buffers[2].add(from), to - from);
            Some(std::str::from_utf8_unchecked(bytes))
        }
    }
}

/// An argument of type INT.
pub struct Ints<'a> {
    values: Values<'a>,
    numbers: &'a [i32],
}

impl<'a> Ints<'a> {
    /// # Safety
    ///
    /// The argument is there and an INT.
    pub unsafe fn of(arguments: *const ArrowArray, index: usize) -> Ints<'a> {
        // SAFETY: the caller says so.
        unsafe {
            let values = Values::of(arguments, index);
            Ints { numbers: values.numbers(1, values.array.length as usize), values }
        }
    }

    /// The number of a row; `None` where it is NULL.
    pub fn get(&self, i: usize) -> Option<i32> {
        (!self.values.is_null(i)).then(|| self.numbers[i])
    }
}

/// A result.
pub struct Column {
    length: usize,
    buffers: Vec<Option<Vec<u8>>>,
    children: Vec<Column>,
}

/// A bit for each value that is there; none where all are.
fn validity(valid: &[bool]) -> Option<Vec<u8>> {
    if valid.iter().all(|v| *v) {
        return None;
    }
    let byte = |bits: &[bool]| bits.iter().enumerate().map(|(i, v)| u8::from(*v) << i).sum();
    Some(valid.chunks(8).map(byte).collect())
}

fn offsets(lengths: impl IntoIterator<Item = usize>) -> Vec<u8> {
    let mut end = 0i32;
    let mut bytes = end.to_le_bytes().to_vec();
    for length in lengths {
        end += length as i32;
        bytes.extend(end.to_le_bytes());
    }
    bytes
}

impl Column {
    /// A column of type STRING.
    pub fn texts(texts: impl IntoIterator<Item = Option<String>>) -> Column {
        let texts: Vec<Option<String>> = texts.into_iter().collect();
        let valid: Vec<bool> = texts.iter().map(Option::is_some).collect();
        let ends = offsets(texts.iter().map(|t| t.as_ref().map_or(0, String::len)));
        let bytes = texts.iter().flatten().flat_map(|t| t.bytes()).collect();
        Column { length: texts.len(), buffers: vec![validity(&valid), Some(ends), Some(bytes)], children: vec![] }
    }

    /// A column of type INT.
    pub fn ints(numbers: impl IntoIterator<Item = Option<i32>>) -> Column {
        let numbers: Vec<Option<i32>> = numbers.into_iter().collect();
        let valid: Vec<bool> = numbers.iter().map(Option::is_some).collect();
        let bytes = numbers.iter().flat_map(|n| n.unwrap_or(0).to_le_bytes()).collect();
        Column { length: numbers.len(), buffers: vec![validity(&valid), Some(bytes)], children: vec![] }
    }

    /// A column of type ARRAY; `elements` are those of all of them.
    pub fn lists(lengths: Vec<usize>, elements: Column) -> Column {
        Column { length: lengths.len(), buffers: vec![None, Some(offsets(lengths))], children: vec![elements] }
    }

    /// A column of type ROW, of columns of the same length.
    pub fn rows(columns: Vec<Column>) -> Column {
        Column { length: columns.first().map_or(0, |c| c.length), buffers: vec![None], children: columns }
    }

    /// Ends a function well.
    ///
    /// # Safety
    ///
    /// It is the place for the result of this call.
    pub unsafe fn give(self, result: *mut ArrowArray) -> i32 {
        // SAFETY: the caller says so; what lies there is no value.
        unsafe { result.write(self.array()) }
        0
    }

    fn array(self) -> ArrowArray {
        let children: Vec<Box<ArrowArray>> = self.children.into_iter().map(|c| Box::new(c.array())).collect();
        let child_table: Vec<*const ArrowArray> = children.iter().map(|c| &raw const **c).collect();
        // A buffer of no bytes has an address, too.
        let table: Vec<*const u8> =
            self.buffers.iter().map(|b| b.as_ref().map_or(std::ptr::null(), Vec::as_ptr)).collect();
        ArrowArray {
            length: self.length as i64,
            null_count: -1,
            offset: 0,
            n_buffers: table.len() as i64,
            n_children: children.len() as i64,
            buffers: table.as_ptr(),
            children: child_table.as_ptr(),
            dictionary: std::ptr::null(),
            release: 0,
            private_data: Box::into_raw(Box::new(Owned {
                _buffers: self.buffers,
                _table: table,
                _children: children,
                _child_table: child_table,
            })),
        }
    }
}

/// Ends a function with an error, whose message people read.
///
/// # Safety
///
/// It is the place for the result of this call.
pub unsafe fn fail(message: &str, result: *mut ArrowArray) -> i32 {
    // The instance is thrown away with it.
    let message = message.to_string().leak();
    // SAFETY: the caller says so.
    unsafe {
        (*result).length = message.len() as i64;
        (*result).buffers = message.as_ptr().cast();
    }
    1
}
