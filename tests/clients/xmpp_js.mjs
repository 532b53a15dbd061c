// @xmpp/client as a program: `node xmpp_js.mjs LIBRARY SETTINGS` takes commands on standard input and tells
// what happens on standard output, both one JSON value a line. Driven by xmpp_js.py.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { webcrypto } from "node:crypto";

// Before version 20 it is not there by itself.
globalThis.crypto ??= webcrypto;

const [library, settings] = [process.argv[2], JSON.parse(process.argv[3])];
// Browsers have one, and newer versions.
globalThis.WebSocket ??= createRequire(library)("ws");
const { client, xml } = await import(pathToFileURL(library));
const tell = (event, more = {}) => process.stdout.write(JSON.stringify({ event, ...more }) + "\n");

const { service, domain, resource, username, password, installation, plain } = settings;
const userAgent = xml("user-agent", { id: installation }, xml("software", {}, "xmpp.js"));
const xmpp = client({ service, domain, resource, userAgent, credentials: { username, password } });

xmpp.reconnect.delay = 50;
// Its patience with a server, in ms, for machines under emulation.
xmpp.timeout = 20_000;
let token = settings.token;
xmpp.fast.fetchToken = async () => token;
xmpp.fast.deleteToken = async () => { token = null; };
xmpp.fast.saveToken = async (given) => { token = given; tell("token", { token }); };

if (plain) {
  // Servers without SASL2 are what it meets most.
  const element = xmpp._onElement.bind(xmpp);
  xmpp._onElement = (found) => {
    found.remove?.("authentication", "urn:xmpp:sasl:2");
    element(found);
  };
}

xmpp.on("online", (jid) => tell("online", { jid: jid.toString() }));
xmpp.on("disconnect", () => tell("disconnect"));
xmpp.on("error", (error) => tell("error", { text: `${error.condition ?? ""} ${error.message}` }));
xmpp.streamManagement.on("resumed", () => tell("resumed"));
xmpp.streamManagement.on("fail", (stanza) => tell("failed", { xml: stanza.toString() }));
xmpp.on("stanza", (stanza) => {
  if (stanza.is("message")) {
    const inside = stanza.getChild("result")?.getChild("forwarded")?.getChild("message");
    const body = (inside ?? stanza).getChildText("body");
    tell("message", { from: (inside ?? stanza).attrs.from, body, archived: Boolean(inside) });
  }
  if (stanza.is("presence")) {
    const { from, type } = stanza.attrs;
    const said = stanza.getChild("x", "http://jabber.org/protocol/muc#user")?.getChildren("status") ?? [];
    tell("presence", { from, type: type ?? null, codes: said.map((status) => status.attrs.code) });
  }
});
xmpp.on("nonza", (nonza) => { if (nonza.is("a", "urn:xmpp:sm:3")) tell("acknowledgement"); });
// What it negotiates; nothing that proves who somebody is.
xmpp.on("send", (element) => {
  if (["auth", "authenticate", "enable", "resume"].includes(element.name)) {
    const inside = element.getChildElements().map((child) => child.name);
    tell("asks", { name: element.name, mechanism: element.attrs.mechanism, inside });
  }
});

const commands = {
  say: async ({ to, body, type = "chat" }) => {
    await xmpp.send(xml("message", { to, type }, xml("body", {}, body)));
    tell("sent");
  },
  enter: async ({ room, nick }) => {
    await xmpp.send(xml("presence", { to: `${room}/${nick}` }, xml("x", "http://jabber.org/protocol/muc")));
  },
  settle: async () => { await xmpp.send(xml("r", { xmlns: "urn:xmpp:sm:3" })); },
  page: async ({ max, before, after }) => {
    const rsm = "http://jabber.org/protocol/rsm";
    const place = [xml("max", {}, max)];
    if (before !== undefined) place.push(xml("before", {}, before));
    if (after !== undefined) place.push(xml("after", {}, after));
    const query = xml("query", { xmlns: "urn:xmpp:mam:2" }, xml("set", { xmlns: rsm }, ...place));
    // The answer's payload has another name than the question's.
    const answer = await xmpp.iqCaller.request(xml("iq", { type: "set" }, query));
    const fin = answer.getChild("fin");
    const set = fin.getChild("set", rsm);
    tell("page", {
      complete: fin.attrs.complete === "true",
      first: set.getChildText("first"), last: set.getChildText("last"), count: set.getChildText("count"),
    });
  },
  presence: async () => { await xmpp.send(xml("presence")); },
  counts: async () => {
    const { inbound, outbound, outbound_q } = xmpp.streamManagement;
    tell("counts", { inbound, outbound, waiting: outbound_q.length });
  },
  leave: async () => {
    xmpp.reconnect.stop();
    await xmpp.stop();
    tell("left");
    process.exit(0);
  },
};

xmpp.start().catch((error) => tell("refused", { text: `${error.condition ?? ""} ${error.message}` }));
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  commands[command.do](command).catch((error) => tell("error", { text: error.message }));
}
process.exit(0);
