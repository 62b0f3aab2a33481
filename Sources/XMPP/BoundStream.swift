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
}
