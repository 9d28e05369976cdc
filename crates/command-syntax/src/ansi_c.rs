//! The escapes of `$'…'`.

/// What stands between the quotes, as the shell reads it.
pub(crate) fn decode(text: &str) -> String {
    let mut read = Vec::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        if char != '\\' {
            push(&mut read, char);
            continue;
        }
        let Some(escape) = chars.next() else {
            read.push(b'\\');
            break;
        };
        let mut digits = |radix: u32, most: usize, first: Option<char>| {
            let mut value = first.and_then(|digit| digit.to_digit(radix)).unwrap_or(0);
            let mut taken = usize::from(first.is_some());
            while taken < most
                && let Some(digit) = chars.peek().and_then(|next| next.to_digit(radix))
            {
                value = value * radix + digit;
                taken += 1;
                chars.next();
            }
            (value, taken)
        };
        match escape {
            'a' => read.push(7),
            'b' => read.push(8),
            'e' | 'E' => read.push(27),
            'f' => read.push(12),
            'n' => read.push(b'\n'),
            'r' => read.push(b'\r'),
            't' => read.push(b'\t'),
            'v' => read.push(11),
            '0'..='7' => read.push(digits(8, 3, Some(escape)).0.to_le_bytes()[0]),
            'x' => read.push(digits(16, 2, None).0.to_le_bytes()[0]),
            'u' => push_code(&mut read, digits(16, 4, None).0),
            'U' => push_code(&mut read, digits(16, 8, None).0),
            'c' => {
                if let Some(control) = chars.next() {
                    read.push((u32::from(control) & 0x1f).to_le_bytes()[0]);
                }
            }
            other if matches!(other, '\\' | '\'' | '"' | '?') => push(&mut read, other),
            other => {
                read.push(b'\\');
                push(&mut read, other);
            }
        }
    }
    String::from_utf8_lossy(&read).into_owned()
}

fn push(read: &mut Vec<u8>, char: char) {
    read.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
}

fn push_code(read: &mut Vec<u8>, code: u32) {
    push(
        read,
        char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER),
    );
}
