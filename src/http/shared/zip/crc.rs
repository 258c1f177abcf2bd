//! The checksum of zip: CRC-32 (APPNOTE.TXT 4.4.7), a byte at a time.

/// The polynomial, reflected.
const POLYNOMIAL: u32 = 0xedb8_8320;

const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte: u32 = 0;
    while byte < 256 {
        let mut value = byte;
        let mut bit = 0;
        while bit < 8 {
            let carry = if value & 1 == 1 { POLYNOMIAL } else { 0 };
            value = (value >> 1) ^ carry;
            bit += 1;
        }
        table[byte as usize] = value;
        byte += 1;
    }
    table
}

/// A checksum under way.
#[derive(Debug, Clone, Copy)]
pub struct Crc32(u32);

impl Crc32 {
    /// Of nothing.
    pub fn new() -> Self {
        Self(u32::MAX)
    }

    /// With these bytes too.
    pub fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let [low, ..] = self.0.to_le_bytes();
            self.0 = (self.0 >> 8) ^ TABLE[usize::from(low ^ byte)];
        }
    }

    /// The checksum.
    pub fn end(self) -> u32 {
        !self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check value of the catalogue of CRC algorithms.
    #[test]
    fn the_sum_is_that_of_the_catalogue() {
        let mut crc = Crc32::new();
        crc.add(b"1234");
        crc.add(b"56789");
        assert_eq!(crc.end(), 0xcbf4_3926);
        assert_eq!(Crc32::new().end(), 0);
    }
}
