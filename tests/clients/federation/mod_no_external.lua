-- For Prosody, per host: this neighbour cannot do SASL EXTERNAL, so that dialback is left to it (XEP-0220
-- §2.1), whichever certificate it has.
module:hook_tag("http://etherx.jabber.org/streams", "features", function (_, features)
	features:remove_children("mechanisms", "urn:ietf:params:xml:ns:xmpp-sasl");
end, 300);
