//! The reader of scripts: text to [`Script`]. Nothing is played here.
//!
//! A script is lines a person can read aloud; what is sent and got stands indented beneath them.
//! The grammar, complete:
//!
//! ```text
//! # XEP-0198: what was not acknowledged is sent again.      first line: what must hold
//! juliet@home.example has balcony, chamber                  accounts, connected and available
//! nurse@home.example has nobody online
//! romeo@far.example is remote                               a simulated peer server
//! irc.home.example is a component                           XEP-0114, connected; its secret is `secret`
//! juliet@home.example and romeo@far.example are contacts
//! with archive.keep = '7d'                                  configuration for this script
//!
//! juliet@home.example/balcony sends                         XML, several stanzas in order
//! juliet@home.example/balcony gets                          in order per receiver, every stanza
//! juliet@home.example/balcony gets in any order             where a specification leaves it open
//! juliet@home.example/balcony may get                       what a server may do or not
//! juliet@home.example/balcony gets nothing
//! juliet@home.example/balcony connects                      and becomes available
//! juliet@home.example/balcony connects without presence
//! juliet@home.example/balcony loses its connection
//! juliet@home.example/balcony reconnects
//! juliet@home.example/balcony resumes                       XEP-0198
//! juliet@home.example/balcony is closed                     by the server
//! after 3 minutes
//! the power fails                                           then the server starts again
//! the server restarts                                       in order, as for an update
//! the disk is full                                          and: the disk has room
//! a raw connection to c2s                                   or c2s_tls, component: `it sends`, `it gets` …
//! a raw connection of juliet@home.example                   authenticated, nothing bound
//! ```

mod line;

use std::{fmt, time::Duration};

/// A script, read and not yet played.
#[derive(Debug)]
pub struct Script {
    /// File name, for messages.
    pub name: String,
    /// The first line: what must hold.
    pub about: String,
    /// Accounts, contacts and configuration, and then what happens.
    pub steps: Vec<Step>,
}

/// One line with what stands indented beneath it.
#[derive(Debug)]
pub struct Step {
    /// Line number, from 1.
    pub line: usize,
    /// Number of the first line behind the step, from 1.
    pub end: usize,
    pub action: Action,
}

/// What a line says. A `who` is a full JID, the domain of a component, or [`IT`].
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    Has {
        account: String,
        resources: Vec<String>,
    },
    Remote {
        jid: String,
    },
    Component {
        name: String,
    },
    Contacts {
        one: String,
        other: String,
    },
    With {
        key: String,
        value: String,
    },
    Sends {
        who: String,
        text: String,
    },
    Gets {
        who: String,
        text: String,
        ordered: bool,
    },
    MayGet {
        who: String,
        text: String,
    },
    GetsNothing {
        who: String,
    },
    Connects {
        who: String,
        available: bool,
    },
    Reconnects {
        who: String,
    },
    LosesConnection {
        who: String,
    },
    Resumes {
        who: String,
    },
    Closed {
        who: String,
    },
    After(Duration),
    PowerFails,
    Restarts,
    DiskIsFull,
    DiskHasRoom,
    Raw(Port),
    RawOf {
        account: String,
    },
}

/// The raw connection opened last.
pub const IT: &str = "it";

/// Where a raw connection goes (RUNNING.md, `[listen]`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// Without TLS.
    C2s,
    /// Inside TLS.
    C2sTls,
    /// Of external components.
    Component,
}

/// Why a script cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub struct Unreadable {
    pub name: String,
    pub line: usize,
    pub why: String,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.name, self.line, self.why)
    }
}

impl Action {
    /// Whether the line prepares the stage; such lines come before everything that happens.
    pub fn is_preparation(&self) -> bool {
        matches!(
            self,
            Action::Has { .. }
                | Action::Remote { .. }
                | Action::Component { .. }
                | Action::Contacts { .. }
                | Action::With { .. }
        )
    }

    /// Whether the line tells an outcome, and so cannot be the cause of another.
    pub fn is_outcome(&self) -> bool {
        matches!(
            self,
            Action::Gets { .. }
                | Action::MayGet { .. }
                | Action::GetsNothing { .. }
                | Action::Closed { .. }
        )
    }

    /// Where the text of the block beneath it goes, if it has one.
    fn block(&mut self) -> Option<&mut String> {
        match self {
            Action::Sends { text, .. }
            | Action::Gets { text, .. }
            | Action::MayGet { text, .. } => Some(text),
            _ => None,
        }
    }
}

impl Script {
    /// Reads a script.
    pub fn read(name: &str, source: &str) -> Result<Script, Unreadable> {
        let fail = |(line, why): (usize, String)| Unreadable {
            name: name.into(),
            line,
            why,
        };
        let about = source
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("# "));
        let about = about
            .ok_or_else(|| fail((1, "the first line says what must hold, behind `# `".into())))?;
        let mut steps: Vec<Step> = Vec::new();
        let mut lines = (1..).zip(source.lines()).skip(1).peekable();
        while let Some((line, text)) = lines.next() {
            if text.trim().is_empty() || text.starts_with('#') {
                continue;
            }
            let mut block = Vec::new();
            while let Some((_, text)) = lines.next_if(|(_, text)| is_indented(text)) {
                block.push(text.trim());
            }
            let step = Step::read(line, text, &block).map_err(fail)?;
            let happening = steps
                .last()
                .is_some_and(|step| !step.action.is_preparation());
            if step.action.is_preparation() && happening {
                return Err(fail((
                    line,
                    "accounts, contacts and configuration come first".into(),
                )));
            }
            steps.push(step);
        }
        Ok(Script {
            name: name.into(),
            about: about.into(),
            steps,
        })
    }
}

impl Step {
    /// Reads a line with the block beneath it. The error comes with the number of its line.
    fn read(line: usize, text: &str, block: &[&str]) -> Result<Step, (usize, String)> {
        if text.starts_with(char::is_whitespace) {
            return Err((
                line,
                "an indented line belongs under `sends` or `gets`".into(),
            ));
        }
        let mut action = line::read(text.trim_end()).map_err(|why| (line, why))?;
        match (action.block(), block.is_empty()) {
            (Some(text), false) => *text = block.join("\n"),
            (Some(_), true) => {
                return Err((
                    line,
                    "what is sent or got stands indented beneath this line".into(),
                ));
            }
            (None, false) => return Err((line + 1, "nothing stands beneath such a line".into())),
            (None, true) => {}
        }
        Ok(Step {
            line,
            end: line + 1 + block.len(),
            action,
        })
    }
}

fn is_indented(text: &str) -> bool {
    text.starts_with(' ') && !text.trim().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(source: &str, expected: Expect) {
        let text = match Script::read("x.script", source) {
            Ok(script) => script.steps.iter().fold(String::new(), |text, step| {
                text + &format!("{}..{} {:?}\n", step.line, step.end, step.action)
            }),
            Err(error) => format!("{error}\n"),
        };
        expected.assert_eq(&text);
    }

    #[test]
    fn every_line_of_the_grammar() {
        check(
            "# What must hold.\n\
             juliet@home.example has balcony, chamber\n\
             nurse@home.example has nobody online\n\
             romeo@far.example is remote\n\
             juliet@home.example and romeo@far.example are contacts\n\
             with archive.keep = '7d'\n\
             \n\
             # A comment.\n\
             juliet@home.example/balcony sends\n    <presence>\n    </presence>\n\
             juliet@home.example/balcony gets\n    <presence …/>\n\
             juliet@home.example/balcony gets in any order\n    <iq …/>\n\
             juliet@home.example/balcony may get\n    <iq …/>\n\
             juliet@home.example/balcony gets nothing\n\
             juliet@home.example/a connects\n\
             juliet@home.example/b connects without presence\n\
             juliet@home.example/a loses its connection\n\
             juliet@home.example/a reconnects\n\
             juliet@home.example/a resumes\n\
             juliet@home.example/a is closed\n\
             after 3 minutes\n\
             the power fails\n\
             the server restarts\n\
             the disk is full\n\
             the disk has room\n\
             a raw connection of juliet@home.example\n\
             a raw connection to c2s\n\
             it sends\n    <stream:stream>\n\
             it is closed\n",
            expect![[r#"
                2..3 Has { account: "juliet@home.example", resources: ["balcony", "chamber"] }
                3..4 Has { account: "nurse@home.example", resources: [] }
                4..5 Remote { jid: "romeo@far.example" }
                5..6 Contacts { one: "juliet@home.example", other: "romeo@far.example" }
                6..7 With { key: "archive.keep", value: "7d" }
                9..12 Sends { who: "juliet@home.example/balcony", text: "<presence>\n</presence>" }
                12..14 Gets { who: "juliet@home.example/balcony", text: "<presence …/>", ordered: true }
                14..16 Gets { who: "juliet@home.example/balcony", text: "<iq …/>", ordered: false }
                16..18 MayGet { who: "juliet@home.example/balcony", text: "<iq …/>" }
                18..19 GetsNothing { who: "juliet@home.example/balcony" }
                19..20 Connects { who: "juliet@home.example/a", available: true }
                20..21 Connects { who: "juliet@home.example/b", available: false }
                21..22 LosesConnection { who: "juliet@home.example/a" }
                22..23 Reconnects { who: "juliet@home.example/a" }
                23..24 Resumes { who: "juliet@home.example/a" }
                24..25 Closed { who: "juliet@home.example/a" }
                25..26 After(180s)
                26..27 PowerFails
                27..28 Restarts
                28..29 DiskIsFull
                29..30 DiskHasRoom
                30..31 RawOf { account: "juliet@home.example" }
                31..32 Raw(C2s)
                32..34 Sends { who: "it", text: "<stream:stream>" }
                34..35 Closed { who: "it" }
            "#]],
        );
    }

    #[test]
    fn components_have_a_domain() {
        check(
            "# What must hold.\n\
             irc.home.example is a component\n\
             irc.home.example sends\n    <a/>\n\
             irc.home.example loses its connection\n\
             irc.home.example connects\n\
             a raw connection to component\n",
            expect![[r#"
                2..3 Component { name: "irc.home.example" }
                3..5 Sends { who: "irc.home.example", text: "<a/>" }
                5..6 LosesConnection { who: "irc.home.example" }
                6..7 Connects { who: "irc.home.example", available: true }
                7..8 Raw(Component)
            "#]],
        );
    }

    #[test]
    fn errors_name_file_and_line() {
        check(
            "juliet@home.example has balcony\n",
            expect![[r"
            x.script:1: the first line says what must hold, behind `# `
        "]],
        );
        for (body, expected) in [
            (
                "juliet dances\n",
                expect![["x.script:2: cannot read: juliet dances\n"]],
            ),
            (
                "a@b/c sends\nx\n",
                expect![["x.script:2: what is sent or got stands indented beneath this line\n"]],
            ),
            (
                "   <a/>\n",
                expect![["x.script:2: an indented line belongs under `sends` or `gets`\n"]],
            ),
            (
                "the power fails\n    <a/>\n",
                expect![["x.script:3: nothing stands beneath such a line\n"]],
            ),
            (
                "the power fails\na@b has c\n",
                expect![["x.script:3: accounts, contacts and configuration come first\n"]],
            ),
            (
                "a@b connects\n",
                expect![["x.script:2: a@b is no full JID: name@domain/resource\n"]],
            ),
            (
                "a@b/c is remote\n",
                expect![["x.script:2: a@b/c is no bare JID: name@domain\n"]],
            ),
            (
                "a raw connection to s2s\n",
                expect![["x.script:2: no such port: s2s; there are c2s, c2s_tls and component\n"]],
            ),
            (
                "after a while\n",
                expect![[
                    "x.script:2: no time: a while; a number and seconds, minutes, hours or days\n"
                ]],
            ),
            (
                "with a.b = 7\n",
                expect![[
                    "x.script:2: cannot read the setting a.b = 7: a key, `=`, and a value in single quotes\n"
                ]],
            ),
        ] {
            check(&format!("# What must hold.\n{body}"), expected);
        }
    }
}
