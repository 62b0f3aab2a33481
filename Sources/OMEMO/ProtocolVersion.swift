/// Which of the two OMEMO protocols a session or message speaks, named by its namespace.

/// The wire protocols of XEP-0384.
public enum ProtocolVersion: String, Sendable, Codable, CaseIterable {
    /// XEP-0384 before 0.4: what Conversations, Dino, Gajim, Monal and Profanity speak.
    case legacy = "eu.siacs.conversations.axolotl"
    /// XEP-0384 from 0.4, with XEP-0420 inside: what Kaidan speaks.
    case omemo2 = "urn:xmpp:omemo:2"
}
