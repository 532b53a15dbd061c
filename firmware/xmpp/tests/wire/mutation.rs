//! Good and bad elements, changed at random: nobody may disagree about what comes out ([`crate::oracle`]).

use crate::oracle::judge;

/// Enough to reach every rule a few times in a second; the fuzz target goes on from there.
const ROUNDS: u32 = 20_000;

const SEEDS: [&str; 12] = [
    "<message to='a@b' id='1'><body>Hi &amp; bye</body><x xmlns='urn:x' a=\"'\"/></message>",
    "<iq type='get' xml:lang='de'><query xmlns='jabber:iq:roster' ver=''/></iq>",
    "<presence><c xmlns='http://jabber.org/protocol/caps' ver='a='/>text</presence>",
    "<p:a xmlns:p='urn:p' p:b='c' b='d'><p:e xmlns:p='urn:q'/></p:a>",
    "<a xmlns:p='u' xmlns:q='u' p:x='1' q:y='2'><![CDATA[<&]]]]><![CDATA[>]]></a>",
    "<message><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:server'/></forwarded></message>",
    "<message xmlns:c='jabber:client'><c:body/><x:x xmlns:x='urn:x'><body/></x:x></message>",
    "<a b='&lt;&#65;&#x42;' c = \"\td\"\n>]]&gt;\r\n</a >",
    "<\u{e9} \u{4e2d}.-='\u{1F600}'>\u{FFFD}\u{85}</\u{e9}>",
    "<a><!-- --><?b?></a>",
    "<stream:error><a xmlns=''/></stream:error>",
    "<a xml:a='b' xmlns:xml='http://www.w3.org/XML/1998/namespace'/>",
];

const WORDS: [&str; 40] = [
    "<",
    ">",
    "/",
    "/>",
    "</",
    "<a>",
    "</a>",
    "<a/>",
    "'",
    "\"",
    "=",
    " ",
    "\t",
    "\n",
    "\r",
    "&",
    ";",
    "&#",
    "&#x",
    "&lt;",
    "&a;",
    "]]>",
    "<![CDATA[",
    "<!--",
    "<!",
    "<?",
    ":",
    "p:",
    " xmlns='urn:x'",
    " xmlns:p='urn:x'",
    " xmlns:p=''",
    " xmlns='jabber:client'",
    " xmlns='jabber:server'",
    " xml:lang=''",
    "\0",
    "\u{1}",
    "\u{FFFE}",
    "\u{c}",
    "1",
    "-",
];

#[test]
fn everybody_agrees_about_changed_elements() {
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let mut good = 0;
    for _ in 0..ROUNDS {
        let mut bytes = SEEDS[dice.below(SEEDS.len())].as_bytes().to_vec();
        for _ in 0..dice.below(4) {
            change(&mut bytes, &mut dice);
        }
        let verdict = std::panic::catch_unwind(|| judge(&bytes));
        assert!(
            verdict.is_ok(),
            "about {:?}",
            String::from_utf8_lossy(&bytes)
        );
        good += u32::from(verdict.unwrap_or_default());
    }
    assert!(
        good > ROUNDS / 20 && good < ROUNDS,
        "{good} of {ROUNDS} good ones prove little"
    );
}

fn change(bytes: &mut Vec<u8>, dice: &mut Dice) {
    let (one, other) = (dice.below(bytes.len() + 1), dice.below(bytes.len() + 1));
    let (from, to) = (one.min(other), one.max(other));
    match dice.below(6) {
        0 => {
            bytes.drain(from..to.min(from + 8));
        }
        1 => {
            let copy = bytes[from..to].to_vec();
            bytes.splice(one..one, copy);
        }
        2 if from < bytes.len() => bytes[from] = dice.below(256) as u8,
        3 => {
            let seed = SEEDS[dice.below(SEEDS.len())].as_bytes();
            bytes.splice(one..one, seed.iter().copied());
        }
        _ => {
            let word = WORDS[dice.below(WORDS.len())].as_bytes();
            bytes.splice(one..one, word.iter().copied());
        }
    }
}

/// xorshift64: the same inputs on every machine.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 as usize % end
    }
}
