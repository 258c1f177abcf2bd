//! Handshakes made by hand: what no well-behaved client sends.

/// A ClientHello.
#[derive(Clone)]
pub struct Hello {
    pub session_id: Vec<u8>,
    pub extensions: Vec<u8>,
}

impl Hello {
    pub fn nameless() -> Self {
        // Supported groups, so that there is something besides the name.
        Self {
            session_id: vec![9; 32],
            extensions: Vec::new(),
        }
        .extension(10, &[0, 2, 0, 29])
    }

    pub fn new(name: &str) -> Self {
        Self::nameless().name(name)
    }

    pub fn name(self, name: &str) -> Self {
        self.name_of_type(0, name)
    }

    pub fn name_of_type(self, kind: u8, name: &str) -> Self {
        self.extension(0, &block(&entry(kind, name)))
    }

    pub fn names_in_one_list(self, names: &[&str]) -> Self {
        let list: Vec<u8> = names.iter().flat_map(|name| entry(0, name)).collect();
        self.extension(0, &block(&list))
    }

    pub fn extension(mut self, kind: u16, content: &[u8]) -> Self {
        self.extensions.extend_from_slice(&kind.to_be_bytes());
        self.extensions.extend(block(content));
        self
    }

    /// Its message, with a padding extension so that the body has `length` bytes; the extensions
    /// have to be 65,535 at most, so the rest is cipher suites.
    pub fn padded_to(self, length: usize) -> Vec<u8> {
        let missing = length - (self.message().len() - 4);
        let suites = 10_000 + missing % 2;
        let padded = self.extension(21, &vec![0; missing - 4 - suites]);
        padded.with_suites(2 + suites)
    }

    pub fn message(&self) -> Vec<u8> {
        self.clone().with_suites(2)
    }

    fn with_suites(self, bytes: usize) -> Vec<u8> {
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.push(u8::try_from(self.session_id.len()).expect("short"));
        body.extend(&self.session_id);
        body.extend(block(&vec![0x13; bytes]));
        body.extend([1, 0]);
        body.extend(block(&self.extensions));
        handshake(1, &body)
    }
}

fn entry(kind: u8, name: &str) -> Vec<u8> {
    [&[kind], &block(name.as_bytes())[..]].concat()
}

fn block(content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).expect("below 64 KiB");
    [&length.to_be_bytes(), content].concat()
}

pub fn handshake(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len())
        .expect("below 16 MiB")
        .to_be_bytes();
    [&[kind], &length[1..], body].concat()
}

pub fn record(kind: u8, fragment: &[u8]) -> Vec<u8> {
    [&[kind, 3, 1], &block(fragment)[..]].concat()
}

pub fn fragmented(message: &[u8], size: usize) -> Vec<u8> {
    message
        .chunks(size)
        .flat_map(|fragment| record(22, fragment))
        .collect()
}

pub fn change_cipher_spec() -> Vec<u8> {
    record(20, &[1])
}

/// A warning: unrecognized_name.
pub fn alert() -> Vec<u8> {
    record(21, &[1, 112])
}
