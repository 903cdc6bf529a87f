//! Inputs that are nearly right: seeds, changed a little.

/// Xorshift: the same inputs for the same number.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// A number below `end`; 0 if there is none.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let rolled = usize::try_from(self.0 >> 11).unwrap_or(0);
        if end == 0 { 0 } else { rolled % end }
    }

    /// Mostly a small number, now and then up to 128.
    pub fn length(&mut self) -> usize {
        let most = 1 << self.below(8);
        self.below(most)
    }

    fn pick<'a, A: ?Sized>(&mut self, from: &[&'a A]) -> Option<&'a A> {
        from.get(self.below(from.len())).copied()
    }
}

/// What breaks parsers elsewhere.
const ODD: [&[u8]; 24] = [
    b"null",
    b"-1",
    b"9223372036854775808",
    b"1e999",
    b"\"\"",
    b"{}",
    b"[[[[[[[[",
    b"\\u0000",
    b"\\ud800",
    b"\0",
    b"\xff\xfe",
    b"\r\n",
    b"\t",
    b"  ",
    b"---\n",
    b"...\n",
    b"&a ",
    b"*a",
    b"? ",
    b"!!binary ",
    "\u{202e}".as_bytes(),
    "\u{feff}".as_bytes(),
    "\u{1F468}\u{200D}\u{1F469}".as_bytes(),
    "\u{e0041}".as_bytes(),
];

/// The longest input, in bytes: what is slow on more is bounded elsewhere.
const LONGEST: usize = 16 * 1024;

/// One of the seeds with up to eight changes.
pub fn mutated(seeds: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let all: Vec<&[u8]> = seeds.iter().map(Vec::as_slice).collect();
    let mut input = dice.pick(&all).unwrap_or_default().to_vec();
    for _ in 0..=dice.below(8) {
        let other = dice.pick(&all).unwrap_or_default();
        change(&mut input, other, dice);
    }
    input.truncate(LONGEST);
    input
}

fn change(input: &mut Vec<u8>, other: &[u8], dice: &mut Dice) {
    let place = dice.below(input.len() + 1);
    let length = dice.length();
    let end = (place + length).min(input.len());
    match dice.below(8) {
        0 => drop(input.drain(place..end)),
        1 => {
            let part = input[place..end].to_vec();
            insert(input, place, &part);
        }
        2 => insert(input, place, dice.pick(&ODD).unwrap_or_default()),
        3 => insert(input, place, part(other, length, dice)),
        4 => {
            let rest = dice.below(other.len() + 1);
            input.truncate(place);
            input.extend_from_slice(&other[rest..]);
        }
        5 => insert(input, place, word(other, dice)),
        6 => {
            let byte = u8::try_from(dice.below(256)).unwrap_or(0);
            insert(input, place, &[byte]);
        }
        _ => {
            if let Some(byte) = input.get_mut(place) {
                *byte ^= 1 << dice.below(8);
            }
        }
    }
}

fn insert(input: &mut Vec<u8>, place: usize, part: &[u8]) {
    input.splice(place..place, part.iter().copied());
}

fn part<'a>(of: &'a [u8], length: usize, dice: &mut Dice) -> &'a [u8] {
    let place = dice.below(of.len() + 1);
    &of[place..(place + length).min(of.len())]
}

/// A word of another seed, or what is between words.
fn word<'a>(of: &'a [u8], dice: &mut Dice) -> &'a [u8] {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let words: Vec<&[u8]> = of
        .chunk_by(|one, other| is_word(one) == is_word(other))
        .collect();
    dice.pick(&words).unwrap_or_default()
}
