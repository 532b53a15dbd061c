//! Elements that are no restricted, namespace-well-formed XML (RFC 6120 §11.1, §11.3), each with the error of
//! §4.9.3.

use crate::{after_header, check};

#[test]
fn examples_of_the_rfc() {
    // Both are answered before the element ends (§4.9.1.1, §4.9.3.18): nobody would send the rest.
    check(
        "not-well-formed",
        &["<message><body>No closing tag!</message>"],
    );
    check(
        "restricted-xml",
        &["<message to='juliet@im.example.com'><!--<subject/>-->"],
    );
    check(
        "not-well-formed",
        &["<message><foo:body>What is this foo?</foo:body></message>"],
    );
}

#[test]
fn a_second_header_is_refused_before_its_end() {
    check(
        "unsupported-stanza-type",
        &[
            "<stream:stream>",
            "<message/><stream:stream to='home.example' version='1.0'>",
        ],
    );
}

#[test]
fn restricted_xml() {
    check(
        "restricted-xml",
        &[
            "<message><!--",
            "<message><?php ?>",
            "<message><?xml-x ?>",
            "<message><!DOCTYPE x>",
            "<message><!ENTITY x 'y'>",
            "<message><body>&nbsp;</body></message>",
            "<message>&a.b:c;</message>",
            "<message a='&nbsp;'/>",
        ],
    );
    check(
        "not-well-formed",
        &[
            "<message><?xml version='1.0'?>",
            "<message><body>&lt&gt;</body></message>",
            "<message><body>&;</body></message>",
            "<message><body>& </body></message>",
            "<message><body>&1;</body></message>",
            "<message><body>&amp</body></message>",
            "<message><body>&amp ;</body></message>",
        ],
    );
}

#[test]
fn characters() {
    check(
        "not-well-formed",
        &[
            "<message><body>\0</body></message>",
            "<message><body>\u{1}</body></message>",
            "<message><body>\u{b}</body></message>",
            "<message><body>\u{FFFE}</body></message>",
            "<message><body>a\u{FFFF}</body></message>",
            "<message><body><![CDATA[\u{1}]]></body></message>",
            "<message><body><![CDATA[\u{FFFE}]]></body></message>",
            "<message a='\0'/>",
            "<message a='\u{1f}'/>",
            "<message a='\u{FFFE}'/>",
            "<message\u{c}/>",
            "<message></message\u{c}>",
            "<message><body>a ]]> b</body></message>",
            "<message>]]></message>",
            "<message a='<'/>",
            "<message a='<a/>'/>",
        ],
    );
    check(
        "not-well-formed",
        &[
            "<message><body>&#0;</body></message>",
            "<message><body>&#x1;</body></message>",
            "<message><body>&#xD800;</body></message>",
            "<message><body>&#xFFFE;</body></message>",
            "<message><body>&#x110000;</body></message>",
            "<message><body>&#99999999999;</body></message>",
            "<message><body>&#+65;</body></message>",
            "<message><body>&#;</body></message>",
            "<message><body>&#x;</body></message>",
            "<message><body>&#X41;</body></message>",
            "<message><body>&# 65;</body></message>",
            "<message a='&#0;'/>",
        ],
    );
}

#[test]
fn encoding() {
    // §4.9.3.22: "violating the rules of the UTF-8 encoding".
    for bytes in [
        b"<message><body>\xFF</body></message>".as_slice(),
        b"<message><body>\xC0\x80</body></message>",
        b"<message><body>\xED\xA0\x80</body></message>",
        b"<message><body>\xF4\x90\x80\x80</body></message>",
        b"<message><body>\xE2\x82</body></message>",
        b"<message a='\x80'/>",
        b"<message><\xC3/></message>",
    ] {
        assert_eq!(after_header(bytes), "unsupported-encoding", "{bytes:?}");
    }
}

#[test]
fn names() {
    check(
        "not-well-formed",
        &[
            "<message><1a/></message>",
            "<message><a$b/></message>",
            "<message><a:b:c xmlns:a='b'/></message>",
            "<message><a: xmlns:a='b'/></message>",
            "<message><a:1 xmlns:a='b'/></message>",
            "<message><:a/></message>",
            "<message>< a/></message>",
            "<message><></message>",
            "<message><a/b></message>",
            "<message><\u{2190}/></message>",
            "<message 1='a'/>",
            "<message a:='b'/>",
            "<message :a='b'/>",
        ],
    );
}

#[test]
fn attributes() {
    check(
        "not-well-formed",
        &[
            "<message a='1'b='2'/>",
            "<message a/>",
            "<message a=/>",
            "<message a=b/>",
            "<message a='1' =/>",
            "<message a='1' ='2'/>",
            "<message a='1' a='2'/>",
            "<message a='1' b='' a=\"2\"/>",
            "<message xmlns='jabber:client' xmlns='jabber:client'/>",
            "<message xmlns:p='a' xmlns:p='b'/>",
            "<message xmlns:p='a' xmlns:q='a' p:x='1' q:x='2'/>",
            "<message a='1'/ ></message>",
        ],
    );
}

#[test]
fn namespaces() {
    check(
        "not-well-formed",
        &[
            "<message xmlns:p=''/>",
            "<message><p:a/></message>",
            "<message p:a='1'/>",
            "<message><a xmlns:p='b'/><p:a/></message>",
            "<message xmlns:xml='urn:other'/>",
            "<message xmlns:p='http://www.w3.org/XML/1998/namespace'/>",
            "<message xmlns:xmlns='a'/>",
            "<message xmlns:xmlns='http://www.w3.org/2000/xmlns/'/>",
            "<message xmlns:p='http://www.w3.org/2000/xmlns/'/>",
            "<message><xmlns:a/></message>",
            "<message><a xmlns='http://www.w3.org/XML/1998/namespace'/></message>",
            "<message><a xmlns='http://www.w3.org/2000/xmlns/'/></message>",
        ],
    );
    // Legal, but names are compared as they are written.
    let text = "policy-violation: a namespace name holds a reference or a line break";
    check(
        text,
        &[
            "<message><a xmlns='a&amp;b'/></message>",
            "<message><a xmlns:p='a\n'/></message>",
        ],
    );
}

#[test]
fn tags() {
    check(
        "not-well-formed",
        &[
            "<message><a></b>",
            "<message><a></aa>",
            "<message><aa></a>",
            "<message><a></>",
            "<message><a></ a>",
            "<message><a></a b=''>",
            "<message><p:a xmlns:p='u' xmlns:q='u'></q:a>",
            "<message><![cdata[a]]>",
            "<message><!->",
            "<message><!>",
            "<message><![INCLUDE[a]]>",
        ],
    );
}

#[test]
fn legal_oddities() {
    for (inside, text) in [
        ("a > b ]] > c", "a > b ]] > c"),
        ("&#x41;&#65;&#0000065;&apos;&quot;", "AAA'\""),
        ("a\r\nb\rc&#13;", "a\nb\nc\r"),
        ("<![CDATA[<a>&amp;]]]]><![CDATA[>\r\n]]>", "<a>&amp;]]>\n"),
        (
            "\u{7f}\u{85}\u{FEFF}\u{FFFD}\u{10FFFF}",
            "\u{7f}\u{85}\u{FEFF}\u{FFFD}\u{10FFFF}",
        ),
        ("one<b>two</b>three", "onethree"),
        ("<a:b xmlns:a='u' a:c='d' c='d'/>", ""),
        ("<\u{e9}t\u{e9} \u{4e2d}='\"'/>", ""),
        ("<b c='>/>'/>x", "x"),
        (
            "<a xml:lang='de' xmlns:xml='http://www.w3.org/XML/1998/namespace'/>",
            "",
        ),
    ] {
        let xml = format!("<message><body>{inside}</body></message>");
        assert_eq!(
            after_header(&xml),
            format!("message  jabber:client|body={text:?}"),
            "{xml}"
        );
    }
}
