/// Names one device of one account.
public import XMPP

/// A bare JID and a device id: what a session, a trust decision and an identity key belong to.
public struct DeviceAddress: Hashable, Sendable {
    /// Ids that every client can parse: several read them as signed 32-bit integers, and 0 is never valid.
    public static let devices: ClosedRange<UInt32> = 1...0x7fff_ffff

    /// The bare JID of the account.
    public let jid: JID
    /// The id of the device within the account, 1…2³¹−1 in everything that was decoded.
    public let device: UInt32

    /// - Parameter jid: the account; a resourcepart is dropped.
    public init(jid: JID, device: UInt32) {
        self.jid = jid.bare
        self.device = device
    }
}
