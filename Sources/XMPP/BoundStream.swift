// What is known about a stream once it can be used.

/// The outcome of a negotiation.
public struct BoundStream: Equatable, Sendable {
    /// The full JID that the server bound.
    public var jid: JID
    /// What the server offered after the login.
    public var features: StreamFeatures
    /// Whether XEP-0198 is on: the stanzas are counted and acknowledged.
    public var streamManagement: Bool
    /// The SASL mechanism used, by name; pin it.
    public var mechanism: String
    /// The channel binding used, by name; pin it.
    public var channelBinding: String?
    /// Whether a former stream goes on (XEP-0198 §5): contacts, presence and subscriptions are as they were.
    public var resumed = false
    /// What the server calls the session; nil if it cannot be resumed.
    public var resumptionID: String?
    /// Where the server wants the reconnection, as it wrote it; untrusted text. Nil: where it was found.
    public var location: String?
    /// How many seconds the server keeps a broken session, if it said so.
    public var maxSeconds: Int?
}
