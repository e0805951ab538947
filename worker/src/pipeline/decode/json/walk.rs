//! Walks over JSON text (RFC 8259), strictly, without building anything.
//!
//! Owns: what is JSON and what is not, where each value begins and ends.
//! Never: allocates, or recurses deeper than [`DEPTH_MAX`].

/// Arrays and objects inside each other, the record's own object counted.
pub(super) const DEPTH_MAX: usize = 128;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// A value: what it is and how it is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Token<'a> {
    Null,
    Bool(bool),
    Number(&'a [u8]),
    /// Between the quotes. Not yet checked to be UTF-8 when `ascii` is false.
    Text {
        raw: &'a [u8],
        escaped: bool,
        ascii: bool,
    },
    Array,
    Object,
}

impl Token<'_> {
    /// For the sentence "expected Int64, found …".
    pub(super) fn describe(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text { .. } => "a string",
            Self::Array => "an array",
            Self::Object => "an object",
        }
    }
}

/// Text that is not JSON.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Broken {
    /// Where.
    pub(super) at: usize,
    /// What should be there.
    pub(super) expected: &'static str,
}

/// A place in JSON text.
#[derive(Clone, Debug)]
pub(super) struct Walk<'a> {
    text: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn new(text: &'a [u8], at: usize) -> Self {
        Self { text, at }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    pub(super) fn broken<T>(&self, expected: &'static str) -> Result<T, Broken> {
        Err(Broken { at: self.at, expected })
    }

    pub(super) fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// One byte after white space.
    pub(super) fn expect(&mut self, byte: u8, expected: &'static str) -> Result<(), Broken> {
        self.space();
        if self.peek() != Some(byte) {
            return self.broken(expected);
        }
        self.at += 1;
        Ok(())
    }

    /// The value here; arrays and objects are passed over, `depth` of them are open around it.
    pub(super) fn value(&mut self, depth: usize) -> Result<Token<'a>, Broken> {
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'n') => self.word(b"null", Token::Null),
            Some(b't') => self.word(b"true", Token::Bool(true)),
            Some(b'f') => self.word(b"false", Token::Bool(false)),
            Some(b'[') => self.array(depth + 1),
            Some(b'{') => self.object(depth + 1),
            _ => self.broken("a value"),
        }
    }

    fn word(&mut self, word: &[u8], token: Token<'a>) -> Result<Token<'a>, Broken> {
        if !self.text[self.at..].starts_with(word) {
            return self.broken("a value");
        }
        self.at += word.len();
        Ok(token)
    }

    fn digits(&mut self) -> Result<(), Broken> {
        let from = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == from { self.broken("a digit") } else { Ok(()) }
    }

    fn number(&mut self) -> Result<Token<'a>, Broken> {
        let from = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        if self.peek() == Some(b'0') {
            self.at += 1;
            if matches!(self.peek(), Some(b'0'..=b'9')) {
                return self.broken("no digit after a leading zero");
            }
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
        }
        Ok(Token::Number(&self.text[from..self.at]))
    }

    /// A string; its opening quote is here.
    pub(super) fn string(&mut self) -> Result<Token<'a>, Broken> {
        if self.peek() != Some(b'"') {
            return self.broken("`\"`");
        }
        self.at += 1;
        let from = self.at;
        let (mut escaped, mut ascii) = (false, true);
        loop {
            let stop = plain_text(self.text, self.at);
            self.at = stop.at;
            ascii &= stop.ascii;
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return self.broken("no control character in a string"),
                None => return self.broken("`\"`"),
            }
        }
        let raw = &self.text[from..self.at];
        self.at += 1;
        Ok(Token::Text { raw, escaped, ascii })
    }

    fn escape(&mut self) -> Result<(), Broken> {
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                let hex = self.text.get(self.at + 1..self.at + 5);
                if !hex.is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)) {
                    return self.broken("four hex digits after `\\u`");
                }
                self.at += 5;
            }
            _ => return self.broken("an escape that JSON knows"),
        }
        Ok(())
    }

    fn array(&mut self, depth: usize) -> Result<Token<'a>, Broken> {
        self.enter(depth)?;
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Token::Array);
        }
        loop {
            self.space();
            self.value(depth)?;
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                _ => return self.broken("`,` or `]`"),
            }
        }
        self.at += 1;
        Ok(Token::Array)
    }

    fn object(&mut self, depth: usize) -> Result<Token<'a>, Broken> {
        self.enter(depth)?;
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Token::Object);
        }
        loop {
            self.space();
            self.string()?;
            self.expect(b':', "`:`")?;
            self.space();
            self.value(depth)?;
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return self.broken("`,` or `}`"),
            }
        }
        self.at += 1;
        Ok(Token::Object)
    }

    fn enter(&mut self, depth: usize) -> Result<(), Broken> {
        if depth > DEPTH_MAX {
            return self.broken("at most 128 arrays and objects inside each other");
        }
        self.at += 1;
        Ok(())
    }
}

/// Where a run of plain text in a string ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Stop {
    /// The first quote, backslash or control character, or the end of the bytes.
    pub(super) at: usize,
    /// All bytes before it are ASCII.
    pub(super) ascii: bool,
}

/// Finds the end of plain text in a string, eight bytes at a time.
#[inline]
pub(super) fn plain_text(bytes: &[u8], from: usize) -> Stop {
    let (mut at, mut high) = (from, 0);
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let word = u64::from_le_bytes(*chunk);
        let stops = stops(word);
        if stops != 0 {
            let before = (stops & stops.wrapping_neg()).wrapping_sub(1);
            high |= word & before & HIGH;
            at += stops.trailing_zeros() as usize / 8;
            return Stop { at, ascii: high == 0 };
        }
        high |= word & HIGH;
        at += 8;
    }
    while let Some(byte) = bytes.get(at) {
        if matches!(byte, b'"' | b'\\' | 0..0x20) {
            break;
        }
        high |= u64::from(byte & 0x80);
        at += 1;
    }
    Stop { at, ascii: high == 0 }
}

/// The high bit of each byte that is a quote, a backslash or a control character. Bytes behind the first may be wrong.
#[inline]
fn stops(word: u64) -> u64 {
    let zero = |bytes: u64| bytes.wrapping_sub(ONES) & !bytes;
    let quote = zero(word ^ (ONES * b'"' as u64));
    let backslash = zero(word ^ (ONES * b'\\' as u64));
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (quote | backslash | control) & HIGH
}
