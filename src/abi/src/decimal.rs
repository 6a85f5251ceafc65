//! Numbers in decimal digits, without an allocation: they are written below hooks.
#![forbid(unsafe_code)]

/// The digits of a number.
pub struct Decimal {
    digits: [u8; 20],
    begin: usize,
}

impl Decimal {
    /// Writes a number in as few digits as it has.
    pub fn new(number: u64) -> Decimal {
        let mut decimal = Decimal {
            digits: [0; 20],
            begin: 20,
        };
        let mut rest = number;
        loop {
            decimal.begin -= 1;
            decimal.digits[decimal.begin] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                return decimal;
            }
        }
    }

    /// Returns the digits in ASCII.
    pub fn as_bytes(&self) -> &[u8] {
        &self.digits[self.begin..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_the_digits_that_display_gives_it() {
        for number in [0, 1, 9, 10, 1001, u64::from(u32::MAX), u64::MAX] {
            let decimal = Decimal::new(number);
            assert_eq!(decimal.as_bytes(), number.to_string().as_bytes());
        }
    }
}
