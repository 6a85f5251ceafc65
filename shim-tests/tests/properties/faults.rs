//! Gives any sentence where a fault is expected.

use super::holds;
use memtun::Fault;
use proptest::prelude::*;

#[test]
fn any_text_is_a_fault_or_an_error_with_a_sentence() {
    let word = "[a-zA-Z]{0,8}|open|ioctl|read|write|TUNSETIFF|EINTR|EIO|[0-9]{1,22}|\\PC{0,4}";
    let text = (word, "[:=@-]?", word, "[:=@-]?", word, "[:=@-]?", word);
    holds(text, |(a, b, c, d, e, f, g)| {
        let text = [a, b, c, d, e, f, g].concat();
        match text.parse::<Fault>() {
            Ok(fault) => {
                let again = fault.to_string().parse::<Fault>();
                prop_assert_eq!(again.as_ref().ok(), Some(&fault), "{} of {:?}", fault, text);
            }
            Err(e) => prop_assert!(!e.to_string().is_empty()),
        }
        Ok(())
    });
}

#[test]
fn what_the_grammar_says_is_a_fault() {
    let when = "(@[1-9][0-9]{0,3}(-9[0-9]{4})?)?";
    let operation = "open|read|write|close|ioctl|ioctl:TUNSETIFF|ioctl:TUNGETIFF";
    let errno = "EINTR|EAGAIN|EIO|EBUSY|ENOBUFS|EPERM";
    holds((operation, errno, when), |(operation, errno, when)| {
        let text = format!("{operation}={errno}{when}");
        let fault: Fault = text
            .parse()
            .map_err(|e| TestCaseError::fail(format!("{text}: {e}")))?;
        prop_assert_eq!(fault.to_string(), text);
        Ok(())
    });
}
