//! The id of a request in a text that no parser accepts: too long, broken off, or not UTF-8.

use serde_json::Value;

/// Longest id that is kept, in bytes, quotes included.
const ID_BYTES: usize = 256;

/// Longest name of a field that can be `id`, in bytes, quotes included.
const NAME_BYTES: usize = 4;

/// Reads a JSON object as it comes and remembers the value of `id` at its top level. Errors
/// elsewhere do not matter; only the id is kept.
#[derive(Debug, Default)]
pub struct IdFinder {
    /// Objects and arrays that are open.
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// The text before a colon at the top level, while it may be `"id"`.
    name: Vec<u8>,
    /// After the colon of `id`, until a comma or the end.
    in_value: bool,
    value: Vec<u8>,
    found: Option<Value>,
}

impl IdFinder {
    /// Reads the next piece.
    pub fn push(&mut self, text: &[u8]) {
        for byte in text {
            self.take(*byte);
        }
    }

    /// The id: a string or a whole number, else null.
    pub fn id(&self) -> Value {
        self.found.clone().unwrap_or_default()
    }

    fn take(&mut self, byte: u8) {
        if self.in_string {
            self.keep(byte);
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return;
        }
        match byte {
            b'"' => {
                self.in_string = true;
                self.keep(byte);
            }
            b'{' | b'[' => {
                self.depth += 1;
                self.forget();
            }
            b'}' | b']' => {
                self.ended();
                self.depth = self.depth.saturating_sub(1);
            }
            b',' => self.ended(),
            b':' if self.depth == 1 => {
                self.in_value = self.name == b"\"id\"";
                self.name.clear();
            }
            _ if byte.is_ascii_whitespace() => {}
            _ => self.keep(byte),
        }
    }

    fn keep(&mut self, byte: u8) {
        if self.depth != 1 {
            return;
        }
        let (kept, most) = if self.in_value {
            (&mut self.value, ID_BYTES)
        } else {
            (&mut self.name, NAME_BYTES)
        };
        // One byte more than allowed, so that it matches nothing.
        if kept.len() <= most {
            kept.push(byte);
        }
    }

    /// A field of the top level has ended.
    fn ended(&mut self) {
        if self.depth == 1 && self.in_value {
            let value = serde_json::from_slice::<Value>(&self.value).ok();
            let value = value.filter(|value| value.is_string() || value.is_i64());
            self.found = value.or(self.found.take());
        }
        if self.depth == 1 {
            self.forget();
        }
    }

    fn forget(&mut self) {
        self.in_value = false;
        self.name.clear();
        self.value.clear();
    }
}
